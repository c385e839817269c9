//! What waits to be computed, and which of it is computed together.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::Input;
use super::queue::{Finished, QueueError, Ticket};

/// Something that waits to be computed.
#[derive(Debug)]
pub struct Entry {
    /// What to compute.
    pub input: Input,
    /// Where the answer goes; closed when the client has left.
    pub reply: oneshot::Sender<Result<Finished, QueueError>>,
    /// When it began to wait.
    pub since: Instant,
    /// Its place among those that the server lets in; free again when the entry is dropped.
    pub ticket: Ticket,
}

impl Entry {
    fn refuse(self, why: QueueError) {
        // The client may have left in the meantime.
        let _ = self.reply.send(Err(why));
    }
}

/// The entries that wait, in the order of their turns. Of each client that sends a stream of
/// frames at most one waits: its newest.
#[derive(Debug, Default)]
pub struct Waiting {
    entries: VecDeque<Entry>,
}

impl Waiting {
    /// Puts an entry at the end, or in the place of an older one of the same client, which is
    /// refused: so a client keeps its turn, and no turn is spent on a frame that is out of date.
    pub fn push(&mut self, entry: Entry) {
        let stream = entry.ticket.client();
        let place = stream.and_then(|client| {
            self.entries
                .iter_mut()
                .find(|other| other.ticket.client() == Some(client))
        });
        let Some(place) = place else {
            self.entries.push_back(entry);
            return;
        };
        // Frames are decoded side by side: the one that comes later may be the older one.
        let older = if place.ticket.order() < entry.ticket.order() {
            std::mem::replace(place, entry)
        } else {
            entry
        };
        older.refuse(QueueError::Superseded);
    }

    /// Takes the next batch: the entry whose turn it is, and those behind it that are for the
    /// same model, up to `most`. Entries whose client has left are dropped on the way; those
    /// that were admitted more than `max_age` before `now` are refused. Never waits for more.
    pub fn take(&mut self, most: usize, max_age: Duration, now: Instant) -> Vec<Entry> {
        let mut batch: Vec<Entry> = Vec::new();
        let mut others = VecDeque::with_capacity(self.entries.len());
        for entry in self.entries.drain(..) {
            if entry.reply.is_closed() {
                continue;
            }
            let patience = entry.ticket.max_age(max_age);
            if now.saturating_duration_since(entry.ticket.admitted()) > patience {
                entry.refuse(QueueError::Expired(patience));
                continue;
            }
            let fits = batch
                .first()
                .is_none_or(|first| first.input.model() == entry.input.model());
            if fits && batch.len() < most {
                batch.push(entry);
            } else {
                others.push_back(entry);
            }
        }
        self.entries = others;
        batch
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// How many entries wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }
}

#[cfg(test)]
mod tests {
    use aecnn::Split;

    use super::super::CodecId;
    use super::*;

    const FOREVER: Duration = Duration::from_secs(3600);

    type Reply = oneshot::Receiver<Result<Finished, QueueError>>;

    fn entry(model: usize, split: Split, tag: i16, ticket: Ticket) -> (Entry, Reply) {
        let (reply, receiver) = oneshot::channel();
        let entry = Entry {
            input: Input::Latent {
                codec: CodecId { model, codec: 0 },
                split,
                rate: 0,
                symbols: vec![tag],
            },
            reply,
            since: Instant::now(),
            ticket,
        };
        (entry, receiver)
    }

    fn tags(entries: &[Entry]) -> Vec<i16> {
        entries
            .iter()
            .map(|entry| match &entry.input {
                Input::Latent { symbols, .. } => symbols[0],
                Input::Feature { .. } | Input::Picture { .. } => -1,
            })
            .collect()
    }

    fn take(waiting: &mut Waiting, most: usize) -> Vec<i16> {
        tags(&waiting.take(most, FOREVER, Instant::now()))
    }

    #[test]
    fn splits_go_together_and_models_do_not() {
        let mut waiting = Waiting::default();
        let order = [
            (0, Split::Stage2, 1),
            (1, Split::Stem, 2),
            (0, Split::Stem, 3),
            (0, Split::Stage4, 4),
            (1, Split::Stem, 5),
        ];
        let mut replies = Vec::new();
        for (model, split, tag) in order {
            let (entry, reply) = entry(model, split, tag, Ticket::unlimited(None, 0));
            waiting.push(entry);
            replies.push(reply);
        }
        assert_eq!(take(&mut waiting, 2), [1, 3]);
        assert_eq!(take(&mut waiting, 2), [2, 5]);
        assert_eq!(take(&mut waiting, 2), [4]);
        assert!(take(&mut waiting, 2).is_empty() && waiting.is_empty());
    }

    #[test]
    fn who_left_is_skipped() {
        let (first, gone) = entry(0, Split::Stem, 1, Ticket::unlimited(None, 0));
        let (second, _reply) = entry(0, Split::Stage1, 2, Ticket::unlimited(None, 0));
        drop(gone);
        let mut waiting = Waiting::default();
        waiting.push(first);
        waiting.push(second);
        assert_eq!(take(&mut waiting, 8), [2]);
        assert!(waiting.is_empty());
    }

    #[test]
    fn the_newest_frame_of_a_client_takes_the_place_of_its_older_one() {
        let mut waiting = Waiting::default();
        let mut replies = Vec::new();
        // The third arrives before the second, as decoding may end in any order.
        for (client, order, tag) in [(7, 1, 71), (8, 2, 82), (7, 5, 75), (7, 4, 74)] {
            let (entry, reply) = entry(0, Split::Stem, tag, Ticket::unlimited(Some(client), order));
            waiting.push(entry);
            replies.push(reply);
        }
        assert_eq!(waiting.len(), 2);
        // It keeps the turn of the first.
        assert_eq!(take(&mut waiting, 1), [75]);
        assert_eq!(take(&mut waiting, 1), [82]);
        for superseded in [0, 3] {
            let answer = replies[superseded].try_recv().unwrap();
            assert_eq!(answer, Err(QueueError::Superseded));
        }
    }

    #[test]
    fn requests_without_a_stream_are_all_computed() {
        let mut waiting = Waiting::default();
        let mut replies = Vec::new();
        for order in 0..3 {
            let (entry, reply) = entry(0, Split::Stem, 1, Ticket::unlimited(None, order));
            waiting.push(entry);
            replies.push(reply);
        }
        assert_eq!(waiting.len(), 3);
    }

    #[test]
    fn what_is_too_old_is_refused_by_name() {
        let mut waiting = Waiting::default();
        let (old, mut reply) = entry(0, Split::Stem, 1, Ticket::unlimited(None, 0));
        let age = Duration::from_millis(500);
        let late = old.ticket.admitted() + age + Duration::from_millis(1);
        waiting.push(old);
        assert!(waiting.take(8, age, late).is_empty() && waiting.is_empty());
        assert_eq!(reply.try_recv().unwrap(), Err(QueueError::Expired(age)));
        let (hasty, mut reply) = entry(0, Split::Stem, 1, Ticket::unlimited(None, 0));
        let patience = Duration::from_millis(20);
        let late = hasty.ticket.admitted() + Duration::from_millis(21);
        waiting.push(Entry {
            ticket: hasty.ticket.within(patience),
            ..hasty
        });
        assert!(waiting.take(8, age, late).is_empty());
        assert_eq!(
            reply.try_recv().unwrap(),
            Err(QueueError::Expired(patience))
        );
        let (punctual, _reply) = entry(0, Split::Stem, 2, Ticket::unlimited(None, 0));
        let in_time = punctual.ticket.admitted() + age;
        waiting.push(punctual);
        assert_eq!(tags(&waiting.take(8, age, in_time)), [2]);
    }
}

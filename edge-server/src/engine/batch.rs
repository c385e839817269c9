//! Which waiting entries are computed together.

use std::collections::VecDeque;
use std::time::Instant;

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

/// Takes the next batch: the oldest entry, and those behind it that can be computed with it, up
/// to `most`. Entries whose client has left are dropped on the way. Never waits for more.
pub fn take_batch(waiting: &mut VecDeque<Entry>, most: usize) -> Vec<Entry> {
    waiting.retain(|entry| !entry.reply.is_closed());
    let Some(route) = waiting.front().map(|entry| entry.input.route()) else {
        return Vec::new();
    };
    let mut batch = Vec::new();
    let mut others = VecDeque::with_capacity(waiting.len());
    for entry in waiting.drain(..) {
        if batch.len() < most && entry.input.route() == route {
            batch.push(entry);
        } else {
            others.push_back(entry);
        }
    }
    *waiting = others;
    batch
}

#[cfg(test)]
mod tests {
    use aecnn::Split;

    use super::super::CodecId;
    use super::*;

    type Reply = oneshot::Receiver<Result<Finished, QueueError>>;

    fn entry(split: Split, tag: i16) -> (Entry, Reply) {
        let (reply, receiver) = oneshot::channel();
        let entry = Entry {
            input: Input::Latent {
                codec: CodecId { model: 0, codec: 0 },
                split,
                rate: 0,
                symbols: vec![tag],
            },
            reply,
            since: Instant::now(),
            ticket: Ticket::unlimited(),
        };
        (entry, receiver)
    }

    fn tags(entries: &[Entry]) -> Vec<i16> {
        entries
            .iter()
            .map(|entry| match &entry.input {
                Input::Latent { symbols, .. } => symbols[0],
                Input::Picture { .. } => -1,
            })
            .collect()
    }

    #[test]
    fn the_oldest_decides_and_others_keep_their_order() {
        let order = [
            (Split::Stage2, 1),
            (Split::Stem, 2),
            (Split::Stage2, 3),
            (Split::Stage2, 4),
            (Split::Stem, 5),
        ];
        let (entries, _replies): (Vec<_>, Vec<_>) = order
            .into_iter()
            .map(|(split, tag)| entry(split, tag))
            .unzip();
        let mut waiting = VecDeque::from(entries);
        assert_eq!(tags(&take_batch(&mut waiting, 2)), [1, 3]);
        assert_eq!(tags(&take_batch(&mut waiting, 2)), [2, 5]);
        assert_eq!(tags(&take_batch(&mut waiting, 2)), [4]);
        assert!(take_batch(&mut waiting, 2).is_empty());
    }

    #[test]
    fn who_left_is_skipped() {
        let (first, gone) = entry(Split::Stem, 1);
        let (second, _reply) = entry(Split::Stage1, 2);
        drop(gone);
        let mut waiting = VecDeque::from([first, second]);
        assert_eq!(tags(&take_batch(&mut waiting, 8)), [2]);
        assert!(waiting.is_empty());
    }
}

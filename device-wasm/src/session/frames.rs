//! Which frame is encoded next, and which are on their way.

use std::collections::VecDeque;

/// Frames since the session began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct FrameCounts {
    /// Given to the session.
    pub submitted: u64,
    /// Handed to the socket.
    pub sent: u64,
    /// Answered by the server.
    pub answered: u64,
    /// Replaced by a newer frame before they were encoded.
    pub dropped: u64,
    /// Not encoded, refused, or on their way when the link broke.
    pub failed: u64,
}

/// The newest frame wins: at most one waits, and a newer one takes its place, so that no backlog
/// builds up and the labels belong to what the camera sees now.
///
/// `F` is a frame that waits for encoding, `S` what is remembered of one that was sent.
#[derive(Debug)]
pub struct Frames<F, S> {
    waiting: Option<F>,
    encoding: bool,
    on_their_way: VecDeque<(u32, S)>,
    limit: usize,
    counts: FrameCounts,
}

impl<F, S> Frames<F, S> {
    /// At most `limit` frames (at least one) are between the start of their encoding and their
    /// answer.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self {
            waiting: None,
            encoding: false,
            on_their_way: VecDeque::new(),
            limit: limit.max(1),
            counts: FrameCounts::default(),
        }
    }

    /// Puts a frame in line; returns the older one that it replaces.
    pub fn submit(&mut self, frame: F) -> Option<F> {
        self.counts.submitted += 1;
        let replaced = self.waiting.replace(frame);
        self.counts.dropped += u64::from(replaced.is_some());
        replaced
    }

    /// The frame that waits.
    pub fn waiting(&self) -> Option<&F> {
        self.waiting.as_ref()
    }

    /// Whether a frame may be taken now.
    #[must_use]
    pub fn is_free(&self) -> bool {
        !self.encoding && self.on_their_way.len() < self.limit
    }

    /// Takes the frame to encode now, if there is one and the limit leaves room. It must be
    /// followed by [`sent`](Self::sent) or [`failed`](Self::failed).
    pub fn start(&mut self) -> Option<F> {
        if !self.is_free() {
            return None;
        }
        let frame = self.waiting.take()?;
        self.encoding = true;
        Some(frame)
    }

    /// The frame that was started is on its way.
    pub fn sent(&mut self, sequence: u32, sent: S) {
        self.encoding = false;
        self.counts.sent += 1;
        self.on_their_way.push_back((sequence, sent));
    }

    /// The frame that was started could not be encoded or sent.
    pub fn failed(&mut self) {
        self.encoding = false;
        self.counts.failed += 1;
    }

    /// The frame `sequence` was answered: what was remembered of it. `None` when no such frame is
    /// on its way.
    pub fn answered(&mut self, sequence: u32) -> Option<S> {
        let sent = self.forget(sequence)?;
        self.counts.answered += 1;
        Some(sent)
    }

    /// The server refused frame `sequence`.
    pub fn refused(&mut self, sequence: u32) -> Option<S> {
        let sent = self.forget(sequence)?;
        self.counts.failed += 1;
        Some(sent)
    }

    /// The link broke: frames on their way get no answer. Returns how many. The one that waits
    /// stays.
    pub fn link_broke(&mut self) -> usize {
        let lost = self.on_their_way.len();
        self.on_their_way.clear();
        self.counts.failed += lost as u64;
        lost
    }

    /// Frames that were sent and are not answered.
    #[must_use]
    pub fn on_their_way(&self) -> usize {
        self.on_their_way.len()
    }

    /// From now on at most `limit` (at least one) are in flight.
    pub fn set_limit(&mut self, limit: usize) {
        self.limit = limit.max(1);
    }

    /// Takes away the frame that waits.
    pub fn clear_waiting(&mut self) -> Option<F> {
        self.waiting.take()
    }

    /// Frames so far.
    #[must_use]
    pub fn counts(&self) -> FrameCounts {
        self.counts
    }

    fn forget(&mut self, sequence: u32) -> Option<S> {
        let at = self.on_their_way.iter().position(|(s, _)| *s == sequence)?;
        self.on_their_way.remove(at).map(|(_, sent)| sent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(limit: usize) -> Frames<&'static str, &'static str> {
        Frames::new(limit)
    }

    #[test]
    fn the_newest_frame_wins() {
        let mut frames = frames(1);
        assert_eq!(frames.submit("a"), None);
        assert_eq!(frames.submit("b"), Some("a"));
        assert_eq!(frames.submit("c"), Some("b"));
        assert_eq!(frames.start(), Some("c"));
        assert_eq!(frames.start(), None);
        assert_eq!(frames.counts().dropped, 2);
    }

    #[test]
    fn one_at_a_time_until_its_answer() {
        let mut frames = frames(1);
        frames.submit("a");
        assert_eq!(frames.start(), Some("a"));
        frames.submit("b");
        assert_eq!(frames.start(), None, "a is being encoded");
        frames.sent(1, "a");
        assert_eq!(frames.start(), None, "a is on its way");
        assert_eq!(frames.answered(7), None, "nobody asked for 7");
        assert_eq!(frames.answered(1), Some("a"));
        assert_eq!(frames.answered(1), None, "answered twice");
        assert_eq!(frames.start(), Some("b"));
    }

    #[test]
    fn with_a_limit_of_two_the_next_is_encoded_while_one_travels() {
        let mut frames = frames(2);
        frames.submit("a");
        frames.start();
        frames.sent(1, "a");
        frames.submit("b");
        assert_eq!(frames.start(), Some("b"));
        frames.sent(2, "b");
        frames.submit("c");
        assert_eq!(frames.start(), None);
        assert_eq!(frames.refused(1), Some("a"));
        assert_eq!(frames.on_their_way(), 1);
        assert_eq!(frames.start(), Some("c"));
    }

    #[test]
    fn a_broken_link_loses_what_was_on_its_way_and_keeps_what_waits() {
        let mut frames = frames(2);
        for (sequence, name) in [(1, "a"), (2, "b")] {
            frames.submit(name);
            frames.start();
            frames.sent(sequence, name);
        }
        frames.submit("c");
        assert_eq!(frames.link_broke(), 2);
        assert_eq!(frames.answered(1), None);
        assert_eq!(frames.start(), Some("c"));
        frames.failed();
        let counts = frames.counts();
        assert_eq!(
            counts,
            FrameCounts {
                submitted: 3,
                sent: 2,
                answered: 0,
                dropped: 0,
                failed: 3
            }
        );
    }

    #[test]
    fn a_limit_of_zero_means_one() {
        let mut frames = frames(0);
        frames.submit("a");
        assert_eq!(frames.start(), Some("a"));
    }
}

//! Pings: how the link is learnt of while everything runs here and no frame is sent.

use wire::{ClientMessage, Ping};

use super::LinkEstimate;

/// Milliseconds from one ping to the next, and after one whose answer was not as expected.
const EVERY_MS: f64 = 500.0;
const AGAIN_MS: f64 = 100.0;
/// Bytes of the pings, one after the other: of messages of one length alone, the time would not tell the round trip and the
/// rate apart. And where it is in doubt what the link has become: the larger, the more it tells of the rate.
const BYTES: [usize; 2] = [1_600, 200];
const LARGE_BYTES: usize = 4_000;
/// Where no frame was classified for so long, nobody waits for a decision.
const PAUSE_MS: f64 = 2_000.0;
/// What is on its way tells something when it takes so many times as long as expected, and so many milliseconds more.
const OVERDUE: f64 = 1.5;
const OVERDUE_MS: f64 = 100.0;

/// A message on its way whose answer will tell of the link.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pending {
    pub(super) since: f64,
    pub(super) bytes: f64,
    pub(super) server_ms: f64,
    /// The wait that was learnt from already.
    told: f64,
}

impl Pending {
    /// `server_ms` is what the server is expected to take.
    pub(super) fn new(since: f64, bytes: f64, server_ms: f64) -> Self {
        Self {
            since,
            bytes,
            server_ms,
            told: 0.0,
        }
    }

    /// A message that should have been answered by now tells that the link is slower than it was. For `unseen_ms` nobody has
    /// looked whether the answer is there.
    pub(super) fn wait(&mut self, now: f64, unseen_ms: f64, link: &mut LinkEstimate) {
        let waited = now - unseen_ms - self.since - self.server_ms;
        let expected = link.ms(self.bytes).max(self.told);
        if waited > OVERDUE * expected + OVERDUE_MS {
            self.told = waited;
            link.observe(now, self.bytes, waited, 0.0);
        }
    }
}

/// When to ping, and the ping that is on its way. One at a time.
#[derive(Debug, Clone, Default)]
pub(super) struct Probes {
    /// Whether the server answers pings.
    pub(super) possible: bool,
    sent: u32,
    last: Option<f64>,
    out: Option<(u32, Pending)>,
    /// When a frame was last classified here.
    used: Option<f64>,
}

impl Probes {
    /// A frame was classified here.
    pub(super) fn used(&mut self, now: f64) {
        self.used = Some(now);
    }

    /// The text of a ping, if one is due: it is on its way from now on.
    pub(super) fn send(&mut self, now: f64, link: &LinkEstimate) -> Option<String> {
        let within = |at: Option<f64>, ms: f64| at.is_some_and(|at| now - at < ms);
        let id = self.sent;
        let (every, bytes) = if link.is_doubtful() {
            (AGAIN_MS, LARGE_BYTES)
        } else {
            (EVERY_MS, BYTES[id as usize % BYTES.len()])
        };
        let due = self.possible
            && self.out.is_none()
            && within(self.used, PAUSE_MS)
            && !within(self.last, every)
            && !within(link.measured_at(), every);
        if !due {
            return None;
        }
        let text = text(id, bytes)?;
        self.sent = id.wrapping_add(1);
        self.last = Some(now);
        self.out = Some((id, Pending::new(now, text.len() as f64, 0.0)));
        Some(text)
    }

    /// Whether a ping is on its way.
    pub(super) fn is_out(&self) -> bool {
        self.out.is_some()
    }

    /// Time passes.
    pub(super) fn wait(&mut self, now: f64, unseen_ms: f64, link: &mut LinkEstimate) {
        if let Some((_, pending)) = &mut self.out {
            pending.wait(now, unseen_ms, link);
        }
    }

    /// The answer came, of so many bytes; at the latest now, at the earliest `unseen_ms` before.
    pub(super) fn answered(
        &mut self,
        now: f64,
        id: u32,
        bytes: f64,
        unseen_ms: f64,
        link: &mut LinkEstimate,
    ) {
        if let Some((_, pending)) = self.out.take_if(|(out, _)| *out == id) {
            link.observe(now, pending.bytes + bytes, now - pending.since, unseen_ms);
        }
    }

    /// There will be no answer to this one.
    pub(super) fn refused(&mut self, id: u32) {
        self.out.take_if(|(out, _)| *out == id);
    }

    /// There will be no answer.
    pub(super) fn lost(&mut self) {
        self.out = None;
    }
}

/// A ping of so many bytes.
fn text(id: u32, bytes: usize) -> Option<String> {
    let with = |padding: usize| {
        ClientMessage::Ping(Ping {
            id,
            padding: "0".repeat(padding),
        })
        .to_json()
        .ok()
    };
    // One byte of padding brings its field along.
    let around = with(1)?.len() - 1;
    with(bytes.saturating_sub(around))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pings_have_the_bytes_that_they_are_meant_to_have() {
        for bytes in BYTES.into_iter().chain([LARGE_BYTES]) {
            for id in [0, 99, u32::MAX] {
                let text = text(id, bytes).unwrap();
                assert_eq!(text.len(), bytes);
                assert!(matches!(
                    ClientMessage::parse(&text),
                    Ok(ClientMessage::Ping(ping)) if ping.id == id
                ));
            }
        }
    }

    fn probes(now: f64) -> Probes {
        let mut probes = Probes {
            possible: true,
            ..Probes::default()
        };
        probes.used(now);
        probes
    }

    #[test]
    fn one_ping_is_out_at_a_time_and_the_next_goes_later() {
        let mut link = LinkEstimate::default();
        let mut probes = probes(0.0);
        assert!(probes.send(0.0, &link).is_some());
        assert!(probes.send(1_000.0, &link).is_none(), "it is still out");
        probes.answered(1_000.0, 7, 20.0, 0.0, &mut link);
        assert!(probes.is_out(), "nobody has sent the seventh");
        probes.answered(1_000.0, 0, 20.0, 0.0, &mut link);
        assert!(!probes.is_out());
        link.observe(1_100.0, 1_000.0, link.ms(1_000.0), 0.0);
        assert!(probes.send(1_200.0, &link).is_none(), "just measured");
        assert!(probes.send(1_600.0, &link).is_some());
        probes.refused(1);
        assert!(!probes.is_out());
    }

    #[test]
    fn where_no_frames_pass_or_nobody_answers_none_is_sent() {
        let link = LinkEstimate::default();
        assert!(probes(0.0).send(PAUSE_MS, &link).is_none());
        let mut deaf = probes(0.0);
        deaf.possible = false;
        assert!(deaf.send(0.0, &link).is_none());
        assert!(
            Probes {
                possible: true,
                ..Probes::default()
            }
            .send(0.0, &link)
            .is_none()
        );
    }

    #[test]
    fn an_unanswered_ping_tells_that_the_link_is_slow() {
        let mut link = LinkEstimate::default();
        let mut probes = probes(0.0);
        probes.send(0.0, &link).unwrap();
        let before = link.ms(1_000.0);
        probes.wait(before, 0.0, &mut link);
        assert!((link.ms(1_000.0) - before).abs() < 1e-9, "it is in time");
        probes.wait(2_000.0, 1_900.0, &mut link);
        assert!((link.ms(1_000.0) - before).abs() < 1e-9, "nobody looked");
        probes.wait(2_000.0, 0.0, &mut link);
        assert!(link.ms(1_000.0) > 1_000.0, "{}", link.ms(1_000.0));
    }
}

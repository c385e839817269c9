//! One direction of an emulated link.

use std::collections::VecDeque;

use super::random::Random;
use super::{LinkSettings, RESEND_MS};

/// A message that is on its way.
#[derive(Debug)]
struct Travelling<T> {
    what: T,
    bytes: f64,
    /// When its first byte leaves, and when its last one has left; milliseconds.
    begins: f64,
    leaves: f64,
    /// What jitter and loss add.
    late: f64,
    arrives: f64,
}

/// One direction: messages leave one behind the other at the link's rate, travel for half of the round
/// trip, and arrive in order. Times are milliseconds of whatever clock the caller has.
#[derive(Debug)]
pub struct Lane<T> {
    settings: LinkSettings,
    random: Random,
    travelling: VecDeque<Travelling<T>>,
    /// When the last message has left.
    free: f64,
    /// When the last message arrives.
    last: f64,
}

impl<T> Lane<T> {
    /// An empty lane.
    #[must_use]
    pub fn new(settings: LinkSettings, seed: u64) -> Self {
        Self {
            settings,
            random: Random::new(seed),
            travelling: VecDeque::new(),
            free: f64::NEG_INFINITY,
            last: f64::NEG_INFINITY,
        }
    }

    /// Sends a message of so many bytes now; returns when it will arrive.
    pub fn send(&mut self, now: f64, bytes: usize, what: T) -> f64 {
        let late = self.lateness();
        self.push(now, bytes as f64, late, what)
    }

    /// The oldest message that has arrived by now.
    pub fn arrived(&mut self, now: f64) -> Option<T> {
        if self.next_arrival()? > now {
            return None;
        }
        self.travelling.pop_front().map(|message| message.what)
    }

    /// When the next message arrives.
    #[must_use]
    pub fn next_arrival(&self) -> Option<f64> {
        self.travelling.front().map(|message| message.arrives)
    }

    /// Takes every message off the lane, the oldest first, wherever it is.
    pub fn drain(&mut self) -> impl Iterator<Item = T> {
        std::mem::take(&mut self.travelling)
            .into_iter()
            .map(|message| message.what)
    }

    /// Another link from now on, also for the bytes that have not left yet.
    pub fn change(&mut self, now: f64, settings: LinkSettings) {
        self.settings = settings;
        self.free = now;
        self.last = f64::NEG_INFINITY;
        for message in std::mem::take(&mut self.travelling) {
            let whole = message.leaves - message.begins;
            let left = message.leaves - now.max(message.begins);
            if left <= 0.0 || whole <= 0.0 {
                self.last = message.arrives;
                self.travelling.push_back(message);
            } else {
                let bytes = message.bytes * left / whole;
                self.push(now, bytes, message.late, message.what);
            }
        }
    }

    fn push(&mut self, now: f64, bytes: f64, late: f64, what: T) -> f64 {
        let begins = self.free.max(now);
        let leaves = begins + self.settings.ms_for(bytes);
        let arrives = (leaves + self.settings.rtt_ms / 2.0 + late).max(self.last);
        (self.free, self.last) = (leaves, arrives);
        self.travelling.push_back(Travelling {
            what,
            bytes,
            begins,
            leaves,
            late,
            arrives,
        });
        arrives
    }

    fn lateness(&mut self) -> f64 {
        let mut late = self.random.unit() * self.settings.jitter_ms;
        // What is sent again can be lost again; a share below 1 ends it.
        while self.random.unit() < self.settings.loss {
            late += RESEND_MS.max(self.settings.rtt_ms);
        }
        late
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(kbps: f64) -> LinkSettings {
        LinkSettings {
            kbps,
            rtt_ms: 40.0,
            jitter_ms: 0.0,
            loss: 0.0,
        }
    }

    /// Kilobits a second over `messages` of `bytes`, each sent when the one before has arrived, less the
    /// time in the air.
    fn measured(kbps: f64, bytes: usize, messages: usize) -> f64 {
        let mut lane = Lane::new(link(kbps), 1);
        let mut now = 5_000.0;
        let mut sending = 0.0;
        for _ in 0..messages {
            let arrives = lane.send(now, bytes, ());
            assert_eq!(lane.arrived(arrives - 0.01), None);
            assert_eq!(lane.arrived(arrives), Some(()));
            sending += arrives - now - 20.0;
            now = arrives;
        }
        (bytes * messages * 8) as f64 / sending
    }

    #[test]
    fn the_throughput_is_the_dials() {
        for kbps in [50.0, 250.0, 1_000.0, 5_000.0, 20_000.0, 100_000.0] {
            for bytes in [1, 100, 620, 1_500, 10_000, 150_548] {
                let got = measured(kbps, bytes, 20);
                assert!(
                    (got / kbps - 1.0).abs() < 0.1,
                    "{bytes} bytes: {got} of {kbps} kbit/s"
                );
            }
        }
    }

    #[test]
    fn messages_at_once_share_the_rate_and_keep_their_order() {
        let settings = LinkSettings {
            jitter_ms: 100.0,
            loss: 0.2,
            ..link(800.0)
        };
        let mut lane = Lane::new(settings, 7);
        let mut last = 0.0;
        for number in 0..500 {
            let arrives = lane.send(0.0, 100 + number, number);
            assert!(arrives >= last, "no message overtakes another");
            last = arrives;
        }
        let bytes: usize = (0..500).map(|number| 100 + number).sum();
        let sent = (bytes * 8) as f64 / 800.0;
        assert!(last >= sent && last < sent + 3_000.0, "{last} of {sent}");
        let all: Vec<_> = std::iter::from_fn(|| lane.arrived(last)).collect();
        assert_eq!(all, (0..500).collect::<Vec<_>>());
    }

    #[test]
    fn an_idle_link_saves_up_nothing() {
        let mut lane = Lane::new(link(50.0), 1);
        lane.send(0.0, 600, ());
        let arrives = lane.send(60_000.0, 600, ());
        assert!((arrives - 60_000.0 - 96.0 - 20.0).abs() < 1e-6);
    }

    #[test]
    fn loss_and_jitter_delay_the_share_that_they_name() {
        let settings = LinkSettings {
            jitter_ms: 10.0,
            loss: 0.1,
            ..link(100_000.0)
        };
        let mut lane = Lane::new(settings, 3);
        let delays: Vec<f64> = (0..5_000)
            .map(|number| {
                let now = f64::from(number) * 10_000.0;
                let arrives = lane.send(now, 100, ());
                arrives - now - 20.0
            })
            .collect();
        let resent = delays.iter().filter(|delay| **delay > 100.0).count();
        assert!((400..600).contains(&resent), "{resent} of 5000 were resent");
        let jitter: Vec<f64> = delays.into_iter().filter(|delay| *delay < 100.0).collect();
        let mean = jitter.iter().sum::<f64>() / jitter.len() as f64;
        assert!((4.5..5.5).contains(&mean), "{mean}");
    }

    #[test]
    fn the_same_seed_gives_the_same_delays() {
        let settings = LinkSettings {
            jitter_ms: 50.0,
            loss: 0.3,
            ..link(500.0)
        };
        let run = |seed| {
            let mut lane = Lane::new(settings, seed);
            (0..50)
                .map(|n| lane.send(f64::from(n), 300, ()))
                .collect::<Vec<_>>()
        };
        assert_eq!(run(9), run(9));
        assert_ne!(run(9), run(10));
    }

    #[test]
    fn another_dial_holds_for_the_bytes_that_have_not_left() {
        let mut lane = Lane::new(link(80.0), 1);
        // 10,000 bytes take a second. After half of it the link becomes ten times as fast.
        lane.send(0.0, 10_000, "first");
        lane.send(0.0, 10_000, "second");
        lane.change(500.0, link(800.0));
        assert_eq!(lane.next_arrival(), Some(500.0 + 50.0 + 20.0));
        assert_eq!(lane.arrived(570.0), Some("first"));
        assert_eq!(lane.next_arrival(), Some(550.0 + 100.0 + 20.0));
        assert_eq!(lane.drain().collect::<Vec<_>>(), ["second"]);
        assert_eq!(lane.next_arrival(), None);
    }
}

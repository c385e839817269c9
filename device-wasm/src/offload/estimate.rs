//! What the link does, learnt from frames and their answers.

/// Milliseconds a byte of a link that nothing is known of: 5 Mbit/s.
const FIRST_PACE: f64 = 8.0 / 5_000.0;
/// A link is never taken for faster: 1 Gbit/s.
const LEAST_PACE: f64 = 8.0 / 1e6;
/// An innovation of so many standard deviations is a surprise.
const SURPRISE: f64 = 3.0;
/// And of so many it gives reason to measure again soon.
const DOUBT: f64 = 1.5;
/// What was last measured so many milliseconds ago may have changed meanwhile.
pub(super) const STALE_MS: f64 = 3_000.0;
/// By one measurement a link becomes at most so many times as fast: a small message tells little of large ones.
const LEAP: f64 = 20.0;
/// Smaller messages tell nothing of the rate.
const LEAST_BYTES: f64 = 200.0;

/// The round trip and the rate of a link, by a Kalman filter over `time = round trip + pace x bytes`.
///
/// Two surprises in a row mean that the link has changed: what was known is then worth little, and the rate is
/// suspected before the round trip. A single one is taken for a hiccup, such as a packet that had to be sent again,
/// unless nothing was measured for a while before it.
#[derive(Debug, Clone)]
pub struct LinkEstimate {
    /// Milliseconds.
    rtt: f64,
    /// Milliseconds a byte.
    pace: f64,
    /// Covariance: of the round trip, of both, of the pace.
    p: [f64; 3],
    at: Option<f64>,
    /// Sign of the last innovation if it was a surprise, else 0.
    surprise: f64,
    doubtful: bool,
    changes: u32,
}

impl Default for LinkEstimate {
    fn default() -> Self {
        Self {
            rtt: 30.0,
            pace: FIRST_PACE,
            p: [60.0 * 60.0, 0.0, 0.01 * 0.01],
            at: None,
            surprise: 0.0,
            doubtful: false,
            changes: 0,
        }
    }
}

impl LinkEstimate {
    /// Milliseconds there and back, without the time that bytes take.
    #[must_use]
    pub fn rtt_ms(&self) -> f64 {
        self.rtt
    }

    /// Kilobits a second.
    #[must_use]
    pub fn kbps(&self) -> f64 {
        8.0 / self.pace
    }

    /// Whether nothing was measured, or not for [`STALE_MS`].
    #[must_use]
    pub fn is_stale(&self, now: f64) -> bool {
        self.at.is_none_or(|at| now - at > STALE_MS)
    }

    /// When something was last measured.
    #[must_use]
    pub fn measured_at(&self) -> Option<f64> {
        self.at
    }

    /// Whether the last measurement was not as expected: another one will tell whether the link has changed.
    #[must_use]
    pub fn is_doubtful(&self) -> bool {
        self.doubtful
    }

    /// How often the link has changed.
    #[must_use]
    pub fn changes(&self) -> u32 {
        self.changes
    }

    /// Milliseconds that so many bytes, up and down together, take there and back.
    #[must_use]
    pub fn ms(&self, bytes: f64) -> f64 {
        self.rtt + self.pace * bytes
    }

    /// The standard deviation of [`ms`](Self::ms).
    #[must_use]
    pub fn uncertainty(&self, bytes: f64) -> f64 {
        self.variance(bytes).max(0.0).sqrt()
    }

    /// Of the time that a frame spent in the network, the answer's share: half of the round trip and the time of
    /// the answer's bytes.
    #[must_use]
    pub fn answer_ms(&self, down_bytes: f64, network_ms: f64) -> f64 {
        (self.rtt / 2.0 + self.pace * down_bytes).clamp(0.0, network_ms.max(0.0))
    }

    /// A message was answered: its bytes and the answer's, and the time they spent in the network. It may have been up to
    /// `unseen_ms` less, where nobody looked so long.
    pub fn observe(&mut self, now: f64, bytes: f64, ms: f64, unseen_ms: f64) {
        if !ms.is_finite() || ms < 0.0 {
            return;
        }
        let unseen = unseen_ms.clamp(0.0, ms);
        let most = ms;
        let ms = ms - unseen / 2.0;
        let news = self.is_stale(now);
        let passed = self.at.map_or(0.0, |at| (now - at).clamp(0.0, 10_000.0)) / 1e3;
        self.at = Some(now);
        self.p[0] += 25.0 * passed;
        self.p[2] += (0.1 * self.pace).powi(2) * passed;

        let innovation = ms - self.ms(bytes);
        // The last is the variance of a moment somewhere in that time.
        let mut noise = 4.0 + (0.08 * ms).powi(2) + unseen * unseen / 12.0;
        let expected = self.variance(bytes) + noise;
        let beyond = innovation * innovation / (SURPRISE * SURPRISE * expected);
        self.doubtful = beyond > (DOUBT / SURPRISE).powi(2);
        if beyond <= 1.0 {
            self.surprise = 0.0;
        } else if news || self.surprise == innovation.signum() {
            self.surprise = 0.0;
            // By half: what was learnt of large and small messages is worth little.
            self.changes += u32::from(innovation.abs() > 0.5 * self.ms(bytes));
            let per_byte = innovation / bytes.max(LEAST_BYTES);
            let share = if news { 0.6 } else { 0.3 };
            self.p[0] += (share * innovation).powi(2);
            self.p[2] += per_byte * per_byte;
        } else {
            self.surprise = innovation.signum();
            // As much less believed as it is unlikely.
            noise += expected * (beyond - 1.0);
        }
        self.update(bytes, innovation, noise);
        // Delays have many reasons, but no message is sooner than the link allows.
        self.rtt = self.rtt.min(most);
        self.pace = self.pace.min(most / bytes.max(1.0)).max(LEAST_PACE);
    }

    fn variance(&self, bytes: f64) -> f64 {
        let [rtt, both, pace] = self.p;
        rtt + 2.0 * bytes * both + bytes * bytes * pace
    }

    fn update(&mut self, bytes: f64, innovation: f64, noise: f64) {
        let [rtt, both, pace] = self.p;
        let to_rtt = rtt + bytes * both;
        let to_pace = both + bytes * pace;
        let total = self.variance(bytes) + noise;
        let (gain_rtt, gain_pace) = (to_rtt / total, to_pace / total);
        self.rtt = (self.rtt + gain_rtt * innovation).max(0.0);
        self.pace = (self.pace + gain_pace * innovation)
            .max(self.pace / LEAP)
            .max(LEAST_PACE);
        self.p = [
            rtt - gain_rtt * to_rtt,
            both - gain_rtt * to_pace,
            pace - gain_pace * to_pace,
        ];
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::Random;

    /// Frames of `bytes` and a tenth more or less over a link, twenty a second.
    fn feed(
        estimate: &mut LinkEstimate,
        from: f64,
        frames: u32,
        bytes: f64,
        kbps: f64,
        rtt: f64,
    ) -> f64 {
        let mut random = Random::new(5);
        let mut now = from;
        for _ in 0..frames {
            let bytes = bytes * (0.9 + 0.2 * random.unit());
            let ms = rtt + bytes * 8.0 / kbps + 2.0 * random.unit();
            now += 50.0 + ms;
            estimate.observe(now, bytes, ms, 0.0);
        }
        now
    }

    #[test]
    fn what_was_sent_is_predicted() {
        for (kbps, rtt) in [
            (250.0, 40.0),
            (1_000.0, 40.0),
            (5_000.0, 10.0),
            (50_000.0, 80.0),
        ] {
            let mut estimate = LinkEstimate::default();
            feed(&mut estimate, 0.0, 30, 2_000.0, kbps, rtt);
            let (got, right) = (estimate.ms(2_000.0), rtt + 16_000.0 / kbps);
            assert!(
                (got / right - 1.0).abs() < 0.1,
                "{got} of {right} ms at {kbps} kbit/s"
            );
        }
    }

    #[test]
    fn frames_of_several_sizes_tell_rate_and_round_trip_apart() {
        let mut estimate = LinkEstimate::default();
        let mut now = 0.0;
        for _ in 0..20 {
            now = feed(&mut estimate, now, 1, 1_000.0, 500.0, 60.0);
            now = feed(&mut estimate, now, 1, 10_000.0, 500.0, 60.0);
        }
        assert!(
            (estimate.kbps() / 500.0 - 1.0).abs() < 0.1,
            "{}",
            estimate.kbps()
        );
        assert!(
            (estimate.rtt_ms() - 61.0).abs() < 12.0,
            "{}",
            estimate.rtt_ms()
        );
    }

    #[test]
    fn a_changed_link_is_noticed_within_a_few_frames() {
        let mut estimate = LinkEstimate::default();
        let now = feed(&mut estimate, 0.0, 40, 1_200.0, 20_000.0, 40.0);
        let now = feed(&mut estimate, now, 3, 1_200.0, 250.0, 40.0);
        let right = 40.0 + 1_200.0 * 8.0 / 250.0;
        assert!(
            (estimate.ms(1_200.0) / right - 1.0).abs() < 0.15,
            "{}",
            estimate.ms(1_200.0)
        );
        feed(&mut estimate, now, 4, 1_200.0, 20_000.0, 40.0);
        assert!(
            (estimate.ms(1_200.0) - 41.0).abs() < 8.0,
            "{}",
            estimate.ms(1_200.0)
        );
    }

    #[test]
    fn a_single_hiccup_changes_little() {
        let mut estimate = LinkEstimate::default();
        let now = feed(&mut estimate, 0.0, 40, 1_200.0, 5_000.0, 40.0);
        let before = estimate.ms(1_200.0);
        estimate.observe(now + 300.0, 1_200.0, before + 240.0, 0.0);
        let after = estimate.ms(1_200.0);
        assert!(after < before * 1.4, "{before} became {after}");
    }

    #[test]
    fn a_link_is_never_slower_than_what_came_over_it() {
        let mut estimate = LinkEstimate::default();
        let mut now = feed(&mut estimate, 0.0, 40, 1_800.0, 1_000.0, 80.0);
        // Large and small ones in turn, over a link that has become fast: what is learnt of the one must not be blamed on
        // the other.
        for turn in 0..20 {
            let bytes = if turn % 3 == 0 { 150_000.0 } else { 1_800.0 };
            now = feed(&mut estimate, now, 1, bytes, 50_000.0, 20.0);
            let last = 20.0 + bytes * 1.1 * 8.0 / 50_000.0 + 2.0;
            assert!(estimate.rtt_ms() <= last, "{} ms", estimate.rtt_ms());
        }
        assert!(estimate.ms(1_800.0) < 30.0, "{}", estimate.ms(1_800.0));
    }

    #[test]
    fn what_was_seen_late_tells_less() {
        let mut estimate = LinkEstimate::default();
        let now = feed(&mut estimate, 0.0, 40, 1_200.0, 5_000.0, 40.0);
        let late = |unseen: f64| {
            let mut estimate = estimate.clone();
            for turn in 1..=3 {
                let ms = estimate.ms(1_200.0).max(42.0) + 80.0;
                estimate.observe(now + 500.0 * f64::from(turn), 1_200.0, ms, unseen);
            }
            estimate.ms(1_200.0)
        };
        assert!(late(0.0) > 100.0, "{}", late(0.0));
        assert!(late(100.0) < 70.0, "{}", late(100.0));
    }

    #[test]
    fn the_answers_share_is_at_most_what_there_is() {
        let mut estimate = LinkEstimate::default();
        feed(&mut estimate, 0.0, 30, 2_000.0, 1_000.0, 40.0);
        assert_eq!(estimate.answer_ms(500.0, 3.0), 3.0);
        let share = estimate.answer_ms(500.0, 100.0);
        assert!((share - 24.0).abs() < 8.0, "{share}");
    }
}

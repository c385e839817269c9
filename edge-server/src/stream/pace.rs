//! How many frames a second a client may send.

use std::time::{Duration, Instant};

/// A bucket that fills at the allowed rate and holds two seconds' worth, so that a burst after a
/// pause is fine and a steady excess is not.
#[derive(Debug)]
pub(super) struct Pace {
    per_second: f64,
    left: f64,
    at: Instant,
}

impl Pace {
    /// At most `per_second` frames a second, on average.
    pub(super) fn new(per_second: u16, now: Instant) -> Self {
        let per_second = f64::from(per_second);
        Self {
            per_second,
            left: 2.0 * per_second,
            at: now,
        }
    }

    /// Whether a frame at `now` is within the rate; takes its share if so.
    pub(super) fn allows(&mut self, now: Instant) -> bool {
        let passed: Duration = now.saturating_duration_since(self.at);
        self.at = now;
        self.left = (self.left + passed.as_secs_f64() * self.per_second).min(2.0 * self.per_second);
        if self.left >= 1.0 {
            self.left -= 1.0;
            true
        } else {
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_fine_and_a_steady_excess_is_not() {
        let start = Instant::now();
        let mut pace = Pace::new(10, start);
        assert_eq!((0..30).filter(|_| pace.allows(start)).count(), 20);
        // A second later, a second's worth is there again.
        let later = start + Duration::from_secs(1);
        assert_eq!((0..30).filter(|_| pace.allows(later)).count(), 10);
        // Twice the rate for ten seconds: half of it passes.
        let passed = (0..200u32)
            .filter(|n| pace.allows(later + Duration::from_millis(u64::from(*n) * 50)))
            .count();
        assert!((98..=101).contains(&passed), "{passed}");
    }
}

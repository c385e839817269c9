//! How much of something may come in a second.

use std::time::Instant;

/// Fills at the allowed rate and holds two seconds' worth, so that a burst after a pause is fine
/// and a steady excess is not.
#[derive(Debug)]
pub struct Bucket {
    per_second: f64,
    left: f64,
    at: Instant,
}

impl Bucket {
    /// At most `per_second` a second, on average.
    #[must_use]
    pub fn new(per_second: u32, now: Instant) -> Self {
        let per_second = f64::from(per_second);
        Self {
            per_second,
            left: 2.0 * per_second,
            at: now,
        }
    }

    /// Whether `amount` is left at `now`. What is more than the whole bucket may pass when it is
    /// full, or it could never pass.
    pub fn has(&mut self, amount: f64, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.at);
        self.at = self.at.max(now);
        self.left = (self.left + passed.as_secs_f64() * self.per_second).min(self.whole());
        self.left >= amount.min(self.whole())
    }

    /// Takes `amount` out; what is too much is paid by those that come later.
    pub fn take(&mut self, amount: f64) {
        self.left -= amount;
    }

    /// Whether nothing is missing at `now`.
    pub fn is_full(&mut self, now: Instant) -> bool {
        self.has(self.whole(), now)
    }

    fn whole(&self) -> f64 {
        2.0 * self.per_second
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn allows(bucket: &mut Bucket, amount: f64, now: Instant) -> bool {
        let has = bucket.has(amount, now);
        if has {
            bucket.take(amount);
        }
        has
    }

    #[test]
    fn a_burst_is_fine_and_a_steady_excess_is_not() {
        let start = Instant::now();
        let mut bucket = Bucket::new(10, start);
        assert_eq!(
            (0..30).filter(|_| allows(&mut bucket, 1.0, start)).count(),
            20
        );
        // A second later, a second's worth is there again.
        let later = start + Duration::from_secs(1);
        assert_eq!(
            (0..30).filter(|_| allows(&mut bucket, 1.0, later)).count(),
            10
        );
        // Twice the rate for ten seconds: half of it passes.
        let passed = (0..200u32)
            .filter(|n| {
                let now = later + Duration::from_millis(u64::from(*n) * 50);
                allows(&mut bucket, 1.0, now)
            })
            .count();
        assert!((98..=101).contains(&passed), "{passed}");
    }

    #[test]
    fn more_than_the_bucket_passes_alone() {
        let start = Instant::now();
        let mut bucket = Bucket::new(10, start);
        assert!(allows(&mut bucket, 50.0, start));
        assert!(!allows(&mut bucket, 1.0, start + Duration::from_secs(2)));
        assert!(allows(&mut bucket, 1.0, start + Duration::from_secs(4)));
    }
}

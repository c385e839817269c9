//! How long to wait before the next attempt to connect.

/// Exponential backoff with jitter: after a server's restart its clients do not all come back in
/// the same moment.
#[derive(Debug, Clone)]
pub struct Backoff {
    attempt: u32,
}

/// The first wait, in milliseconds, before jitter.
pub const FIRST_MS: f64 = 250.0;
/// The longest wait, in milliseconds.
pub const LONGEST_MS: f64 = 10_000.0;

impl Backoff {
    /// Begins with the shortest wait.
    #[must_use]
    pub const fn new() -> Self {
        Self { attempt: 0 }
    }

    /// The next wait in milliseconds: it doubles with each call up to [`LONGEST_MS`], and
    /// `random` (0 to 1) chooses within the upper half of it.
    pub fn next_ms(&mut self, random: f64) -> f64 {
        // 2^16 times the first wait is far above the longest.
        let doubled = FIRST_MS * f64::from(1u32 << self.attempt.min(16));
        self.attempt = self.attempt.saturating_add(1);
        doubled.min(LONGEST_MS) * random.clamp(0.0, 1.0).midpoint(1.0)
    }

    /// Attempts since the last success.
    #[must_use]
    pub const fn attempts(&self) -> u32 {
        self.attempt
    }

    /// After a success: the next wait is the shortest again.
    pub fn reset(&mut self) {
        self.attempt = 0;
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_to_the_longest() {
        let mut backoff = Backoff::new();
        let waits: Vec<f64> = (0..8).map(|_| backoff.next_ms(1.0)).collect();
        assert_eq!(waits[..4], [250.0, 500.0, 1000.0, 2000.0]);
        assert_eq!(waits[7], LONGEST_MS);
        backoff.reset();
        assert_eq!(backoff.next_ms(1.0), FIRST_MS);
    }

    #[test]
    fn jitter_takes_at_most_half() {
        assert_eq!(Backoff::new().next_ms(0.0), FIRST_MS / 2.0);
        assert_eq!(Backoff::new().next_ms(0.5), FIRST_MS * 0.75);
    }

    #[test]
    fn many_attempts_do_not_overflow() {
        let mut backoff = Backoff::new();
        for _ in 0..200 {
            assert!(backoff.next_ms(1.0) <= LONGEST_MS);
        }
    }
}

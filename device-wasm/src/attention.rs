//! When a thread that also computes has looked what has come.

/// What was there when the work ended is taken up within so many milliseconds.
const AT_ONCE_MS: f64 = 1.5;

/// The last stretch of work in which nobody looked. Times are milliseconds of whatever clock the caller has.
#[derive(Debug, Clone, Copy, Default)]
pub struct Attention {
    since: f64,
    unseen: [f64; 2],
}

impl Attention {
    /// Work begins: from now on nobody looks.
    pub fn work(&mut self, now: f64) {
        self.since = now;
    }

    /// Work ends, or is interrupted: what has come is taken up.
    pub fn look(&mut self, now: f64) {
        self.unseen = [self.since, now];
        self.since = now;
    }

    /// For how long what is taken up now may have been there.
    #[must_use]
    pub fn unseen_ms(&self, now: f64) -> f64 {
        let [since, until] = self.unseen;
        if now - until <= AT_ONCE_MS {
            (until - since).max(0.0)
        } else {
            0.0
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_while_nobody_works_is_seen_at_once() {
        let mut attention = Attention::default();
        attention.work(100.0);
        attention.look(140.0);
        assert_eq!(attention.unseen_ms(140.5), 40.0);
        assert_eq!(attention.unseen_ms(145.0), 0.0);
        attention.look(190.0);
        assert_eq!(attention.unseen_ms(190.0), 50.0, "an interruption is short");
        attention.work(300.0);
        attention.look(310.0);
        assert_eq!(attention.unseen_ms(310.0), 10.0);
    }
}

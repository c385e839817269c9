//! The learning rate over the steps of a run.

use std::f64::consts::PI;

/// A linear rise over the first steps, then half a cosine down to zero.
#[derive(Debug, Clone, Copy)]
pub(super) struct Schedule {
    pub(super) peak: f64,
    pub(super) warm_up: u64,
    pub(super) steps: u64,
}

impl Schedule {
    /// The rate of a step, from 0.
    pub(super) fn rate(self, step: u64) -> f64 {
        if step < self.warm_up {
            return self.peak * (step + 1) as f64 / (self.warm_up + 1) as f64;
        }
        let length = self.steps.saturating_sub(self.warm_up).max(1);
        let share = (step - self.warm_up) as f64 / length as f64;
        self.peak * 0.5 * (1.0 + (PI * share.min(1.0)).cos())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rises_then_falls_to_almost_nothing() {
        let schedule = Schedule {
            peak: 2.0,
            warm_up: 4,
            steps: 100,
        };
        let rates: Vec<f64> = (0..100).map(|step| schedule.rate(step)).collect();
        assert!((rates[0] - 0.4).abs() < 1e-12);
        assert!((rates[4] - 2.0).abs() < 1e-12);
        assert!(rates[..5].is_sorted());
        assert!(rates[4..].is_sorted_by(|a, b| a >= b));
        assert!(rates[99] < 0.01);
    }
}

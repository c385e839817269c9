//! When to stop before the end: the user's interrupt, or a time budget.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// Asked between steps.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stop {
    interrupted: Arc<AtomicBool>,
    deadline: Option<Instant>,
}

impl Stop {
    /// Stops on ctrl-C (a second one ends the program at once) and after `minutes`.
    pub(crate) fn install(minutes: Option<f64>) -> Result<Self> {
        let stop = Self {
            interrupted: Arc::default(),
            deadline: minutes
                .map(|minutes| Instant::now() + Duration::from_secs_f64(60.0 * minutes.max(0.0))),
        };
        let flag = Arc::clone(&stop.interrupted);
        ctrlc::set_handler(move || {
            if flag.swap(true, Ordering::Relaxed) {
                std::process::exit(130);
            }
            eprintln!("finishing the step; again to end at once");
        })
        .context("listening for ctrl-C")?;
        Ok(stop)
    }

    /// Whether it is time.
    pub(crate) fn now(&self) -> bool {
        self.interrupted.load(Ordering::Relaxed)
            || self
                .deadline
                .is_some_and(|deadline| Instant::now() >= deadline)
    }

    #[cfg(test)]
    pub(crate) fn interrupt(&self) {
        self.interrupted.store(true, Ordering::Relaxed);
    }
}

//! When to stop before the end: the user's interrupt, or a time budget.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// Set by ctrl-C; a program listens once, however often it trains.
static INTERRUPTED: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// Asked between steps.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stop {
    interrupted: Arc<AtomicBool>,
    deadline: Option<Instant>,
}

impl Stop {
    /// Stops on ctrl-C (a second one ends the program at once) and after `minutes`.
    pub(crate) fn install(minutes: Option<f64>) -> Result<Self> {
        let interrupted = match INTERRUPTED.get() {
            Some(flag) => Arc::clone(flag),
            None => {
                let flag = Arc::<AtomicBool>::default();
                let pressed = Arc::clone(&flag);
                ctrlc::set_handler(move || {
                    if pressed.swap(true, Ordering::Relaxed) {
                        std::process::exit(130);
                    }
                    eprintln!("finishing the step; again to end at once");
                })
                .context("listening for ctrl-C")?;
                Arc::clone(INTERRUPTED.get_or_init(|| flag))
            }
        };
        Ok(Self {
            interrupted,
            deadline: minutes
                .map(|minutes| Instant::now() + Duration::from_secs_f64(60.0 * minutes.max(0.0))),
        })
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

//! Progress bars, and a word on pictures that could not be read.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// A bar over `length` pictures, on standard error.
pub(crate) fn bar(length: usize, what: &'static str) -> ProgressBar {
    let bar = ProgressBar::new(length as u64).with_message(what);
    if let Ok(style) = ProgressStyle::with_template(
        "{msg:>24} [{bar:32}] {pos}/{len} {per_sec:>10} {elapsed} left {eta}",
    ) {
        bar.set_style(style.progress_chars("=> "));
    }
    bar.enable_steady_tick(Duration::from_millis(500));
    bar
}

/// Names pictures that were skipped.
pub(crate) fn report_broken(bar: &ProgressBar, broken: &[anyhow::Error]) {
    for error in broken {
        bar.suspend(|| eprintln!("skipped: {error:#}"));
    }
}

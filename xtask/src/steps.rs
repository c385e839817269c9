//! What is being done, how long it took, and how it ended. The only place that prints.

use std::time::{Duration, Instant};

use anyhow::Result;

/// Prints a line.
#[expect(
    clippy::print_stdout,
    reason = "a command line program talks to its user"
)]
pub(crate) fn say(line: &str) {
    println!("{line}");
}

/// Prints an error.
#[expect(
    clippy::print_stderr,
    reason = "a command line program talks to its user"
)]
pub(crate) fn complain(line: &str) {
    eprintln!("error: {line}");
}

/// Does a step: prints its name before, its time after.
pub(crate) fn step<T>(name: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    say(&format!("==> {name}"));
    let start = Instant::now();
    let result = work();
    let outcome = if result.is_ok() { "done" } else { "FAILED" };
    say(&format!("    {outcome} in {}", seconds(start.elapsed())));
    result
}

/// A time for people.
pub(crate) fn seconds(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    if seconds < 100.0 {
        format!("{seconds:.1} s")
    } else {
        format!("{} min {:02} s", time.as_secs() / 60, time.as_secs() % 60)
    }
}

/// A size for people.
pub(crate) fn kilobytes(bytes: u64) -> String {
    format!("{} KB", bytes.div_ceil(1000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_sizes_are_readable() {
        assert_eq!(seconds(Duration::from_millis(1234)), "1.2 s");
        assert_eq!(seconds(Duration::from_secs(605)), "10 min 05 s");
        assert_eq!(kilobytes(1), "1 KB");
        assert_eq!(kilobytes(2000), "2 KB");
    }
}

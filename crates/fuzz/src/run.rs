//! A target's run.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use fastrand::Rng;

use crate::targets::Target;

/// When a run ends.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// After so many executions.
    pub executions: u64,
    /// Or after this time.
    pub time: Duration,
}

/// What a run gave.
#[derive(Debug)]
pub struct Outcome {
    /// How often the target was run.
    pub executions: u64,
    /// How many inputs it took as right.
    pub accepted: u64,
    /// How long it took.
    pub time: Duration,
    /// The longest time for one input.
    pub slowest: Duration,
    /// The first input that made it panic.
    pub crash: Option<Vec<u8>>,
}

/// Runs a target on its examples as they are, then on changed ones.
#[must_use]
pub fn run(target: &Target, bounds: Bounds, seed: u64) -> Outcome {
    let mut random = Rng::with_seed(seed);
    let started = Instant::now();
    let mut outcome = Outcome {
        executions: 0,
        accepted: 0,
        time: Duration::ZERO,
        slowest: Duration::ZERO,
        crash: None,
    };
    let examples = &target.examples;
    let mut input = Vec::new();
    while outcome.executions < bounds.executions && started.elapsed() < bounds.time {
        let n = usize::try_from(outcome.executions).unwrap_or(usize::MAX);
        input.clear();
        if n < examples.len() {
            input.extend(&examples[n]);
        } else {
            input.extend(&examples[random.usize(..examples.len())]);
            let other = &examples[random.usize(..examples.len())];
            (target.change)(&mut input, other, target.longest, &mut random);
        }
        let began = Instant::now();
        let result = catch_unwind(AssertUnwindSafe(|| (target.check)(&input)));
        outcome.slowest = outcome.slowest.max(began.elapsed());
        outcome.executions += 1;
        match result {
            Ok(accepted) => outcome.accepted += u64::from(accepted),
            Err(_) => {
                outcome.crash = Some(input);
                break;
            }
        }
    }
    outcome.time = started.elapsed();
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mutate::mutate;
    use crate::targets::all;

    const BOUNDS: Bounds = Bounds {
        executions: 20_000,
        time: Duration::from_secs(6),
    };

    #[test]
    fn no_parser_panics_on_changed_examples() {
        for target in all().unwrap() {
            let outcome = run(&target, BOUNDS, 1);
            assert_eq!(outcome.crash, None, "{} panicked", target.name);
            let right = target.examples.len() as u64;
            for example in &target.examples {
                assert!(example.len() < target.longest, "{}", target.name);
            }
            assert!(outcome.executions > 100, "{}: {outcome:?}", target.name);
            assert!(
                outcome.accepted >= right,
                "{}: its own examples are not right: {outcome:?}",
                target.name
            );
        }
    }

    #[test]
    fn a_panic_is_found_and_its_input_kept() {
        let target = Target {
            name: "fragile",
            examples: vec![b"abc".to_vec()],
            longest: 10,
            change: mutate,
            check: Box::new(|bytes| {
                assert_ne!(bytes.first(), Some(&b'z'));
                true
            }),
        };
        let bounds = Bounds {
            executions: 1_000_000,
            time: Duration::from_secs(60),
        };
        let crash = run(&target, bounds, 3).crash.expect("it is found");
        assert_eq!(crash[0], b'z');
    }
}

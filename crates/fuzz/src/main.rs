//! `aecnn-fuzz`: runs the targets for longer than the tests do, and says how often.

#![forbid(unsafe_code)]
// What it prints is what it is for.
#![allow(clippy::print_stdout)]

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Parser;
use fuzz::run::{Bounds, run};
use fuzz::targets::all;

/// Runs every parser that reads a stranger's bytes on examples that were changed at random.
#[derive(Debug, Parser)]
#[command(name = "aecnn-fuzz", version)]
struct Arguments {
    /// Run only the targets whose name contains this.
    #[arg(value_name = "TARGET")]
    only: Option<String>,

    /// The most seconds for each target.
    #[arg(long, default_value_t = 60, value_name = "SECONDS")]
    seconds: u64,

    /// The most executions of each target.
    #[arg(long, default_value_t = u64::MAX, value_name = "N")]
    executions: u64,

    /// Where the random numbers begin; another number tries other changes.
    #[arg(long, default_value_t = 1, value_name = "N")]
    seed: u64,

    /// Where an input that made a target panic is written.
    #[arg(long, default_value = "fuzz-crashes", value_name = "DIR")]
    crashes: PathBuf,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let bounds = Bounds {
        executions: arguments.executions,
        time: Duration::from_secs(arguments.seconds),
    };
    let mut crashed = Vec::new();
    let mut sum = 0;
    println!(
        "| target | executions | taken as right | a second | slowest input | panics |\n|---|---|---|---|---|---|"
    );
    for target in all()? {
        if arguments
            .only
            .as_ref()
            .is_some_and(|only| !target.name.contains(only.as_str()))
        {
            continue;
        }
        let outcome = run(&target, bounds, arguments.seed);
        sum += outcome.executions;
        println!(
            "| {} | {} | {} | {:.0} | {:.1} ms | {} |",
            target.name,
            outcome.executions,
            outcome.accepted,
            outcome.executions as f64 / outcome.time.as_secs_f64(),
            outcome.slowest.as_secs_f64() * 1000.0,
            u8::from(outcome.crash.is_some()),
        );
        if let Some(input) = outcome.crash {
            std::fs::create_dir_all(&arguments.crashes)?;
            let file = arguments.crashes.join(target.name);
            std::fs::write(&file, input).context("the input cannot be kept")?;
            crashed.push(file.display().to_string());
        }
    }
    println!("| all | {sum} | | | | {} |", crashed.len());
    if crashed.is_empty() {
        Ok(())
    } else {
        bail!("inputs that cause a panic: {}", crashed.join(", "))
    }
}

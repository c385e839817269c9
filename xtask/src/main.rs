//! The project's chores. `cargo xtask demo` shows it, `cargo xtask test` checks it; both need
//! only rustup and Node.js and install the rest themselves where they can.

mod bench;
mod demo;
mod deploy;
mod package;
mod page;
mod process;
mod servers;
mod steps;
mod suites;
mod tools;
mod wasm;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "The project's chores")]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Builds everything, starts the server and opens the page.
    Demo(demo::DemoOptions),
    /// Runs every parser of strangers' bytes on changed examples (`aecnn-fuzz --help`).
    Fuzz(servers::PassedOn),
    /// Kills servers behind HAProxy under load (`aecnn-load replicas --help`).
    Replicas(servers::PassedOn),
    /// Besets a server with good and bad clients (`aecnn-load soak --help`).
    Soak(servers::SoakOptions),
    /// Runs every check and every test; ends with how many passed and failed.
    Test(suites::TestOptions),
    /// Measures this project beside what people would use instead.
    Bench(bench::BenchOptions),
    /// Builds the browser packages into web/pkg.
    Wasm(wasm::WasmOptions),
    /// Packs the device for npm, into target/npm.
    Package(wasm::WasmOptions),
    /// Takes the README's pictures of the page, light and dark, wide and narrow.
    Screenshots,
    /// Prints what the page costs: bytes and time to the first label, and the longest task.
    Budget,
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().chore {
        Chore::Demo(options) => demo::run(&options),
        Chore::Fuzz(options) => servers::fuzz(&options),
        Chore::Replicas(options) => servers::replicas(&options),
        Chore::Soak(options) => servers::soak(&options),
        Chore::Test(options) => suites::run(&options),
        Chore::Bench(options) => bench::run(&options),
        Chore::Wasm(options) => wasm::run(&options),
        Chore::Package(options) => package::run(&options),
        Chore::Screenshots => page::run("tests/screenshot.mjs", Vec::new()),
        Chore::Budget => page::run("tests/budget.mjs", Vec::new()),
    };
    match outcome {
        Ok(code) => code,
        Err(error) => {
            steps::complain(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

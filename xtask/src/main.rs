//! The project's chores. `cargo xtask demo` shows it, `cargo xtask test` checks it; both need
//! only rustup and Node.js and install the rest themselves where they can.

mod bench;
mod demo;
mod native;
mod process;
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
    /// Runs every check and every test; ends with how many passed and failed.
    Test(suites::TestOptions),
    /// Measures this project beside what people would use instead.
    Bench(bench::BenchOptions),
    /// Builds the browser packages into web/pkg.
    Wasm(wasm::WasmOptions),
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().chore {
        Chore::Demo(options) => demo::run(&options),
        Chore::Test(options) => suites::run(&options),
        Chore::Bench(options) => bench::run(&options),
        Chore::Wasm(options) => wasm::run(&options),
    };
    match outcome {
        Ok(code) => code,
        Err(error) => {
            steps::complain(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

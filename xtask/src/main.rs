//! The project's chores. `cargo xtask demo` shows it, `cargo xtask test` checks it; both need
//! only rustup and Node.js and install the rest themselves where they can.

mod demo;
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
    /// Builds the browser packages into web/pkg.
    Wasm(wasm::WasmOptions),
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().chore {
        Chore::Demo(options) => demo::run(&options),
        Chore::Fuzz(options) => servers::fuzz(&options),
        Chore::Replicas(options) => servers::replicas(&options),
        Chore::Soak(options) => servers::soak(&options),
        Chore::Test(options) => suites::run(&options),
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

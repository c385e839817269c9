//! Scripts that need the page in a real browser: its tests, its pictures, its budget.

use std::ffi::OsString;
use std::process::{Command, ExitCode};

use anyhow::Result;

use crate::wasm::{self, WasmOptions};
use crate::{process, tools, workspace};

/// What scripts and tests find in their environment.
pub(crate) type Environment = Vec<(&'static str, OsString)>;

/// Runs one of the page's scripts, with `more` in its environment.
pub(crate) fn run(script: &str, more: Environment) -> Result<ExitCode> {
    wasm::build(&WasmOptions::default())?;
    let environment = environment()?;
    process::run(
        Command::new("node")
            .current_dir(workspace::web())
            .arg(script)
            .envs(environment)
            .envs(more),
    )?;
    Ok(ExitCode::SUCCESS)
}

/// Builds and finds what the page's tests and scripts use, and names it as they expect it.
pub(crate) fn environment() -> Result<Environment> {
    tools::node_packages()?;
    let chromium = tools::chromium()?;
    // The tests start this server, and compare the page with what the trainer says of the same
    // pictures. The server is built last, for it carries the page and the packages; and with tests, for
    // their dependencies choose features: without them everything would be compiled once more.
    process::run(
        process::cargo()
            .args(["build", "--release", "--bins", "--tests"])
            .args(workspace::NATIVE),
    )?;
    let program = |name: &str| {
        workspace::target()
            .join("release")
            .join(format!("{name}{}", std::env::consts::EXE_SUFFIX))
            .into_os_string()
    };
    Ok(vec![
        ("CHROMIUM", chromium.into_os_string()),
        ("EDGE_SERVER", program("edge-server")),
        ("TRAINER", program("trainer")),
    ])
}

//! `cargo xtask bench`: this project beside what people would use instead, on one machine in one run.

use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::Result;
use clap::{Args, ValueEnum};

use crate::wasm::{self, WasmOptions};
use crate::{native, process, tools, workspace};

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Suite {
    /// The front in the browser against onnxruntime-web, one thread each.
    Device,
    /// The entropy coder: bytes against the tables' entropy, symbols a second.
    Codec,
    /// Time to label of every way of inference over emulated links.
    Link,
}

/// Which suite, and where its figures go.
#[derive(Debug, Args)]
pub(crate) struct BenchOptions {
    /// What to measure; its script or source says what can be set.
    #[arg(long, value_enum)]
    suite: Suite,
    /// Also write the figures of the suite `link` to this file.
    #[arg(long)]
    json: Option<PathBuf>,
}

/// The command.
pub(crate) fn run(options: &BenchOptions) -> Result<ExitCode> {
    match options.suite {
        Suite::Device => device()?,
        Suite::Codec => {
            process::run(process::cargo().args(["bench", "--package", "feature-codec"]))?;
        }
        Suite::Link => link(options)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn device() -> Result<()> {
    tools::node_packages()?;
    let chromium = tools::chromium()?;
    wasm::build(&WasmOptions::default())?;
    let folder = workspace::web().join("bench");
    process::run(process::npm().current_dir(&folder).args(["ci", "--silent"]))?;
    script(&folder.join("run.mjs"), |command| {
        command.env("CHROMIUM", &chromium)
    })
}

fn link(options: &BenchOptions) -> Result<()> {
    tools::node_packages()?;
    let chromium = tools::chromium()?;
    wasm::build(&WasmOptions::default())?;
    native::build()?;
    let server = native::program("edge-server");
    script(&workspace::web().join("bench/link.mjs"), |command| {
        command
            .env("CHROMIUM", &chromium)
            .env("EDGE_SERVER", &server);
        match &options.json {
            Some(file) => command.env("JSON", std::path::absolute(file).unwrap_or(file.clone())),
            None => command,
        }
    })
}

fn script(file: &std::path::Path, set: impl Fn(&mut Command) -> &mut Command) -> Result<()> {
    let mut command = Command::new("node");
    command.current_dir(workspace::root()).arg(file);
    process::run(set(&mut command))
}

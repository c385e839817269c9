//! `cargo xtask bench`: this project beside what people would use instead, on one machine in one run.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, ValueEnum};

use crate::{page, process, tools, workspace};

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
        Suite::Device => {
            let folder = workspace::web().join("bench");
            tools::node()?;
            process::run(process::npm().current_dir(folder).args(["ci", "--silent"]))?;
            page::run("bench/run.mjs", Vec::new())
        }
        Suite::Codec => {
            process::run(process::cargo().args(["bench", "--package", "feature-codec"]))?;
            Ok(ExitCode::SUCCESS)
        }
        Suite::Link => {
            let json = options.json.as_ref().map(std::path::absolute).transpose()?;
            let json = json.map(|file| ("JSON", file.into_os_string()));
            page::run("bench/link.mjs", json.into_iter().collect())
        }
    }
}

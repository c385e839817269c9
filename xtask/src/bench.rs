//! `cargo xtask bench`: this project beside what people would use instead, on one machine in one run.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::Result;
use clap::{Args, ValueEnum};

use crate::{page, process, servers, tools, workspace};

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Suite {
    /// The front in the browser against onnxruntime-web and TensorFlow.js, by one thread and by several.
    Device,
    /// The front on WebGPU against onnxruntime-web's: what each asks of the graphics device, and how long it takes there.
    Webgpu,
    /// The server's engine on the CPU against onnxruntime and PyTorch (some gigabytes, installed beside the bench), whole
    /// and behind the splits, with one thread and with all.
    Server,
    /// The server's engine on an NVIDIA GPU against PyTorch, in single precision and in half; built with the feature `cuda` first.
    Gpu,
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
    /// Also write the figures to this file; not those of the suite `codec`.
    #[arg(long)]
    json: Option<PathBuf>,
}

/// The command.
pub(crate) fn run(options: &BenchOptions) -> Result<ExitCode> {
    let json = options.json.as_ref().map(std::path::absolute).transpose()?;
    let json = json.map(|file| ("JSON", file.into_os_string()));
    match options.suite {
        Suite::Device => {
            peers()?;
            page::run("bench/run.mjs", json.into_iter().collect())
        }
        Suite::Webgpu => {
            peers()?;
            page::run("bench/webgpu.mjs", json.into_iter().collect())
        }
        Suite::Server => {
            peers()?;
            servers::build()?;
            engine("bench/server.mjs", &servers::program("aecnn-load"), json)
        }
        Suite::Gpu => {
            tools::node()?;
            engine("bench/gpu.mjs", &servers::program_for_cuda()?, json)
        }
        Suite::Codec => {
            process::run(process::cargo().args(["bench", "--package", "feature-codec"]))?;
            Ok(ExitCode::SUCCESS)
        }
        Suite::Link => page::run("bench/link.mjs", json.into_iter().collect()),
    }
}

/// Runs a script that measures the engine in `program`.
fn engine(
    script: &str,
    program: &Command,
    json: Option<(&'static str, OsString)>,
) -> Result<ExitCode> {
    process::run(
        Command::new("node")
            .current_dir(workspace::web())
            .arg(script)
            .env("AECNN_LOAD", program.get_program())
            .envs(json),
    )?;
    Ok(ExitCode::SUCCESS)
}

/// Installs the runtimes that are measured beside this project. Their install scripts would
/// download what only graphics cards need.
fn peers() -> Result<()> {
    let folder = workspace::web().join("bench");
    tools::node()?;
    process::run(
        process::npm()
            .current_dir(folder)
            .args(["ci", "--silent", "--ignore-scripts"]),
    )
}

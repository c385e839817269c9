//! Chores that run the server for a while: soak, fuzz, replicas, and clients that others wrote.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};

use anyhow::{Context, Result};
use clap::Args;

use crate::steps::say;
use crate::tools::{self, Venv};
use crate::{process, workspace};

/// The clients in Python.
const CLIENTS: Venv = Venv {
    name: "clients-venv",
    packages: &["tritonclient[http]==2.73.0", "websockets==17.4"],
    alone: &[],
};

/// Settings of the soak.
#[derive(Debug, Args)]
pub(crate) struct SoakOptions {
    /// How long, in minutes.
    #[arg(long, default_value_t = 10.0, value_name = "MINUTES")]
    minutes: f64,

    /// Further flags, for `aecnn-load soak`.
    #[arg(last = true)]
    rest: Vec<String>,
}

/// Flags for a program that the chore builds first.
#[derive(Debug, Args)]
pub(crate) struct PassedOn {
    /// Flags of the program: `aecnn-fuzz` or `aecnn-load replicas`.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<String>,
}

/// `cargo xtask soak`.
pub(crate) fn soak(options: &SoakOptions) -> Result<ExitCode> {
    build()?;
    let minutes = options.minutes.to_string();
    process::run(
        program("aecnn-load")
            .args(["soak", "--minutes", &minutes])
            .args(&options.rest),
    )?;
    Ok(ExitCode::SUCCESS)
}

/// `cargo xtask fuzz`.
pub(crate) fn fuzz(options: &PassedOn) -> Result<ExitCode> {
    build()?;
    process::run(program("aecnn-fuzz").args(&options.rest))?;
    Ok(ExitCode::SUCCESS)
}

/// `cargo xtask replicas`.
pub(crate) fn replicas(options: &PassedOn) -> Result<ExitCode> {
    build()?;
    process::run(program("aecnn-load").arg("replicas").args(&options.rest))?;
    Ok(ExitCode::SUCCESS)
}

/// Clients that others wrote, each against a server of its own kind: how many were right, and
/// those that were not. What cannot be had is left out, and said.
pub(crate) fn clients() -> Result<Vec<Result<()>>> {
    build()?;
    let scripts = workspace::root().join("edge-server/tests/clients");
    let frames = workspace::target().join("client-frames");
    process::run(
        program("aecnn-load")
            .args(["encode", "--codec", "aecnn-stage2", "--most", "3", "--out"])
            .arg(&frames),
    )?;
    let (_server, address) = serve()?;
    let mut outcomes = Vec::new();
    tools::node()?;
    outcomes.push(process::run(
        Command::new("node")
            .args(["--no-warnings", "--experimental-websocket"])
            .arg(scripts.join("websocket.mjs"))
            .arg(&address)
            .arg(&frames),
    ));
    match tools::python(&CLIENTS) {
        Ok(python) => {
            outcomes.push(process::run(
                Command::new(&python)
                    .arg(scripts.join("websockets_client.py"))
                    .arg(&address)
                    .arg(&frames),
            ));
            outcomes.push(process::run(
                Command::new(&python)
                    .arg(scripts.join("triton_client.py"))
                    .arg(&address)
                    .arg(workspace::root())
                    .arg(&frames),
            ));
        }
        Err(error) => say(&format!(
            "    left out: the clients in Python, for {error:#}"
        )),
    }
    Ok(outcomes)
}

/// Ends when dropped.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A server on a free port, and its address.
fn serve() -> Result<(Server, String)> {
    let mut server = program("edge-server")
        .args(["--listen", "127.0.0.1:0", "--log", "edge_server=info,warn"])
        .stderr(Stdio::piped())
        .spawn()
        .context("the server cannot be started")?;
    let log = server.stderr.take().context("the server has no log")?;
    let server = Server(server);
    let mut lines = BufReader::new(log).lines();
    let address = lines
        .by_ref()
        .map_while(Result::ok)
        .find_map(|line| Some(line.split_once("serving on http://")?.1.trim().to_owned()))
        .context("the server did not come up")?;
    // Its log must be read on, or it would block.
    std::thread::spawn(move || lines.map_while(Result::ok).count());
    Ok((server, address))
}

/// Everything native, selected as everywhere.
pub(crate) fn build() -> Result<()> {
    process::run(
        process::cargo()
            .args(["build", "--release", "--bins", "--tests"])
            .args(workspace::NATIVE),
    )
}

/// `aecnn-load` with an engine for NVIDIA's GPUs, beside the one without.
pub(crate) fn program_for_cuda() -> Result<Command> {
    let folder = workspace::target().join("cuda");
    process::run(
        process::cargo()
            .args(["build", "--release", "--package", "load"])
            .args(["--features", "edge-server/cuda", "--target-dir"])
            .arg(&folder),
    )?;
    Ok(program_in(&folder, "aecnn-load"))
}

/// A program of ours, run in the project's root.
pub(crate) fn program(name: &str) -> Command {
    program_in(&workspace::target(), name)
}

/// As [`program`], from another target folder.
fn program_in(target: &Path, name: &str) -> Command {
    let file = format!("{name}{}", std::env::consts::EXE_SUFFIX);
    let mut command = Command::new(target.join("release").join(file));
    command.current_dir(workspace::root());
    command
}

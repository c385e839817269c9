//! A server of our own.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};
use edge_server::config::Backend;

/// How to start it.
pub(super) struct Settings<'a> {
    /// The program; the one beside this program when absent.
    pub(super) program: Option<&'a Path>,
    /// A model's folder; all models beside it are served.
    pub(super) model: &'a Path,
    /// The address and port to serve on.
    pub(super) listen: &'a str,
    /// What runs the network.
    pub(super) backend: Backend,
    /// Further flags.
    pub(super) flags: &'a [&'a str],
}

/// A server on this machine, which takes as many clients as come; ends when dropped.
pub(super) struct Server {
    process: Child,
    /// Its address and port.
    pub(super) address: String,
}

impl Server {
    /// Starts the server and waits until it serves.
    pub(super) fn start(settings: &Settings<'_>) -> Result<Self> {
        let program = match settings.program {
            Some(program) => program.to_owned(),
            None => std::env::current_exe()?
                .with_file_name(format!("edge-server{}", std::env::consts::EXE_SUFFIX)),
        };
        let models = settings.model.parent();
        let models = models.context("the model is in no folder")?;
        let mut process = Command::new(&program)
            .args([
                "--listen",
                settings.listen,
                "--log",
                "edge_server=info,warn",
            ])
            .args(["--max-clients", "4096", "--max-connections", "8192"])
            .args(["--max-connections-per-address", "8192"])
            .args(["--max-rate-per-address", "100000"])
            .args(["--max-bytes-per-address", "1000000000"])
            .args(["--backend", settings.backend.name()])
            .args(settings.flags)
            .arg("--models")
            .arg(models)
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| {
                format!(
                    "{} cannot be started; name the server with --server",
                    program.display()
                )
            })?;
        let log = process.stderr.take().context("the server has no log")?;
        let mut lines = BufReader::new(log).lines();
        let address = lines
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| Some(line.split_once("serving on http://")?.1.trim().to_owned()));
        let server = Self {
            process,
            address: address.context("the server did not come up")?,
        };
        // Its log must be read on, or it would block.
        std::thread::spawn(move || lines.map_while(Result::ok).count());
        Ok(server)
    }

    /// Its WebSocket.
    pub(super) fn url(&self) -> String {
        format!("ws://{}/v1/stream", self.address)
    }

    /// Its resident memory in bytes; `None` where the system does not tell.
    pub(super) fn resident(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).ok()?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))?;
        let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
        Some(kilobytes * 1024)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

//! The server's program as an operator starts it: a process with flags, a log and signals.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::timeout;

/// Loading the committed model may take so long on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// The program, without settings of this machine.
pub fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_edge-server"));
    command
        .env("RUST_BACKTRACE", "0")
        .env_remove("EDGE_SERVER_MODELS");
    command
}

/// The folder of the committed models.
pub fn committed_models() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../models")
}

/// Copies the committed model into a folder for models; the copy's own folder.
pub fn copy_model(models: &Path) -> PathBuf {
    let name = "resnet50-imagenet";
    let copy = models.join(name);
    std::fs::create_dir(&copy).unwrap();
    for entry in committed_models().join(name).read_dir().unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), copy.join(entry.file_name())).unwrap();
    }
    copy
}

/// A server that runs until this is dropped.
pub struct Program {
    process: Child,
    log: UnboundedReceiver<String>,
    /// `http` or `https`.
    pub scheme: String,
    /// Where it serves.
    pub address: SocketAddr,
    /// What it wrote before it served.
    pub opening: Vec<String>,
}

impl Program {
    /// Starts the program on a free port and waits until it serves.
    pub async fn start(models: &Path, flags: &[&str]) -> Self {
        let mut process = program()
            .args(["--listen", "127.0.0.1:0", "--models"])
            .arg(models)
            .args(flags)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let (sender, mut log) = unbounded_channel();
        // Read to the end, or the program would block.
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        let mut opening = Vec::new();
        let serving = line(&mut log, &mut opening, "serving on ").await;
        let url = serving.split_once("serving on ").unwrap().1;
        let (scheme, address) = url.split_once("://").unwrap();
        Self {
            process,
            log,
            scheme: scheme.to_owned(),
            address: address.trim().parse().unwrap(),
            opening,
        }
    }

    /// The next line of the log that holds `what`.
    pub async fn line(&mut self, what: &str) -> String {
        line(&mut self.log, &mut Vec::new(), what).await
    }

    /// Waits for its end and says whether it was a good one.
    pub fn ended_well(mut self) -> bool {
        self.process.wait().unwrap().success()
    }

    /// Sends it a signal, such as `-HUP`.
    pub fn signal(&self, signal: &str) {
        let pid = self.process.id().to_string();
        let sent = Command::new("kill").args([signal, &pid]).status().unwrap();
        assert!(sent.success(), "{signal}");
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

async fn line(log: &mut UnboundedReceiver<String>, before: &mut Vec<String>, what: &str) -> String {
    loop {
        match timeout(PATIENCE, log.recv()).await {
            Ok(Some(line)) if line.contains(what) => return line,
            Ok(Some(line)) => before.push(line),
            other => panic!("`{what}` did not come ({other:?}) behind {before:#?}"),
        }
    }
}

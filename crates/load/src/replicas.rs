//! Several servers behind a real HAProxy, one killed after the other.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Args;
use edge_server::config::Backend;
use load::fleet::Load;
use load::link::Address;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

use super::server::{Server, Settings};
use super::{Frames, drive};

const NAMES: [&str; 3] = ["EDGE_ONE", "EDGE_TWO", "EDGE_THREE"];

/// Settings of the test.
#[derive(Debug, Args)]
pub(super) struct ReplicasOptions {
    #[command(flatten)]
    frames: Frames,

    /// The server's program; the one beside this program by default.
    #[arg(long, env = "AECNN_LOAD_SERVER", value_name = "FILE")]
    server: Option<PathBuf>,

    /// HAProxy's configuration.
    #[arg(
        long,
        env = "AECNN_LOAD_HAPROXY",
        default_value = "deploy/haproxy/haproxy.cfg",
        value_name = "FILE"
    )]
    haproxy: PathBuf,

    /// Clients.
    #[arg(
        long,
        env = "AECNN_LOAD_CLIENTS",
        default_value_t = 12,
        value_name = "N"
    )]
    clients: usize,

    /// Frames that fall due a second, over all clients.
    #[arg(
        long,
        env = "AECNN_LOAD_PER_SECOND",
        default_value_t = 6.0,
        value_name = "FRAMES"
    )]
    per_second: f64,

    /// How often a replica is killed; each comes back after it was missed for three seconds.
    #[arg(long, env = "AECNN_LOAD_KILLS", default_value_t = 6, value_name = "N")]
    kills: usize,

    /// How long a client may wait from the loss of its connection to its next answer, in seconds.
    #[arg(
        long,
        env = "AECNN_LOAD_RECOVERY",
        default_value_t = 2.0,
        value_name = "SECONDS"
    )]
    recovery: f64,
}

/// HAProxy; ends when dropped.
struct Proxy(Child);

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs the test and prints the account.
pub(super) async fn run(options: &ReplicasOptions) -> Result<()> {
    let reels = options.frames.reels().await?;
    let ports = free_ports::<4>()?.map(|port| format!("127.0.0.1:{port}"));
    let [front, backs @ ..] = &ports;
    let start = |listen: &str| {
        Server::start(&Settings {
            program: options.server.as_deref(),
            model: &options.frames.model,
            listen,
            backend: Backend::Flex,
            flags: &["--queue", "256", "--proxy", "127.0.0.1"],
        })
    };
    let mut replicas = backs
        .iter()
        .map(|back| start(back).map(Some))
        .collect::<Result<Vec<_>>>()?;
    let _proxy = haproxy(&options.haproxy, front, backs)?;
    until_open(front).await?;
    // The proxy has seen each replica ready.
    sleep(Duration::from_secs(2)).await;

    let pause = Duration::from_secs(3);
    let rounds = u32::try_from(options.kills)?;
    let load = Load {
        clients: options.clients,
        per_second: options.per_second,
        warm_up: Duration::ZERO,
        duration: pause * (2 * rounds + 2),
        drain: Duration::from_secs(10),
    };
    let address = Arc::new(Address::new(format!("ws://{front}/v1/stream")));
    let (for_load, reels) = (Arc::clone(&address), reels.clone());
    let driving = tokio::spawn(async move { drive(&for_load, &reels, load).await });
    for round in 0..options.kills {
        sleep(pause).await;
        let turn = round % replicas.len();
        // Dropped, a server is killed without a chance to say farewell.
        replicas[turn] = None;
        sleep(pause).await;
        replicas[turn] = Some(start(&backs[turn])?);
    }
    let report = driving.await??;
    println!("{}", serde_json::to_string_pretty(&report)?);
    println!(
        "killed {} times: {} connections lost and opened again, {} frames cut off (their clients saw it), {} lost; longest wait from the loss to an answer {:.0} ms",
        options.kills,
        report.reconnects,
        report.cut_off,
        report.unanswered,
        report.longest_recovery_ms
    );
    ensure!(report.balances(), "some frames are not accounted for");
    ensure!(report.reconnects > 0, "no client lost its connection");
    ensure!(
        report.longest_recovery_ms <= options.recovery * 1000.0,
        "a client waited longer than {} s",
        options.recovery
    );
    Ok(())
}

/// Ports that nobody listens on.
fn free_ports<const N: usize>() -> Result<[u16; N]> {
    // All at once, or the system would give the same one again.
    let mut listeners = Vec::new();
    let mut ports = [0; N];
    for port in &mut ports {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        *port = listener.local_addr()?.port();
        listeners.push(listener);
    }
    Ok(ports)
}

fn haproxy(configuration: &Path, front: &str, backs: &[String]) -> Result<Proxy> {
    let child = Command::new("haproxy")
        .arg("-db")
        .arg("-f")
        .arg(configuration)
        .env("EDGE_BIND", front)
        .envs(NAMES.into_iter().zip(backs))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("haproxy cannot be started; on Debian: apt-get install haproxy")?;
    Ok(Proxy(child))
}

async fn until_open(address: &str) -> Result<()> {
    let end = Instant::now() + Duration::from_secs(10);
    while TcpStream::connect(address).await.is_err() {
        ensure!(Instant::now() < end, "haproxy does not listen on {address}");
        sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

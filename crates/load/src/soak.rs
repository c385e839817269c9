//! The soak: honest clients among all kinds of bad ones, for a long time.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Result, ensure};
use clap::Args;
use edge_server::config::Backend;
use load::client::{Progress, Reel};
use load::fleet::{self, Load};
use load::link::{Address, Link};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::Frames;
use super::server::{Server, Settings};

/// The server gives up on a silent client after this.
const IDLE: Duration = Duration::from_secs(20);

/// Settings of the soak.
#[derive(Debug, Args)]
pub(super) struct SoakOptions {
    #[command(flatten)]
    frames: Frames,

    /// The server's program; the one beside this program by default.
    #[arg(long, env = "AECNN_LOAD_SERVER", value_name = "FILE")]
    server: Option<PathBuf>,

    /// How long, in minutes.
    #[arg(
        long,
        env = "AECNN_LOAD_MINUTES",
        default_value_t = 10.0,
        value_name = "MINUTES"
    )]
    minutes: f64,

    /// Clients that send frames all the time.
    #[arg(long, env = "AECNN_LOAD_BUSY", default_value_t = 64, value_name = "N")]
    busy: usize,

    /// Frames that fall due a second, over all busy clients.
    #[arg(
        long,
        env = "AECNN_LOAD_PER_SECOND",
        default_value_t = 8.0,
        value_name = "FRAMES"
    )]
    per_second: f64,

    /// Clients that are connected, answer pings, and send nothing.
    #[arg(
        long,
        env = "AECNN_LOAD_IDLE",
        default_value_t = 1000,
        value_name = "N"
    )]
    idle: usize,

    /// Bad clients at a time: each picks a way to be bad, and then another one.
    #[arg(long, env = "AECNN_LOAD_BAD", default_value_t = 8, value_name = "N")]
    bad: usize,

    /// By how many percent resident memory may differ from its median, after a quarter of the time.
    #[arg(
        long,
        env = "AECNN_LOAD_FLAT",
        default_value_t = 2.0,
        value_name = "PERCENT"
    )]
    flat: f64,
}

/// Ways to be bad.
const FAULTS: [&str; 10] = [
    "leaves while its frame is computed",
    "vanishes with three answers on their way",
    "sends frames and reads no answer",
    "connects and never says hello",
    "sends a frame that is none",
    "sends a payload that does not decode",
    "sends a message beyond the limit",
    "breaks the WebSocket protocol",
    "sends half of a request's head and waits",
    "announces a picture and sends none of it",
];

/// Runs the soak and prints the account.
pub(super) async fn run(options: &SoakOptions) -> Result<()> {
    let reels = options.frames.reels().await?;
    let idle_timeout = IDLE.as_secs().to_string();
    let server = Server::start(&Settings {
        program: options.server.as_deref(),
        model: &options.frames.model,
        listen: "127.0.0.1:0",
        backend: Backend::Flex,
        flags: &["--queue", "256", "--idle-timeout", &idle_timeout],
    })?;
    let address = Address::new(server.url());
    let whole = super::seconds(options.minutes * 60.0)?;
    let end = Instant::now() + whole;

    let lost = Arc::new(AtomicU64::new(0));
    let faults = Arc::new(Mutex::new(BTreeMap::new()));
    let mut others = JoinSet::new();
    for n in 0..options.idle {
        let (address, reel, lost) = (address.clone(), Arc::clone(&reels[0]), Arc::clone(&lost));
        others.spawn(async move {
            // Not all in the same instant.
            sleep(Duration::from_millis(2 * n as u64)).await;
            if !idle(&address, &reel, end).await {
                lost.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    for _ in 0..options.bad {
        let (address, host) = (address.clone(), server.address.clone());
        let (reel, faults) = (Arc::clone(&reels[0]), Arc::clone(&faults));
        others.spawn(async move {
            while Instant::now() + IDLE < end {
                let fault = fastrand::usize(..FAULTS.len());
                misbehave(fault, &address, &host, &reel).await;
                let mut faults = faults.lock().unwrap_or_else(PoisonError::into_inner);
                *faults.entry(FAULTS[fault]).or_insert(0u64) += 1;
            }
        });
    }

    let load = Load {
        clients: options.busy,
        per_second: options.per_second,
        warm_up: Duration::ZERO,
        duration: whole,
        drain: Duration::from_secs(10),
    };
    let progress = Arc::new(Progress::default());
    let memory = watch(&server, &progress, end);
    let (account, memory) = tokio::join!(fleet::drive(&address, &reels, load, &progress), memory);
    let report = account?.report(options.busy, whole.as_secs_f64());
    others.join_all().await;

    println!("{}", serde_json::to_string_pretty(&report)?);
    println!("| fault | how often |\n|---|---|");
    for (fault, times) in faults.lock().unwrap_or_else(PoisonError::into_inner).iter() {
        println!("| a client {fault} | {times} |");
    }
    let lost = lost.load(Ordering::Relaxed);
    println!(
        "idle clients: {}, of which lost their connection: {lost}",
        options.idle
    );
    println!(
        "resident memory, one value a minute (MB): {:?}",
        memory.each_minute
    );
    println!(
        "after a quarter of the time: median {:.1} MB, at most {:.2} % from it",
        memory.median, memory.off
    );
    ensure!(report.balances(), "some frames are not accounted for");
    ensure!(lost == 0, "idle clients lost their connections");
    ensure!(report.answered > 0, "no frame was answered");
    ensure!(
        memory.off <= options.flat,
        "memory is not flat within {} %",
        options.flat
    );
    Ok(())
}

/// Connected and silent until the end; whether the connection held.
async fn idle(address: &Address, reel: &Reel, end: Instant) -> bool {
    let Ok(mut link) = Link::open(address, reel.hello.clone()).await else {
        return false;
    };
    let held = tokio::time::timeout_at(end, link.receiver.next())
        .await
        .is_err();
    let _ = link.sender.close().await;
    held
}

/// Is bad in one way, for at most as long as the server bears it.
async fn misbehave(fault: usize, address: &Address, host: &str, reel: &Reel) {
    let frame = reel.frames.first().cloned().unwrap_or_default();
    let bear = IDLE + Duration::from_secs(15);
    let _ = timeout(bear, async {
        if fault == 3 || fault >= 7 {
            return raw(fault, host).await;
        }
        let mut link = Link::open(address, reel.hello.clone()).await.ok()?;
        match fault {
            0 => link.sender.frame(frame).await.ok()?,
            1 => {
                // Dropped without a farewell while answers are on their way.
                for _ in 0..3 {
                    link.sender.frame(frame.clone()).await.ok()?;
                }
            }
            2 => {
                while link.sender.frame(frame.clone()).await.is_ok() {
                    sleep(Duration::from_millis(50)).await;
                }
            }
            4 => link.sender.frame(b"no frame".to_vec()).await.ok()?,
            5 => {
                let mut garbage = frame;
                garbage[wire::HEADER_BYTES..].fill(0xa5);
                link.sender.frame(garbage).await.ok()?;
            }
            _ => link.sender.frame(vec![1; 1 << 20]).await.ok()?,
        }
        if fault >= 4 {
            // The refusal, and the end.
            while link.receiver.next().await.is_ok() {}
        }
        Some(())
    })
    .await;
}

/// Bad below the protocol.
async fn raw(fault: usize, host: &str) -> Option<()> {
    let mut stream = TcpStream::connect(host).await.ok()?;
    let upgrade = format!(
        "GET /v1/stream HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Sec-WebSocket-Protocol: aecnn.v1\r\n\r\n"
    );
    let bytes = match fault {
        3 => upgrade.into_bytes(),
        // A frame whose length says more than a socket may send.
        7 => [
            upgrade.as_bytes(),
            b"\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff",
        ]
        .concat(),
        8 => b"GET / HTTP/1.1\r\nHost: a\r\nX-Hal".to_vec(),
        _ => b"POST /v1/classify HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n".to_vec(),
    };
    stream.write_all(&bytes).await.ok()?;
    // Until the server ends it.
    let mut sink = tokio::io::sink();
    tokio::io::copy(&mut stream, &mut sink).await.ok()?;
    Some(())
}

/// Resident memory over the run.
struct Memory {
    each_minute: Vec<f64>,
    median: f64,
    off: f64,
}

/// Looks at the server's memory every second, and says every minute how things are.
async fn watch(server: &Server, progress: &Progress, end: Instant) -> Memory {
    let mut seen = Vec::new();
    while Instant::now() < end {
        if let Some(bytes) = server.resident() {
            seen.push(bytes as f64 / 1e6);
        }
        if seen.len() % 60 == 0 {
            eprintln!(
                "{} min: {} answered, {} refused or cut off, {:.1} MB",
                seen.len() / 60,
                progress.answered.load(Ordering::Relaxed),
                progress.failed.load(Ordering::Relaxed),
                seen.last().copied().unwrap_or_default()
            );
        }
        sleep(Duration::from_secs(1)).await;
    }
    let mut late = seen[seen.len() / 4..].to_vec();
    late.sort_by(f64::total_cmp);
    let median = late.get(late.len() / 2).copied().unwrap_or_default();
    let far = late
        .iter()
        .map(|mb| (mb - median).abs())
        .fold(0.0, f64::max);
    Memory {
        each_minute: seen.iter().step_by(60).map(|mb| mb.round()).collect(),
        median,
        off: 100.0 * far / median.max(1.0),
    }
}

//! `aecnn-load`: drives an edge server with many devices and says what became of every frame.

#![forbid(unsafe_code)]
// What it prints is what it is for.
#![allow(clippy::print_stdout)]

mod layers;
mod replicas;
mod server;
mod soak;
mod table;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::{Args, Parser, Subcommand};
use edge_server::catalogue::Catalogue;
use edge_server::config::Backend;
use indicatif::{ProgressBar, ProgressStyle};
use load::account::Report;
use load::bare::Bare;
use load::client::{Progress, Reel};
use load::device::{Choice, NativeDevice};
use load::fleet::{self, Load};
use load::link::Address;
use load::trust::Trust;
use wire::ClientMessage;

/// Drives an edge server with many devices at a fixed arrival rate (an open loop: a slow answer
/// delays no later frame, and what it delays is counted), and says what became of every frame.
#[derive(Debug, Parser)]
#[command(name = "aecnn-load", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// One load on a server that runs already.
    Run(RunOptions),
    /// The server's engine in a loop, without queue and sockets: what the network alone could do.
    Bare(BareOptions),
    /// The server's engine on values from a file, once for each line of standard input: for timing
    /// beside another runtime.
    Layers(layers::LayersOptions),
    /// Starts a server and measures it with several numbers of clients, beside the bare network.
    Table(table::TableOptions),
    /// Encodes pictures into files, for trying clients in other languages.
    Encode(EncodeOptions),
    /// Starts several servers behind HAProxy and kills one after the other under load; fails when a
    /// frame is lost or a client waits too long.
    Replicas(replicas::ReplicasOptions),
    /// Starts a server and besets it with clients that come, go, stall, lie and crash; fails when a
    /// frame is lost or memory grows.
    Soak(soak::SoakOptions),
}

/// What is sent.
#[derive(Debug, Clone, Args)]
struct Frames {
    /// The model's folder: front, codecs and labels.
    #[arg(
        long,
        env = "AECNN_LOAD_MODEL",
        default_value = "models/resnet50-imagenet",
        value_name = "DIR"
    )]
    model: PathBuf,

    /// A codec of the model, by name. Repeat the flag or separate by commas for several, which
    /// clients use in turn; the first of the manifest by default.
    #[arg(
        long,
        env = "AECNN_LOAD_CODEC",
        value_delimiter = ',',
        value_name = "NAME"
    )]
    codec: Vec<String>,

    /// The rate's index in the codec; the codec's default when absent.
    #[arg(long, env = "AECNN_LOAD_RATE", value_name = "N")]
    rate: Option<u8>,

    /// Pictures to encode, once, before the load begins.
    #[arg(
        long,
        env = "AECNN_LOAD_PICTURES",
        default_value = "web/samples",
        value_name = "DIR"
    )]
    pictures: PathBuf,

    /// How many of the pictures.
    #[arg(long, env = "AECNN_LOAD_MOST", default_value_t = 8, value_name = "N")]
    most: usize,
}

impl Frames {
    /// Encodes the pictures with each of the codecs.
    async fn reels(&self) -> Result<Vec<Arc<Reel>>> {
        let pictures = fleet::pictures(&self.pictures, self.most)?;
        let names: Vec<Option<String>> = match self.codec.as_slice() {
            [] => vec![None],
            names => names.iter().cloned().map(Some).collect(),
        };
        let mut reels = Vec::new();
        for codec in names {
            let choice = Choice {
                codec,
                rate: self.rate,
            };
            let device = NativeDevice::load(&self.model, &choice)?;
            let reel = fleet::encode(&device, &pictures).await?;
            let bytes: usize = reel.frames.iter().map(Vec::len).sum();
            eprintln!(
                "{}: {} frames of {} bytes on average",
                device.codec(),
                reel.frames.len(),
                bytes / reel.frames.len().max(1)
            );
            reels.push(Arc::new(reel));
        }
        Ok(reels)
    }

    /// The catalogue that the model's folder is in.
    fn catalogue(&self) -> Result<Catalogue> {
        let models = self
            .model
            .parent()
            .filter(|path| !path.as_os_str().is_empty());
        Ok(Catalogue::read(models.unwrap_or(Path::new(".")))?)
    }
}

#[derive(Debug, Args)]
struct RunOptions {
    #[command(flatten)]
    frames: Frames,

    /// The server's WebSocket: ws://, or wss:// for TLS.
    #[arg(
        long,
        env = "AECNN_LOAD_URL",
        default_value = "ws://127.0.0.1:8080/v1/stream",
        value_name = "URL"
    )]
    url: String,

    /// The bearer token, where the server asks for one.
    #[arg(
        long,
        env = "AECNN_LOAD_TOKEN",
        hide_env_values = true,
        value_name = "TOKEN"
    )]
    token: Option<String>,

    /// For wss://: a PEM file of the certificate authorities to believe instead of the system's. A
    /// server's self-signed certificate will do as well.
    #[arg(long, env = "AECNN_LOAD_CA", value_name = "FILE")]
    ca: Option<PathBuf>,

    /// Clients, each with a WebSocket of its own.
    #[arg(
        long,
        env = "AECNN_LOAD_CLIENTS",
        default_value_t = 4,
        value_name = "N"
    )]
    clients: usize,

    /// Frames that fall due a second, over all clients.
    #[arg(
        long,
        env = "AECNN_LOAD_PER_SECOND",
        default_value_t = 10.0,
        value_name = "FRAMES"
    )]
    per_second: f64,

    /// How long frames are counted, in seconds.
    #[arg(
        long,
        env = "AECNN_LOAD_SECONDS",
        default_value_t = 10.0,
        value_name = "SECONDS"
    )]
    seconds: f64,

    /// How long frames are sent before they are counted, in seconds.
    #[arg(
        long,
        env = "AECNN_LOAD_WARM_UP",
        default_value_t = 2.0,
        value_name = "SECONDS"
    )]
    warm_up: f64,

    /// Write all figures here as JSON.
    #[arg(long, env = "AECNN_LOAD_JSON", value_name = "FILE")]
    json: Option<PathBuf>,

    /// Fail unless every frame was answered, or refused by name, or cut off by a connection whose
    /// end the client saw.
    #[arg(long, env = "AECNN_LOAD_STRICT")]
    strict: bool,
}

#[derive(Debug, Args)]
struct BareOptions {
    #[command(flatten)]
    frames: Frames,

    /// Batch sizes.
    #[arg(
        long,
        env = "AECNN_LOAD_BATCH",
        default_value = "1,2,4,8",
        value_delimiter = ',',
        value_name = "N"
    )]
    batch: Vec<usize>,

    /// How long for each, in seconds.
    #[arg(
        long,
        env = "AECNN_LOAD_SECONDS",
        default_value_t = 5.0,
        value_name = "SECONDS"
    )]
    seconds: f64,

    /// What runs the network, as the server's flag of this name.
    #[arg(long, env = "AECNN_LOAD_BACKEND", default_value = "flex", value_enum)]
    backend: Backend,
}

#[derive(Debug, Args)]
struct EncodeOptions {
    #[command(flatten)]
    frames: Frames,

    /// Where to: `<n>.frame` are the binary messages with codec number and sequence number 0,
    /// `hello.json` has the first message of the session and the pictures' names.
    #[arg(long, env = "AECNN_LOAD_OUT", value_name = "DIR")]
    out: PathBuf,
}

#[tokio::main]
async fn main() -> Result<()> {
    match Arguments::parse().command {
        Command::Run(options) => run(&options).await,
        Command::Bare(options) => bare(&options).await,
        Command::Layers(options) => layers::run(&options),
        Command::Table(options) => table::run(&options).await,
        Command::Encode(options) => encode(&options).await,
        Command::Replicas(options) => replicas::run(&options).await,
        Command::Soak(options) => soak::run(&options).await,
    }
}

async fn run(options: &RunOptions) -> Result<()> {
    // Once, and not for every client.
    let trust = match &options.ca {
        Some(file) => Some(Trust::file(file)?),
        None if options.url.starts_with("wss:") => Some(Trust::system()?),
        None => None,
    };
    let address = Address {
        url: options.url.clone(),
        token: options.token.clone(),
        trust,
    };
    let load = Load {
        clients: options.clients,
        per_second: options.per_second,
        warm_up: seconds(options.warm_up)?,
        duration: seconds(options.seconds)?,
        drain: Duration::from_secs(10),
    };
    let reels = options.frames.reels().await?;
    let report = drive(&address, &reels, load).await?;
    println!("{}\n{}", Report::HEADING, report.row());
    println!("{}", serde_json::to_string_pretty(&report)?);
    if let Some(path) = &options.json {
        std::fs::write(path, serde_json::to_vec_pretty(&report)?)
            .with_context(|| format!("{} cannot be written", path.display()))?;
    }
    if options.strict && !report.balances() {
        bail!("some frames are not accounted for");
    }
    Ok(())
}

/// Drives a load and shows how it goes.
async fn drive(address: &Address, reels: &[Arc<Reel>], load: Load) -> Result<Report> {
    let progress = Arc::new(Progress::default());
    let style = ProgressStyle::with_template("{elapsed:>4} of {msg}")?;
    let bar = ProgressBar::new_spinner().with_style(style);
    let (shown, seen) = (bar.clone(), Arc::clone(&progress));
    let whole = (load.warm_up + load.duration).as_secs();
    let ticker = tokio::spawn(async move {
        loop {
            shown.set_message(format!(
                "{whole} s, {} clients: {} answered, {} refused or cut off",
                load.clients,
                seen.answered.load(Ordering::Relaxed),
                seen.failed.load(Ordering::Relaxed)
            ));
            shown.tick();
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    });
    let account = fleet::drive(address, reels, load, &progress).await;
    ticker.abort();
    bar.finish_and_clear();
    Ok(account?.report(load.clients, load.duration.as_secs_f64()))
}

async fn encode(options: &EncodeOptions) -> Result<()> {
    let frames = &options.frames;
    let pictures = fleet::pictures(&frames.pictures, frames.most)?;
    let choice = Choice {
        codec: frames.codec.first().cloned(),
        rate: frames.rate,
    };
    let device = NativeDevice::load(&frames.model, &choice)?;
    let reel = fleet::encode(&device, &pictures).await?;
    std::fs::create_dir_all(&options.out)?;
    for (index, frame) in reel.frames.iter().enumerate() {
        std::fs::write(options.out.join(format!("{index}.frame")), frame)?;
    }
    let names: Vec<&String> = pictures.iter().map(|(name, _)| name).collect();
    let hello = serde_json::json!({
        "hello": ClientMessage::Hello(reel.hello.clone()),
        "codec_name": device.codec(),
        "pictures": names,
    });
    std::fs::write(
        options.out.join("hello.json"),
        serde_json::to_vec_pretty(&hello)?,
    )?;
    Ok(())
}

async fn bare(options: &BareOptions) -> Result<()> {
    let reels = options.frames.reels().await?;
    let reels: Vec<&Reel> = reels.iter().map(Arc::as_ref).collect();
    let mut bare = Bare::new(&options.frames.catalogue()?, &reels, options.backend)?;
    let duration = seconds(options.seconds)?;
    println!("| batch | frames /s |\n|---|---|");
    for &batch in &options.batch {
        println!("| {batch} | {:.1} |", bare.measure(batch.max(1), duration)?);
    }
    Ok(())
}

fn seconds(number: f64) -> Result<Duration> {
    Duration::try_from_secs_f64(number).with_context(|| format!("{number} is no number of seconds"))
}

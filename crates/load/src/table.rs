//! The load table: one server, several numbers of clients, and the bare network beside them.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use edge_server::config::Backend;
use load::account::Report;
use load::bare::Bare;
use load::client::Reel;
use load::fleet::Load;
use load::link::Address;
use serde::Serialize;

use super::server::{Server, Settings};
use super::{Frames, drive, seconds};

/// Settings of the table.
#[derive(Debug, Args)]
pub(super) struct TableOptions {
    #[command(flatten)]
    frames: Frames,

    /// The server's program; the one beside this program by default.
    #[arg(long, env = "AECNN_LOAD_SERVER", value_name = "FILE")]
    server: Option<PathBuf>,

    /// What runs the network, as the server's flag of this name.
    #[arg(long, env = "AECNN_LOAD_BACKEND", default_value = "flex", value_enum)]
    backend: Backend,

    /// The server's largest batch, also that of the bare network.
    #[arg(long, env = "AECNN_LOAD_BATCH", default_value_t = 4, value_name = "N")]
    batch: usize,

    /// Numbers of clients.
    #[arg(
        long,
        env = "AECNN_LOAD_CLIENTS",
        default_value = "1,4,16,64,256",
        value_delimiter = ',',
        value_name = "N"
    )]
    clients: Vec<usize>,

    /// Frames that fall due a second, as parts of what the bare network computes a second.
    #[arg(
        long,
        env = "AECNN_LOAD_SHARES",
        default_value = "0.6,1.5",
        value_delimiter = ',',
        value_name = "SHARE"
    )]
    shares: Vec<f64>,

    /// How long frames are counted in each run, in seconds.
    #[arg(
        long,
        env = "AECNN_LOAD_SECONDS",
        default_value_t = 8.0,
        value_name = "SECONDS"
    )]
    seconds: f64,

    /// How long the bare network runs before and after each run, in seconds.
    #[arg(
        long,
        env = "AECNN_LOAD_BARE_SECONDS",
        default_value_t = 3.0,
        value_name = "SECONDS"
    )]
    bare_seconds: f64,

    /// Write all figures here as JSON.
    #[arg(long, env = "AECNN_LOAD_JSON", value_name = "FILE")]
    json: Option<PathBuf>,
}

/// One run, and what the network alone did around it.
#[derive(Debug, Serialize)]
struct Row {
    /// Frames due, as a part of `bare_per_second` as it was before the run.
    share: f64,
    /// Mean of the bare network's frames a second before and after the run.
    bare_per_second: f64,
    /// Answers a second as a part of that.
    of_bare: f64,
    report: Report,
}

/// Measures and prints.
pub(super) async fn run(options: &TableOptions) -> Result<()> {
    let reels = options.frames.reels().await?;
    let borrowed: Vec<&Reel> = reels.iter().map(Arc::as_ref).collect();
    let mut bare = Bare::new(&options.frames.catalogue()?, &borrowed, options.backend)?;
    let server = Server::start(&Settings {
        program: options.server.as_deref(),
        model: &options.frames.model,
        listen: "127.0.0.1:0",
        backend: options.backend,
        flags: &["--max-batch", &options.batch.to_string(), "--queue", "1024"],
    })?;
    let address = Address::new(server.url());
    let (duration, alone) = (seconds(options.seconds)?, seconds(options.bare_seconds)?);

    let mut rows = Vec::new();
    println!(
        "| share | bare /s | of bare {}",
        Report::HEADING.replace("\n|---", "\n|---|---|---|---")
    );
    for &share in &options.shares {
        for &clients in &options.clients {
            let before = bare.measure(options.batch, alone)?;
            let load = Load {
                clients,
                per_second: share * before,
                warm_up: Duration::from_secs(2),
                duration,
                drain: Duration::from_secs(10),
            };
            let report = drive(&address, &reels, load).await?;
            let bare_per_second = (before + bare.measure(options.batch, alone)?) / 2.0;
            let of_bare = report.answered_per_second / bare_per_second;
            println!(
                "| {share} | {bare_per_second:.1} | {of_bare:.2} {}",
                report.row()
            );
            rows.push(Row {
                share,
                bare_per_second,
                of_bare,
                report,
            });
        }
    }
    if let Some(path) = &options.json {
        std::fs::write(path, serde_json::to_vec_pretty(&rows)?)
            .with_context(|| format!("{} cannot be written", path.display()))?;
    }
    Ok(())
}

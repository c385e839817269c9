//! The edge server's program: reads the settings, loads the models, serves, ends cleanly.

#![forbid(unsafe_code)]

use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result};
use clap::Parser;
use edge_server::app::App;
use edge_server::catalogue::Catalogue;
use edge_server::config::Config;
use edge_server::engine::{Inference, Networks};
use edge_server::page::Page;
use edge_server::server;
use tokio::net::TcpListener;
use tracing_subscriber::EnvFilter;

#[tokio::main]
async fn main() -> Result<()> {
    let config = Config::parse();
    let filter = EnvFilter::try_new(&config.log)
        .with_context(|| format!("--log {} is no filter", config.log))?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .init();

    let page = Page::new(config.web_dir.as_deref()).context("--web-dir cannot be served")?;
    // First the cheap things that can fail, then the models.
    let listener = TcpListener::bind(config.listen).await.with_context(|| {
        format!(
            "cannot listen on {}: choose another address with --listen",
            config.listen
        )
    })?;
    let started = Instant::now();
    let (inference, app) = start(config, page)?;
    tracing::info!(ms = started.elapsed().as_millis(), "models loaded and warm");
    let address = listener.local_addr()?;
    tracing::info!("serving on http://{address}");

    let stop = app.stop.clone();
    tokio::spawn(async move {
        match server::asked_to_stop().await {
            Ok(()) => tracing::info!("ending: closing open sockets"),
            Err(error) => tracing::error!(%error, "no signals: ending"),
        }
        stop.cancel();
        // Whoever asks twice does not want to wait.
        if server::asked_to_stop().await.is_ok() {
            tracing::warn!("ending at once");
            std::process::exit(130);
        }
    });
    server::serve(listener, Arc::clone(&app))
        .await
        .context("serving failed")?;
    // The inference thread ends with the last holder of its queue.
    drop(app);
    tokio::task::spawn_blocking(|| inference.join()).await?;
    Ok(())
}

fn start(config: Config, page: Page) -> Result<(Inference, Arc<App>)> {
    let catalogue = Catalogue::read(&config.models).with_context(|| {
        format!(
            "no usable models in {}; start the server in the project's root folder or name the models' \
             folder with --models, restore committed models with `git checkout -- models`, or make \
             them anew with `cargo run --release -p trainer -- import`",
            config.models.display()
        )
    })?;
    for model in catalogue.models() {
        tracing::info!(
            model = %model.manifest.name,
            digest = %model.manifest.digest,
            codecs = model.codecs.len(),
            "model read"
        );
    }
    let catalogue = Arc::new(catalogue);
    let rules = config.rules();
    let (for_engine, backend) = (Arc::clone(&catalogue), config.backend);
    let (inference, queue) = Inference::start(rules, move || {
        let mut networks = Networks::load(&for_engine, backend)?;
        networks.warm_up()?;
        Ok(networks)
    })
    .with_context(|| format!("the backend `{}` did not come up", backend.name()))?;
    Ok((inference, App::new(config, catalogue, queue, page)))
}

//! The edge server's program: reads the settings, loads the models, serves, ends cleanly.

#![forbid(unsafe_code)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Parser;
use edge_server::app::App;
use edge_server::catalogue::Catalogue;
use edge_server::config::{Backend, Cli, Command, Config};
use edge_server::engine::{Backbones, EngineError, Inference, Networks};
use edge_server::log::Log;
use edge_server::metrics::{self, Metrics};
use edge_server::models;
use edge_server::page::Page;
use edge_server::server;
use edge_server::tls::{self, Tls};
use tokio::net::TcpListener;
#[cfg(unix)]
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::timeout;

/// How long inference may take to end when everything else has.
const GRACE: Duration = Duration::from_secs(5);

#[tokio::main]
async fn main() -> Result<()> {
    let cli = Cli::parse();
    match cli.command {
        None => run(cli.config).await,
        Some(Command::Check(config)) => check(*config).await,
    }
}

/// Everything that can fail before a server serves, but for its port.
async fn check(config: Config) -> Result<()> {
    let log = prepare(&config)?;
    certificate(&config)?;
    let page = Page::new(config.web_dir.as_deref()).context("--web-dir cannot be served")?;
    let (inference, app) = start(config, page, &Backbones::default())?;
    tracing::info!("settings, certificates and models are right, and every model runs");
    drop(app);
    inference.join();
    log.end().await;
    Ok(())
}

/// Checks the settings and begins to log.
fn prepare(config: &Config) -> Result<Log> {
    config.check()?;
    Ok(Log::begin(config)?)
}

/// The certificate, where https is wanted.
fn certificate(config: &Config) -> Result<Option<Arc<Tls>>> {
    if let (Some(certificate), Some(key)) = (&config.tls_cert, &config.tls_key) {
        let tls = Tls::from_files(certificate, key);
        return Ok(Some(
            tls.context("--tls-cert and --tls-key cannot be used")?,
        ));
    }
    if !config.self_signed {
        return Ok(None);
    }
    let address = tls::outward_address(config.listen);
    let names = vec!["localhost".to_owned(), address.to_string()];
    let (tls, digest) = Tls::self_signed(names)?;
    tracing::info!(
        sha256 = digest,
        "self-signed certificate: browsers will warn of it"
    );
    Ok(Some(tls))
}

async fn run(config: Config) -> Result<()> {
    let log = prepare(&config)?;
    let certificate = certificate(&config)?;
    let page = Page::new(config.web_dir.as_deref()).context("--web-dir cannot be served")?;
    // First the cheap things that can fail, then the models.
    let listener = TcpListener::bind(config.listen).await.with_context(|| {
        format!(
            "cannot listen on {}: choose another address with --listen",
            config.listen
        )
    })?;
    let metrics_listener = match config.metrics_listen {
        Some(address) => Some(TcpListener::bind(address).await.with_context(|| {
            format!("cannot listen on {address}: choose another address with --metrics-listen")
        })?),
        None => None,
    };
    // From here on the signal does not end the program.
    #[cfg(unix)]
    let hangup = signal(SignalKind::hangup()).context("the system gives no signals")?;
    let started = Instant::now();
    let backbones = Backbones::default();
    let (inference, app) = start(config, page, &backbones)?;
    tracing::info!(ms = started.elapsed().as_millis(), "models loaded and warm");
    let address = listener.local_addr()?;
    let scheme = if certificate.is_some() {
        "https"
    } else {
        "http"
    };
    tracing::info!("serving on {scheme}://{address}");
    if app.config.token.is_empty() && !address.ip().is_loopback() {
        tracing::warn!("everybody who reaches {address} may have frames computed: see --token");
    }
    if app.config.self_signed {
        let url = format!(
            "https://{}:{}/",
            tls::outward_address(address),
            address.port()
        );
        eprintln!("\n{}\n{url}\n", tls::qr_code(&url));
    }
    if let Some(tls) = &certificate {
        tokio::spawn(Arc::clone(tls).watch(app.stop.clone()));
    }
    tokio::spawn(app.metrics.clone().keep_up(app.stop.clone()));
    let first = app.models.current().number;
    app.models.look_after(first, inference);
    #[cfg(unix)]
    {
        let backend = app.config.backend;
        tokio::spawn(models::keep_fresh(
            Arc::clone(&app),
            hangup,
            move |catalogue| networks(catalogue, backend, &backbones),
        ));
    }
    if let Some(listener) = metrics_listener {
        tracing::info!("metrics on http://{}/metrics", listener.local_addr()?);
        let routes = metrics::router(Arc::clone(&app));
        let stop = app.stop.clone().cancelled_owned();
        tokio::spawn(
            axum::serve(listener, routes)
                .with_graceful_shutdown(stop)
                .into_future(),
        );
    }

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
    server::serve(listener, certificate, Arc::clone(&app))
        .await
        .context("serving failed")?;
    // The inference threads end with the last holders of their queues.
    let engines = app.models.engines().clone();
    drop(app);
    engines.close();
    if timeout(GRACE, engines.wait()).await.is_err() {
        tracing::warn!("inference did not end in time");
    }
    log.end().await;
    Ok(())
}

/// A catalogue's networks, loaded and run once.
fn networks(
    catalogue: &Catalogue,
    backend: Backend,
    in_use: &Backbones,
) -> Result<Networks, EngineError> {
    let mut networks = Networks::load_beside(catalogue, backend, in_use)?;
    networks.warm_up()?;
    Ok(networks)
}

fn start(config: Config, page: Page, in_use: &Backbones) -> Result<(Inference, Arc<App>)> {
    let catalogue = Catalogue::read(&config.models).with_context(|| {
        format!(
            "no usable models in {}; start the server in the project's root folder or name the models' \
             folder with --models, restore committed models with `git checkout -- models`, or make \
             them anew with `cargo run --release -p trainer -- import`",
            config.models.display()
        )
    })?;
    models::announce(catalogue.models());
    let catalogue = Arc::new(catalogue);
    let rules = config.rules();
    let metrics = Metrics::new()?;
    let (for_engine, backend) = (Arc::clone(&catalogue), config.backend);
    let in_use = in_use.clone();
    let (inference, queue) = Inference::start(rules, metrics.clone(), move || {
        networks(&for_engine, backend, &in_use)
    })
    .with_context(|| format!("the backend `{}` did not come up", backend.name()))?;
    Ok((inference, App::new(config, catalogue, queue, page, metrics)))
}

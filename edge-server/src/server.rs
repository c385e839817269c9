//! From settings to a running server, and to its end.
//!
//! A connection's way: accept, count ([`Guests`](crate::guests::Guests)), TLS where it is wanted,
//! then HTTP, each with a limit in time.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use crate::app::App;
use crate::guests::Visit;
use crate::http::router;
use crate::patient::Patient;
use crate::tls::Tls;

/// How long open requests and sockets may take to end.
const GRACE: Duration = Duration::from_secs(5);
/// How long the greeting of TLS may take.
const GREETING: Duration = Duration::from_secs(10);
/// How long the head of a request may take, and how long a connection may stay open without one.
const HEAD: Duration = Duration::from_secs(30);
/// A peer that takes nothing for so long is given up.
const PATIENCE: Duration = Duration::from_secs(20);
/// The longest head of a request, in bytes, and the most headers in it.
const MAX_HEAD: usize = 16 << 10;
const MAX_HEADERS: usize = 64;
/// After the system had no connection to give.
const PAUSE: Duration = Duration::from_millis(200);

/// Who is on the other end of a connection; an extension of each of its requests.
#[derive(Debug, Clone)]
pub struct Peer {
    /// Its address.
    pub address: SocketAddr,
    /// Its stay.
    pub visit: Arc<Visit>,
}

/// Serves until `app.stop` is cancelled, then closes every socket and waits for what is still
/// being answered.
///
/// # Errors
///
/// None at present: what a listener can meet while it runs passes, or costs one connection.
pub async fn serve(listener: TcpListener, tls: Option<Arc<Tls>>, app: Arc<App>) -> io::Result<()> {
    let connections = TaskTracker::new();
    let routes = router(Arc::clone(&app));
    while let Some(accepted) = app.stop.run_until_cancelled(listener.accept()).await {
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // A client that left at once costs nothing; without file handles a pause helps.
                tracing::warn!(%error, "a connection was not accepted");
                sleep(PAUSE).await;
                continue;
            }
        };
        let is_proxy = app.config.is_proxy(address.ip());
        let visit = match app.guests.enter(address.ip(), is_proxy) {
            Ok(visit) => Arc::new(visit),
            Err(why) => {
                app.metrics.connection_refused(why.name());
                tracing::debug!(%address, %why, "connection refused");
                continue;
            }
        };
        let peer = Peer { address, visit };
        let (routes, tls, stop) = (routes.clone(), tls.clone(), app.stop.clone());
        connections.spawn(async move {
            if let Err(error) = greet(stream, tls, peer, routes, stop).await {
                tracing::debug!(%address, %error, "connection ended");
            }
        });
    }
    // Nobody else may connect.
    drop(listener);
    connections.close();
    if timeout(GRACE, connections.wait()).await.is_err() {
        tracing::warn!("open requests were cut off");
    }
    // Their connections are no HTTP any more.
    let started = Instant::now();
    app.sockets.close();
    let open = app.sockets.len();
    if timeout(GRACE, app.sockets.wait()).await.is_err() {
        tracing::warn!(left = app.sockets.len(), "sockets did not close in time");
    } else if open > 0 {
        tracing::info!(
            sockets = open,
            ms = started.elapsed().as_millis(),
            "sockets closed"
        );
    }
    Ok(())
}

type Broken = Box<dyn std::error::Error + Send + Sync>;

/// TLS where it is wanted, then HTTP.
async fn greet(
    stream: TcpStream,
    tls: Option<Arc<Tls>>,
    peer: Peer,
    routes: Router,
    stop: CancellationToken,
) -> Result<(), Broken> {
    // Frames and answers are small and must not wait to be sent together.
    stream.set_nodelay(true)?;
    let stream = Patient::new(stream, PATIENCE);
    match tls {
        Some(tls) => {
            let greeted = timeout(GREETING, tls.acceptor().accept(stream)).await??;
            converse(greeted, peer, routes, stop).await
        }
        None => converse(stream, peer, routes, stop).await,
    }
}

/// Requests and answers, until either side ends it or a WebSocket takes over.
async fn converse(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: Peer,
    routes: Router,
    stop: CancellationToken,
) -> Result<(), Broken> {
    let service = routes.map_request(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer.clone());
        request.map(Body::new)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service))
        .with_upgrades();
    let mut connection = pin!(connection);
    tokio::select! {
        ended = connection.as_mut() => return Ok(ended?),
        () = stop.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    Ok(timeout(GRACE, connection).await??)
}

/// Resolves when the user or the system asks the program to end.
///
/// # Errors
///
/// When the system gives no signals.
pub async fn asked_to_stop() -> io::Result<()> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            interrupted = tokio::signal::ctrl_c() => interrupted,
            _ = terminate.recv() => Ok(()),
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await
}

//! From settings to a running server, and to its end.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::serve::ListenerExt;
use tokio::net::TcpListener;
use tokio::time::timeout;

use crate::app::App;
use crate::http::router;

/// How long open requests and sockets may take to end.
const GRACE: Duration = Duration::from_secs(5);

/// Serves until `app.stop` is cancelled, then closes every socket and waits for what is still
/// being answered.
///
/// # Errors
///
/// When the listener fails.
pub async fn serve(listener: TcpListener, app: Arc<App>) -> io::Result<()> {
    // Frames and answers are small and must not wait to be sent together.
    let listener = listener.tap_io(|connection| {
        if let Err(error) = connection.set_nodelay(true) {
            tracing::debug!(%error, "a connection keeps its delay");
        }
    });
    let stopping = app.stop.clone();
    let server = axum::serve(listener, router(Arc::clone(&app)))
        .with_graceful_shutdown(stopping.clone().cancelled_owned());
    let overdue = async {
        stopping.cancelled().await;
        tokio::time::sleep(GRACE).await;
    };
    tokio::select! {
        served = server.into_future() => served?,
        () = overdue => tracing::warn!("open requests were cut off"),
    }
    // The server's own end does not wait for sockets: they are no requests any more.
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

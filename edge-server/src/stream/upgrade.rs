//! From an HTTP request to a session.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::http::HeaderMap;
use axum::response::Response;
use futures_util::StreamExt;
use tracing::Instrument;
use wire::{MAX_SERVER_TEXT, SUBPROTOCOL};

use super::{limits, run};
use crate::app::App;
use crate::error::Refusal;
use crate::guests::Visit;
use crate::http::origin;
use crate::token;

/// Read and write buffers of a socket, in bytes: frames are small and there may be many sockets.
const BUFFER: usize = 16 << 10;

/// `GET /v1/stream`: opens a session, for pages and programs that may, in the protocol that
/// the server speaks.
pub async fn upgrade(
    State(app): State<Arc<App>>,
    Extension(visit): Extension<Arc<Visit>>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Refusal> {
    origin::check(&headers, &app.config.allow_origin)?;
    if !token::is_known(&headers, &app.config.token) {
        return Err(Refusal::Unauthorized);
    }
    let upgrade = upgrade.map_err(|rejection| Refusal::NoWebSocket(rejection.body_text()))?;
    let upgrade = upgrade.protocols([SUBPROTOCOL]);
    if upgrade.selected_protocol().is_none() {
        return Err(Refusal::Subprotocol);
    }
    if app.sockets.len() >= usize::try_from(app.config.max_clients).unwrap_or(usize::MAX) {
        return Err(Refusal::TooManyClients(app.config.max_clients));
    }

    // A message that is only somewhat too long is still read, so that its sender can be told what
    // was wrong; the socket's own limit then only guards the memory.
    let most = limits(&app.config).max_message() * 2;
    let place = app.sockets.token();
    let session = app.next_session();
    let span = tracing::info_span!("session", id = session);
    Ok(upgrade
        .max_message_size(most)
        .max_frame_size(most)
        .read_buffer_size(BUFFER)
        .write_buffer_size(0)
        .max_write_buffer_size(4 * MAX_SERVER_TEXT)
        .on_failed_upgrade(|error| tracing::debug!(%error, "upgrade failed"))
        .on_upgrade(move |socket| {
            async move {
                let (write, read) = socket.split();
                let ending = run(write, read, app, session, visit).await;
                tracing::info!(%ending, "session ended");
                drop(place);
            }
            .instrument(span)
        }))
}

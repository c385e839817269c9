//! What requests with a body have in common: who may send one, and how much of it is read.

use std::time::{Duration, Instant};

use axum::body::{Body, to_bytes};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_LENGTH;
use bytes::Bytes;
use tokio::time::timeout;

use super::origin;
use crate::app::App;
use crate::error::Refusal;
use crate::guests::Visit;
use crate::token;

/// A body must be there within this time.
const PATIENCE: Duration = Duration::from_secs(30);

/// Whether the sender of these headers may have something computed.
///
/// # Errors
///
/// For pages of other origins, and without a token where one is asked for.
pub fn may_compute(app: &App, headers: &HeaderMap) -> Result<(), Refusal> {
    origin::check(headers, &app.config.allow_origin)?;
    if token::is_known(headers, &app.config.token) {
        Ok(())
    } else {
        Err(Refusal::Unauthorized)
    }
}

/// Reads the body, up to its limit in size and time, and within what its address may send.
///
/// # Errors
///
/// When it is too long, too slow, or one too many.
pub async fn receive(
    body: Body,
    headers: &HeaderMap,
    most: u32,
    visit: &Visit,
) -> Result<Bytes, Refusal> {
    // A client that says how much will come is refused before it comes.
    let announced = headers
        .get(CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok())
        .and_then(|length| length.parse::<u64>().ok());
    if announced.is_some_and(|announced| announced > u64::from(most)) {
        return Err(Refusal::BodyTooLarge(most));
    }
    let limit = usize::try_from(most).unwrap_or(usize::MAX);
    let expected = announced.and_then(|announced| usize::try_from(announced).ok());
    visit.receive(expected.unwrap_or(limit), Instant::now())?;
    match timeout(PATIENCE, to_bytes(body, limit)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        // Either more than the limit, or a connection that broke, whose client hears nothing.
        Ok(Err(error)) if announced.is_none() => {
            tracing::debug!(%error, "body not read");
            Err(Refusal::BodyTooLarge(most))
        }
        Ok(Err(error)) => Err(Refusal::Body(error.to_string())),
        Err(_) => Err(Refusal::Body("it took too long".to_owned())),
    }
}

//! `POST /v1/classify`: direct offloading, the baseline. The picture itself is sent, and the
//! server runs the whole network.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Json;
use axum::body::{Body, to_bytes};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_LENGTH;
use bytes::Bytes;
use serde::Deserialize;
use tokio::time::timeout;
use wire::{ClassifyResponse, MAX_TOP_K};

use super::origin;
use crate::answer::{Clock, DEFAULT_TOP_K, answer};
use crate::app::App;
use crate::error::Refusal;
use crate::picture::{self, Source};

/// A body must be there within this time.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the address can say.
#[derive(Debug, Deserialize)]
pub(super) struct Options {
    /// The model's name; the first model when absent.
    model: Option<String>,
    /// Classes in the answer.
    top_k: Option<u8>,
}

/// Decodes the picture in the body, runs the whole network, answers as to a frame.
pub(super) async fn classify(
    State(app): State<Arc<App>>,
    options: Result<Query<Options>, QueryRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<ClassifyResponse>, Refusal> {
    origin::check(&headers, &app.config.allow_origin)?;
    let Query(options) = options.map_err(|rejection| Refusal::Query(rejection.body_text()))?;
    let top_k = options.top_k.unwrap_or(DEFAULT_TOP_K);
    if !(1..=MAX_TOP_K).contains(&top_k) {
        return Err(Refusal::Query(format!("top_k is {top_k}")));
    }
    let index = match &options.model {
        Some(name) => app.catalogue.by_name(name),
        None => (!app.catalogue.models().is_empty()).then_some(0),
    };
    let (index, model) = index
        .and_then(|index| Some((index, app.catalogue.model(index)?)))
        .ok_or_else(|| Refusal::Model(options.model.clone().unwrap_or_default()))?;

    let bytes = receive(body, &headers, app.config.max_picture).await?;
    let arrived = Instant::now();
    let payload_bytes = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    let ticket = app.queue.admit(None)?;
    let prepared = picture::prepare(&app, index, bytes, Source::Photograph).await?;
    let finished = app.queue.submit(ticket, prepared.input).await?;
    let answer = answer(
        model,
        &finished,
        top_k,
        &Clock {
            arrived,
            decode: prepared.decode,
            preprocess: prepared.preprocess,
        },
    )?;
    Ok(Json(ClassifyResponse {
        model: model.manifest.digest.clone(),
        top: answer.top,
        timings: answer.timings,
        batch: answer.batch,
        payload_bytes,
    }))
}

/// Reads the body, up to its limit in size and time.
async fn receive(body: Body, headers: &HeaderMap, most: u32) -> Result<Bytes, Refusal> {
    // A client that says how much will come is refused before it comes.
    let announced = headers
        .get(CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok())
        .and_then(|length| length.parse::<u64>().ok());
    if announced.is_some_and(|announced| announced > u64::from(most)) {
        return Err(Refusal::BodyTooLarge(most));
    }
    let limit = usize::try_from(most).unwrap_or(usize::MAX);
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

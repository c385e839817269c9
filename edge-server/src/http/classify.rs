//! `POST /v1/classify`: direct offloading, the baseline. The picture itself is sent, and the
//! server runs the whole network.

use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::{Extension, Json};
use serde::Deserialize;
use wire::{ClassifyResponse, MAX_TOP_K};

use super::body;
use crate::answer::{Clock, DEFAULT_TOP_K, answer};
use crate::app::App;
use crate::error::Refusal;
use crate::guests::Visit;
use crate::metrics::Kind;
use crate::models::Generation;
use crate::picture::{self, Source};

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
    Extension(visit): Extension<Arc<Visit>>,
    options: Result<Query<Options>, QueryRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<ClassifyResponse>, Refusal> {
    body::may_compute(&app, &headers)?;
    let Query(options) = options.map_err(|rejection| Refusal::Query(rejection.body_text()))?;
    let top_k = options.top_k.unwrap_or(DEFAULT_TOP_K);
    if !(1..=MAX_TOP_K).contains(&top_k) {
        return Err(Refusal::Query(format!("top_k is {top_k}")));
    }
    let generation = app.models.current();
    let Generation {
        catalogue, queue, ..
    } = &*generation;
    let index = match &options.model {
        Some(name) => catalogue.by_name(name),
        None => (!catalogue.models().is_empty()).then_some(0),
    };
    let (index, model) = index
        .and_then(|index| Some((index, catalogue.model(index)?)))
        .ok_or_else(|| Refusal::Model(options.model.clone().unwrap_or_default()))?;

    let bytes = body::receive(body, &headers, app.config.max_picture, &visit).await?;
    app.metrics.received(Kind::Picture, bytes.len());
    let arrived = Instant::now();
    let payload_bytes = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    let ticket = queue.admit(None)?;
    let prepared =
        picture::prepare(&app.decoders, catalogue, index, bytes, Source::Photograph).await?;
    let finished = queue.submit(ticket, prepared.input).await?;
    let clock = Clock {
        arrived,
        decode: prepared.decode,
        preprocess: prepared.preprocess,
    };
    let answer = answer(model, &finished, top_k, &clock)?;
    app.metrics.answered(Kind::Picture, &clock, &finished);
    Ok(Json(ClassifyResponse {
        model: model.manifest.digest.clone(),
        top: answer.top,
        timings: answer.timings,
        batch: answer.batch,
        payload_bytes,
    }))
}

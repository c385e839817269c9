//! What the server is, and how it is.

use std::sync::Arc;

use aecnn::manifest::Manifest;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CACHE_CONTROL;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::cache::REVALIDATE;
use crate::app::{App, SERVER};
use crate::models::Generation;

/// How the server is.
#[derive(Debug, Serialize)]
struct Health<'a> {
    /// `ok`, or `failing` when the last thing to compute could not be computed.
    status: &'static str,
    server: &'static str,
    backend: &'static str,
    uptime_s: u64,
    /// Devices that are connected.
    clients: usize,
    /// Frames and pictures in the server, and how many it takes.
    queue: Places,
    models: Vec<&'a str>,
}

#[derive(Debug, Serialize)]
struct Places {
    used: usize,
    depth: usize,
}

/// The models that the server offers.
#[derive(Debug, Serialize)]
struct Models<'a> {
    models: Vec<&'a Manifest>,
}

/// `GET /healthz`: 200 when all is well, 503 when inference fails or the server ends.
pub(super) async fn health(State(app): State<Arc<App>>) -> Response {
    let Generation {
        catalogue, queue, ..
    } = &*app.models.current();
    let status = match (app.stop.is_cancelled(), queue.healthy()) {
        (true, _) => "stopping",
        (false, true) => "ok",
        (false, false) => "failing",
    };
    let code = if status == "ok" {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let health = Health {
        status,
        server: SERVER,
        backend: app.config.backend.name(),
        uptime_s: app.started.elapsed().as_secs(),
        clients: app.sockets.len(),
        queue: Places {
            used: queue.used(),
            depth: queue.depth(),
        },
        models: catalogue
            .models()
            .iter()
            .map(|model| model.manifest.name.as_str())
            .collect(),
    };
    (code, [(CACHE_CONTROL, "no-store")], Json(health)).into_response()
}

/// `GET /v1/models`: the manifests of all models.
pub(super) async fn models(State(app): State<Arc<App>>) -> Response {
    let generation = app.models.current();
    let models = generation
        .catalogue
        .models()
        .iter()
        .map(|model| &model.manifest)
        .collect();
    ([(CACHE_CONTROL, REVALIDATE)], Json(Models { models })).into_response()
}

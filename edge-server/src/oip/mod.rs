//! The Open Inference Protocol, version 2 (KServe, Triton): health, metadata and `infer` over HTTP,
//! with binary tensors.
//!
//! Each model of the catalogue is offered under several names: its own takes whole pictures,
//! `<model>.<split>` takes features as they are, `<model>.<codec>` takes coded frames.

mod infer;
pub mod message;
mod offer;

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};

use self::offer::{Offer, VERSION};
use crate::app::{App, SERVER};
use crate::catalogue::Catalogue;
use crate::error::Refusal;

/// A refusal in the protocol's form.
struct Failure(Refusal);

impl<R: Into<Refusal>> From<R> for Failure {
    fn from(refusal: R) -> Self {
        Self(refusal.into())
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let Self(refusal) = self;
        let error = format!("{refusal} ({})", refusal.hint());
        // Status and headers as everywhere.
        let mut response = refusal.into_response();
        let status = response.status();
        let mut body = (status, Json(json!({"error": error}))).into_response();
        std::mem::swap(response.body_mut(), body.body_mut());
        response.headers_mut().extend(body.headers().clone());
        response
    }
}

/// The routes; models by name, with and without a version.
pub(crate) fn routes() -> Router<Arc<App>> {
    let models = Router::new()
        .route("/", get(metadata))
        .route("/ready", get(model_ready))
        .route("/infer", post(infer::infer));
    Router::new()
        .route("/v2", get(server))
        .route("/v2/health/live", get(live))
        .route("/v2/health/ready", get(ready))
        .nest("/v2/models/{model}", models.clone())
        .nest("/v2/models/{model}/versions/{version}", models)
}

async fn server() -> Json<Value> {
    let version = SERVER
        .rsplit_once('/')
        .map_or(SERVER, |(_, version)| version);
    Json(json!({
        "name": "edge-server",
        "version": version,
        "extensions": ["binary_tensor_data", "classification"],
    }))
}

/// Whether the process is worth keeping: it answers.
async fn live() -> StatusCode {
    StatusCode::OK
}

/// Whether requests should come here.
async fn ready(State(app): State<Arc<App>>) -> StatusCode {
    if app.is_ready() {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    }
}

/// A model's name and, in half of the routes, its version.
#[derive(serde::Deserialize)]
struct Named {
    model: String,
    version: Option<String>,
}

impl Named {
    fn find(&self, catalogue: &Catalogue) -> Result<Offer, Refusal> {
        let unknown = || Refusal::Model(self.model.clone());
        if self
            .version
            .as_deref()
            .is_some_and(|version| version != VERSION)
        {
            return Err(unknown());
        }
        Offer::find(catalogue, &self.model).ok_or_else(unknown)
    }
}

async fn metadata(
    State(app): State<Arc<App>>,
    Path(named): Path<Named>,
) -> Result<Json<Value>, Failure> {
    let catalogue = &app.models.current().catalogue;
    Ok(Json(named.find(catalogue)?.metadata(catalogue)?))
}

async fn model_ready(
    State(app): State<Arc<App>>,
    Path(named): Path<Named>,
) -> Result<StatusCode, Failure> {
    named.find(&app.models.current().catalogue)?;
    Ok(ready(State(app)).await)
}

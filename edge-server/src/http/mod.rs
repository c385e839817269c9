//! HTTP: the routes, and what they have in common.

pub mod body;
pub mod cache;
pub(crate) mod classify;
mod files;
mod info;
pub mod origin;
mod security;
mod visitor;

use std::sync::Arc;

use axum::Router;
use axum::middleware::{from_fn_with_state, map_response};
use axum::routing::{get, post};
use tower_http::trace::TraceLayer;

use crate::app::App;
use crate::error::Refusal;
use crate::{oip, stream};

/// All routes of the server.
pub fn router(app: Arc<App>) -> Router {
    let cors = origin::cors(&app.config.allow_origin);
    Router::new()
        .route("/", get(files::index))
        .route("/{*path}", get(files::page))
        .route("/models/{name}/{file}", get(files::model))
        .route("/healthz", get(info::health))
        .route("/v1/models", get(info::models))
        .route("/v1/classify", post(classify::classify))
        .route("/v1/stream", get(stream::upgrade))
        .merge(oip::routes())
        .fallback(async || Refusal::NotFound)
        .method_not_allowed_fallback(async || Refusal::Method)
        .layer(from_fn_with_state(Arc::clone(&app), visitor::identify))
        .layer(cors)
        .layer(map_response(security::add_headers))
        .layer(TraceLayer::new_for_http())
        .with_state(app)
}

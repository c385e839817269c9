//! The page, and the models' files.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Deserialize;

use super::cache;
use crate::app::App;
use crate::error::Refusal;

/// The version in a file's address.
#[derive(Debug, Deserialize)]
pub(super) struct Version {
    v: Option<String>,
}

/// `GET /`: the page.
pub(super) async fn index(
    State(app): State<Arc<App>>,
    Query(version): Query<Version>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    page_file(&app, "", &version, &headers).await
}

/// `GET /<path>`: a file of the page.
pub(super) async fn page(
    State(app): State<Arc<App>>,
    Path(path): Path<String>,
    Query(version): Query<Version>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    page_file(&app, &path, &version, &headers).await
}

/// `GET /models/<name>/<file>`: a file that the model's manifest names, or the manifest itself.
pub(super) async fn model(
    State(app): State<Arc<App>>,
    Path((name, file)): Path<(String, String)>,
    Query(version): Query<Version>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let catalogue = &app.models.current().catalogue;
    let model = catalogue
        .by_name(&name)
        .and_then(|index| catalogue.model(index));
    let asset = model
        .and_then(|model| model.file(&file))
        .ok_or(Refusal::NotFound)?;
    Ok(cache::respond(asset, version.v.as_deref(), &headers))
}

async fn page_file(
    app: &Arc<App>,
    path: &str,
    version: &Version,
    headers: &HeaderMap,
) -> Result<Response, Refusal> {
    let asset = match &app.page {
        // Already in memory.
        embedded @ crate::page::Page::Embedded => embedded.file(path),
        folder @ crate::page::Page::Folder(_) => {
            let (folder, path) = (folder.clone(), path.to_owned());
            tokio::task::spawn_blocking(move || folder.file(&path))
                .await
                .map_err(|error| Refusal::Internal(error.to_string()))?
        }
    };
    let asset = asset.ok_or(Refusal::NotFound)?;
    Ok(cache::respond(&asset, version.v.as_deref(), headers))
}

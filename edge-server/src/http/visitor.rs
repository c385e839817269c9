//! Whose limits a request counts against.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use wire::ErrorCode;

use crate::app::App;
use crate::error::Refusal;
use crate::server::Peer;

const FORWARDED_FOR: &str = "x-forwarded-for";

/// Counts what is refused, and adds the [`Visit`](crate::guests::Visit) that pays for the request as an extension: that of
/// the connection, or where a known proxy forwards the request, that of whom it names.
pub(super) async fn identify(
    State(app): State<Arc<App>>,
    request: Request,
    next: Next,
) -> Response {
    let response = admit(&app, request, next)
        .await
        .unwrap_or_else(IntoResponse::into_response);
    if let Some(code) = response.extensions().get::<ErrorCode>() {
        app.metrics.refused(code.name());
    }
    response
}

async fn admit(app: &App, mut request: Request, next: Next) -> Result<Response, Refusal> {
    let Some(Peer { address, visit }) = request.extensions_mut().remove::<Peer>() else {
        return Err(Refusal::Internal("a request without a peer".to_owned()));
    };
    let named = app
        .config
        .is_proxy(address.ip())
        .then(|| forwarded_for(request.headers()))
        .flatten();
    let visit = match named {
        Some(named) => Arc::new(app.guests.behind_proxy(named, visit)?),
        None => visit,
    };
    request.extensions_mut().insert(Arc::clone(&visit));
    // Held until the answer's head is there; a session holds it longer.
    let response = next.run(request).await;
    drop(visit);
    Ok(response)
}

/// The last address: the one that the proxy itself added. What stands before it, anybody may have
/// written.
fn forwarded_for(headers: &HeaderMap) -> Option<IpAddr> {
    let last = headers.get_all(FORWARDED_FOR).iter().next_back()?;
    last.to_str().ok()?.rsplit(',').next()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_proxys_own_word_counts() {
        let mut headers = HeaderMap::new();
        assert_eq!(forwarded_for(&headers), None);
        headers.append(FORWARDED_FOR, "198.51.100.1".parse().unwrap());
        headers.append(FORWARDED_FOR, "203.0.113.9, 192.0.2.1".parse().unwrap());
        assert_eq!(forwarded_for(&headers), "192.0.2.1".parse().ok());
        headers.append(FORWARDED_FOR, "unknown".parse().unwrap());
        assert_eq!(forwarded_for(&headers), None);
    }
}

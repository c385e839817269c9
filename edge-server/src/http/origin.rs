//! Which pages may use the server.
//!
//! Browsers let any page open a WebSocket to any server, and send simple POST requests; they only
//! tell where the page comes from. So the server looks.

use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, ORIGIN};
use axum::http::{HeaderMap, HeaderValue, Method};
use tower_http::cors::{AllowOrigin, CorsLayer};

use crate::error::Refusal;

/// Lets in: programs that are no browsers (they send no `Origin`), the server's own page, and
/// the pages of origins that the user allowed.
///
/// # Errors
///
/// For every other page.
pub fn check(headers: &HeaderMap, allowed: &[String]) -> Result<(), Refusal> {
    let Some(origin) = headers.get(ORIGIN) else {
        return Ok(());
    };
    let origin = origin.to_str().unwrap_or_default().to_ascii_lowercase();
    let host = headers
        .get(HOST)
        .and_then(|host| host.to_str().ok())
        .unwrap_or_default();
    if is_same(&origin, host)
        || allowed
            .iter()
            .any(|allowed| allowed == "*" || *allowed == origin)
    {
        Ok(())
    } else {
        Err(Refusal::Origin(origin))
    }
}

/// Whether an origin is the one that the request went to. The scheme is not compared: a proxy
/// in front may speak TLS while this server does not.
fn is_same(origin: &str, host: &str) -> bool {
    let Some((scheme, authority)) = origin.split_once("://") else {
        return false;
    };
    let host = host.to_ascii_lowercase();
    let default_port = match scheme {
        "http" => ":80",
        "https" => ":443",
        _ => return false,
    };
    let strip = |text: &str| text.strip_suffix(default_port).unwrap_or(text).to_owned();
    !authority.is_empty() && strip(authority) == strip(&host)
}

/// What tells browsers which other origins' pages may read the answers.
pub fn cors(allowed: &[String]) -> CorsLayer {
    let origins = if allowed.iter().any(|origin| origin == "*") {
        AllowOrigin::any()
    } else {
        AllowOrigin::list(
            allowed
                .iter()
                .filter_map(|origin| HeaderValue::from_str(origin).ok()),
        )
    };
    CorsLayer::new()
        .allow_origin(origins)
        .allow_methods([Method::GET, Method::POST])
        .allow_headers([AUTHORIZATION, CONTENT_TYPE])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(origin: Option<&str>, host: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, host.parse().unwrap());
        if let Some(origin) = origin {
            headers.insert(ORIGIN, origin.parse().unwrap());
        }
        headers
    }

    #[test]
    fn the_own_page_programs_and_allowed_origins_are_let_in() {
        let allowed = ["https://friend.example".to_owned()];
        for (origin, host) in [
            (None, "localhost:8080"),
            (Some("http://localhost:8080"), "localhost:8080"),
            (Some("https://Edge.example"), "edge.example"),
            (Some("https://edge.example"), "edge.example:443"),
            (Some("http://[::1]:8080"), "[::1]:8080"),
            (Some("https://friend.example"), "localhost:8080"),
        ] {
            assert!(
                check(&headers(origin, host), &allowed).is_ok(),
                "{origin:?} at {host}"
            );
        }
    }

    #[test]
    fn others_are_not() {
        let allowed = ["https://friend.example".to_owned()];
        for (origin, host) in [
            ("http://localhost:8081", "localhost:8080"),
            ("http://evil.example", "localhost:8080"),
            ("https://friend.example.evil.example", "localhost:8080"),
            ("http://friend.example", "localhost:8080"),
            ("null", "null"),
            ("file://", ""),
            ("https://", ""),
        ] {
            assert!(
                check(&headers(Some(origin), host), &allowed).is_err(),
                "{origin} at {host}"
            );
        }
        assert!(check(&headers(Some("null"), "a"), &["*".to_owned()]).is_ok());
    }
}

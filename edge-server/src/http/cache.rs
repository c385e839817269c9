//! How long browsers may keep a file, and in which form they get it.

use axum::body::Body;
use axum::http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG,
    IF_NONE_MATCH, VARY,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;

use crate::asset::Asset;

/// For addresses with `?v=` and the beginning of the file's SHA-256: what stands there never changes.
pub const IMMUTABLE: &str = "public, max-age=31536000, immutable";
/// For all others: keep it, but ask whether it is still right.
pub const REVALIDATE: &str = "no-cache";

/// Fewest hexadecimal digits that identify a version.
const SHORTEST_VERSION: usize = 8;

/// Answers a request for a file: in the form that the client accepts, with the caching that its
/// address allows, or with "not modified".
#[must_use]
pub fn respond(asset: &Asset, version: Option<&str>, request: &HeaderMap) -> Response {
    let (bytes, encoding) = match &asset.brotli {
        Some(brotli) if accepts_brotli(request) => (brotli, Some("br")),
        _ => (&asset.bytes, None),
    };
    let tag = match encoding {
        Some(encoding) => format!("\"{}-{encoding}\"", asset.sha256),
        None => format!("\"{}\"", asset.sha256),
    };
    let caching = if is_version(version, &asset.sha256) {
        IMMUTABLE
    } else {
        REVALIDATE
    };

    let unchanged = matches_tag(request, &tag);
    let body = if unchanged {
        Body::empty()
    } else {
        Body::from(bytes.clone())
    };
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(caching));
    headers.insert(VARY, HeaderValue::from_static("accept-encoding, origin"));
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        headers.insert(ETAG, tag);
    }
    if unchanged {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        return response;
    }
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(asset.content_type));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(bytes.len()));
    if let Some(encoding) = encoding {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static(encoding));
    }
    response
}

/// Whether `version` is the beginning of this digest, and long enough to mean it.
fn is_version(version: Option<&str>, sha256: &str) -> bool {
    version.is_some_and(|version| {
        version.len() >= SHORTEST_VERSION && sha256.starts_with(&version.to_ascii_lowercase())
    })
}

fn accepts_brotli(request: &HeaderMap) -> bool {
    values(request, ACCEPT_ENCODING).any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        let named = parts
            .next()
            .is_some_and(|name| name.eq_ignore_ascii_case("br"));
        let weight = parts
            .find_map(|part| part.strip_prefix("q="))
            .map_or(1.0, |weight| weight.parse::<f32>().unwrap_or(0.0));
        named && weight > 0.0
    })
}

fn matches_tag(request: &HeaderMap, tag: &str) -> bool {
    values(request, IF_NONE_MATCH)
        .any(|value| value == "*" || value.strip_prefix("W/").unwrap_or(value) == tag)
}

/// The comma-separated values of a header that may be there several times.
fn values(headers: &HeaderMap, name: axum::http::HeaderName) -> impl Iterator<Item = &str> {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn asset() -> Asset {
        Asset::new(
            "a.js",
            Bytes::from_static(b"a long script"),
            Some(Bytes::from_static(b"short")),
        )
    }

    fn request(name: axum::http::HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_str(value).unwrap())])
    }

    fn header(response: &Response, name: axum::http::HeaderName) -> Option<&str> {
        response
            .headers()
            .get(name)
            .map(|value| value.to_str().unwrap())
    }

    #[test]
    fn brotli_only_where_accepted() {
        for (accept, expected) in [
            ("gzip, deflate, br", Some("br")),
            ("br;q=0.5", Some("br")),
            ("br;q=0, gzip", None),
            ("gzip", None),
            ("brotli", None),
        ] {
            let response = respond(&asset(), None, &request(ACCEPT_ENCODING, accept));
            assert_eq!(header(&response, CONTENT_ENCODING), expected, "{accept}");
            let length = if expected.is_some() { "5" } else { "13" };
            assert_eq!(header(&response, CONTENT_LENGTH), Some(length));
        }
    }

    #[test]
    fn only_the_right_version_is_immutable() {
        let asset = asset();
        let none = HeaderMap::new();
        for (version, expected) in [
            (Some(&asset.sha256[..16]), IMMUTABLE),
            (Some(asset.sha256.as_str()), IMMUTABLE),
            (Some(&asset.sha256[..7]), REVALIDATE),
            (Some("00000000"), REVALIDATE),
            (Some(""), REVALIDATE),
            (None, REVALIDATE),
        ] {
            let response = respond(&asset, version, &none);
            assert_eq!(
                header(&response, CACHE_CONTROL),
                Some(expected),
                "{version:?}"
            );
        }
    }

    #[test]
    fn an_unchanged_file_is_not_sent_again() {
        let asset = asset();
        let first = respond(&asset, None, &HeaderMap::new());
        let tag = header(&first, ETAG).unwrap().to_owned();
        for value in [tag.clone(), format!("\"other\", W/{tag}"), "*".to_owned()] {
            let again = respond(&asset, None, &request(IF_NONE_MATCH, &value));
            assert_eq!(again.status(), StatusCode::NOT_MODIFIED, "{value}");
        }
        let other = respond(&asset, None, &request(IF_NONE_MATCH, "\"other\""));
        assert_eq!(other.status(), StatusCode::OK);
        // The compressed form is another representation, with a tag of its own.
        let compressed = respond(&asset, None, &request(ACCEPT_ENCODING, "br"));
        assert_ne!(header(&compressed, ETAG), Some(tag.as_str()));
    }
}

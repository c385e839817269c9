//! A file as it is served: bytes, digest, type, and a compressed form where there is one.

use aecnn::digest::sha256_hex;
use bytes::Bytes;

/// A file to be served.
#[derive(Debug, Clone)]
pub struct Asset {
    /// The bytes.
    pub bytes: Bytes,
    /// SHA-256 of the bytes, in lowercase hexadecimal.
    pub sha256: String,
    /// The value of `Content-Type`.
    pub content_type: &'static str,
    /// The same bytes compressed with Brotli.
    pub brotli: Option<Bytes>,
}

impl Asset {
    /// The asset of a file with this name and these bytes.
    #[must_use]
    pub fn new(name: &str, bytes: Bytes, brotli: Option<Bytes>) -> Self {
        let sha256 = sha256_hex(&bytes);
        Self::with_digest(name, bytes, sha256, brotli)
    }

    /// As [`Self::new`], where the digest is known already.
    #[must_use]
    pub fn with_digest(name: &str, bytes: Bytes, sha256: String, brotli: Option<Bytes>) -> Self {
        // A compressed form that is not smaller is of no use.
        let brotli = brotli.filter(|brotli| brotli.len() < bytes.len());
        Self {
            bytes,
            sha256,
            content_type: content_type(name),
            brotli,
        }
    }
}

/// The media type of a file by its name.
#[must_use]
pub fn content_type(name: &str) -> &'static str {
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    match extension.to_ascii_lowercase().as_str() {
        "html" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "json" | "map" => "application/json",
        "webmanifest" => "application/manifest+json",
        // Browsers compile while they download only what comes as this type.
        "wasm" => "application/wasm",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "webp" => "image/webp",
        "ico" => "image/vnd.microsoft.icon",
        "woff2" => "font/woff2",
        "txt" | "md" | "ts" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_follow_the_extension() {
        assert_eq!(content_type("pkg/device_bg.wasm"), "application/wasm");
        assert_eq!(content_type("INDEX.HTML"), "text/html; charset=utf-8");
        assert_eq!(content_type("LICENSE"), "application/octet-stream");
        assert_eq!(content_type("stem.safetensors"), "application/octet-stream");
    }

    #[test]
    fn a_compressed_form_must_be_smaller() {
        let larger = Asset::new(
            "a",
            Bytes::from_static(b"abc"),
            Some(Bytes::from_static(b"abcd")),
        );
        assert!(larger.brotli.is_none());
        let smaller = Asset::new(
            "a",
            Bytes::from_static(b"abc"),
            Some(Bytes::from_static(b"a")),
        );
        assert!(smaller.brotli.is_some());
    }
}

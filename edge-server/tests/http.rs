//! Pages, models and pictures over real connections.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod support;

use std::io::Cursor;

use edge_server::catalogue::{Catalogue, CatalogueError};
use edge_server::page::Page;
use image::{ImageFormat, RgbImage};
use support::{TestServer, write_model};
use wire::{ClassifyResponse, ErrorCode, ErrorMessage};

fn picture(format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    RgbImage::from_pixel(320, 240, image::Rgb([90, 120, 30]))
        .write_to(&mut bytes, format)
        .unwrap();
    bytes.into_inner()
}

#[tokio::test]
async fn pictures_are_classified() {
    let server = TestServer::start(&[]).await;
    for format in [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::WebP] {
        let body = picture(format);
        // The type that the client claims is of no interest: the bytes say what they are.
        let answer = server
            .post(
                "/v1/classify?top_k=2",
                "Content-Type: text/plain\r\n",
                &body,
            )
            .await;
        assert_eq!(answer.status, 200);
        let response: ClassifyResponse = answer.json();
        assert_eq!(response.model, server.manifest.digest);
        assert_eq!(response.top.len(), 2);
        assert_eq!(
            (response.top[0].class, response.top[0].label.as_str()),
            (3, "class 3")
        );
        assert_eq!(
            (response.batch, response.payload_bytes as usize),
            (1, body.len())
        );
        assert!(response.timings.decode_us > 0 && response.timings.tail_us == 20);
    }
    let named = server
        .post("/v1/classify?model=tiny", "", &picture(ImageFormat::Png))
        .await;
    assert_eq!(named.json::<ClassifyResponse>().top.len(), 5);
}

#[tokio::test]
async fn what_cannot_be_classified_is_explained() {
    let server = TestServer::start(&["--max-picture", "50000"]).await;
    let right = picture(ImageFormat::Png);
    let cut = &right[..right.len() / 2];
    let cases: [(&str, &[u8], u16, ErrorCode); 7] = [
        ("/v1/classify", b"", 415, ErrorCode::BadPicture),
        ("/v1/classify", b"<svg/>", 415, ErrorCode::BadPicture),
        ("/v1/classify", cut, 422, ErrorCode::BadPicture),
        ("/v1/classify", &[0; 50_001], 413, ErrorCode::TooLarge),
        (
            "/v1/classify?model=other",
            &right,
            404,
            ErrorCode::UnknownModel,
        ),
        ("/v1/classify?top_k=0", &right, 400, ErrorCode::BadMessage),
        (
            "/v1/classify?top_k=many",
            &right,
            400,
            ErrorCode::BadMessage,
        ),
    ];
    for (path, body, status, code) in cases {
        let answer = server.post(path, "", body).await;
        let error: ErrorMessage = answer.json();
        assert_eq!(
            (answer.status, error.code),
            (status, code),
            "{path}: {error:?}"
        );
        assert!(!error.hint.is_empty());
    }
    // Chunked, so that the length is not announced.
    let mut chunked = format!(
        "POST /v1/classify HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\nC351\r\n",
        server.address
    )
    .into_bytes();
    chunked.extend(vec![0; 0xC351]);
    chunked.extend(b"\r\n0\r\n\r\n");
    assert_eq!(server.http(chunked).await.status, 413);
    // And it still works.
    assert_eq!(server.post("/v1/classify", "", &right).await.status, 200);
}

#[tokio::test]
async fn other_origins_may_not_classify_unless_allowed() {
    let server = TestServer::start(&["--allow-origin", "https://friend.example"]).await;
    let body = picture(ImageFormat::Png);
    let evil = server
        .post("/v1/classify", "Origin: https://evil.example\r\n", &body)
        .await;
    assert_eq!(evil.status, 403);
    assert_eq!(evil.header("access-control-allow-origin"), None);
    let friend = server
        .post("/v1/classify", "Origin: https://friend.example\r\n", &body)
        .await;
    assert_eq!(friend.status, 200);
    assert_eq!(
        friend.header("access-control-allow-origin"),
        Some("https://friend.example")
    );
}

#[tokio::test]
async fn the_page_is_served_isolated_and_revalidated() {
    let server = TestServer::start(&[]).await;
    let page = server.get("/", "").await;
    assert_eq!(page.status, 200);
    assert_eq!(
        page.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    assert_eq!(
        page.header("cross-origin-opener-policy"),
        Some("same-origin")
    );
    assert_eq!(
        page.header("cross-origin-embedder-policy"),
        Some("require-corp")
    );
    assert!(
        page.header("content-security-policy")
            .unwrap()
            .contains("'wasm-unsafe-eval'")
    );
    assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(page.header("cache-control"), Some("no-cache"));
    assert_eq!(server.get("/index.html", "").await.body, page.body);

    let tag = page.header("etag").unwrap();
    let again = server.get("/", &format!("If-None-Match: {tag}\r\n")).await;
    assert_eq!((again.status, again.body.len()), (304, 0));
    assert_eq!(again.header("etag"), Some(tag));
}

#[tokio::test]
async fn models_are_served_by_version_and_compressed() {
    let server = TestServer::start(&[]).await;
    let entry = &server.manifest.parts[0].file;
    let path = format!("/models/tiny/{}", entry.file);
    let plain = server.get(&path, "").await;
    assert_eq!((plain.status, plain.body.len() as u64), (200, entry.bytes));
    assert_eq!(plain.header("cache-control"), Some("no-cache"));
    let versioned = server
        .get(&format!("{path}?v={}", &entry.sha256[..16]), "")
        .await;
    assert_eq!(
        versioned.header("cache-control"),
        Some("public, max-age=31536000, immutable")
    );
    let outdated = server.get(&format!("{path}?v=0123456789abcdef"), "").await;
    assert_eq!(outdated.header("cache-control"), Some("no-cache"));

    let manifest = server.get("/models/tiny/manifest.json", "").await;
    assert_eq!(manifest.header("content-type"), Some("application/json"));
    let list: serde_json::Value = server.get("/v1/models", "").await.json();
    assert_eq!(list["models"][0], manifest.json::<serde_json::Value>());
}

#[tokio::test]
async fn compressed_forms_beside_files_are_served_where_accepted() {
    let folder = tempfile::tempdir().unwrap();
    let web = folder.path().join("web");
    std::fs::create_dir(&web).unwrap();
    std::fs::write(web.join("index.html"), "the page").unwrap();
    std::fs::write(web.join("index.html.br"), "small").unwrap();
    let server = TestServer::start(&["--web-dir", web.to_str().unwrap()]).await;
    let compressed = server.get("/", "Accept-Encoding: gzip, br\r\n").await;
    assert_eq!(compressed.header("content-encoding"), Some("br"));
    assert_eq!(compressed.body, b"small");
    assert_eq!(
        server.get("/", "Accept-Encoding: gzip\r\n").await.body,
        b"the page"
    );
}

#[tokio::test]
async fn nothing_outside_is_served() {
    let server = TestServer::start(&[]).await;
    std::fs::write(
        server.folder.path().join("models/tiny/secret.txt"),
        "secret",
    )
    .unwrap();
    std::fs::write(server.folder.path().join("models/secret.txt"), "secret").unwrap();
    for path in [
        "/models/tiny/secret.txt",
        "/models/tiny/../secret.txt",
        "/models/tiny/..%2fsecret.txt",
        "/models/..%2f..%2fsecret.txt",
        "/../Cargo.toml",
        "/..%2fCargo.toml",
        "/%2e%2e/Cargo.toml",
        "//etc/passwd",
        "/package.json",
        "/tests/",
        "/node_modules/typescript/package.json",
        "/.gitignore",
    ] {
        let answer = server.get(path, "").await;
        assert_eq!(answer.status, 404, "{path}");
        let error: ErrorMessage = answer.json();
        assert!(!error.hint.is_empty());
    }
    assert_eq!(server.post("/v1/models", "", b"").await.status, 405);
    assert_eq!(server.get("/v1/stream", "").await.status, 426);
}

#[tokio::test]
async fn health_says_how_the_server_is() {
    let server = TestServer::start(&["--queue", "9"]).await;
    let _device = server.device().await;
    let answer = server.get("/healthz", "").await;
    let health: serde_json::Value = answer.json();
    assert_eq!(
        (answer.status, health["status"].as_str()),
        (200, Some("ok"))
    );
    assert_eq!(
        (&health["clients"], &health["queue"]["depth"]),
        (&1.into(), &9.into())
    );
    assert_eq!(health["models"][0], "tiny");
}

#[test]
fn models_that_are_not_right_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let models = folder.path().join("models");
    assert!(matches!(
        Catalogue::read(&models),
        Err(CatalogueError::Read { .. })
    ));
    std::fs::create_dir(&models).unwrap();
    assert!(matches!(
        Catalogue::read(&models),
        Err(CatalogueError::Empty(_))
    ));

    write_model(&models);
    assert!(Catalogue::read(&models).is_ok());
    let part = models.join("tiny/stage1.safetensors");
    let mut bytes = std::fs::read(&part).unwrap();
    bytes[0] ^= 1;
    std::fs::write(&part, &bytes).unwrap();
    let damaged = Catalogue::read(&models).unwrap_err();
    assert!(
        damaged.to_string().contains("stage1.safetensors"),
        "{damaged}"
    );
    std::fs::remove_file(&part).unwrap();
    let missing = Catalogue::read(&models).unwrap_err();
    assert!(
        missing.to_string().contains("stage1.safetensors"),
        "{missing}"
    );

    write_model(&models);
    std::fs::write(models.join("tiny/labels.json"), "[]").unwrap();
    assert!(Catalogue::read(&models).is_err());
}

#[test]
fn the_embedded_page_is_there() {
    let page = Page::Embedded.file("").expect("index.html is embedded");
    assert!(page.bytes.starts_with(b"<!"));
}

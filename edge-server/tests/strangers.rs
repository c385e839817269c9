//! What the server refuses to those whom it does not know, and how little it reads of them.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod support;

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use edge_server::server::serve;
use edge_server::tls::Tls;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use support::{TestServer, app};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::tungstenite::Error;
use wire::{ErrorCode, ErrorMessage, ServerMessage};

const TOKEN: &str = "a-token-for-this-test";

/// A PNG of so many black pixels in grey, which are few bytes.
fn bomb(width: u32, height: u32) -> Vec<u8> {
    fn chunk(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
        let mut crc = flate2::Crc::new();
        crc.update(kind);
        crc.update(data);
        let length = u32::try_from(data.len()).unwrap();
        [
            &length.to_be_bytes()[..],
            kind,
            data,
            &crc.sum().to_be_bytes(),
        ]
        .concat()
    }
    let mut header = [width.to_be_bytes(), height.to_be_bytes()].concat();
    header.extend([8, 0, 0, 0, 0]);
    let mut pixels = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    let row = vec![0; width as usize + 1];
    for _ in 0..height {
        pixels.write_all(&row).unwrap();
    }
    [
        b"\x89PNG\r\n\x1a\n".to_vec(),
        chunk(b"IHDR", &header),
        chunk(b"IDAT", &pixels.finish().unwrap()),
        chunk(b"IEND", b""),
    ]
    .concat()
}

#[tokio::test]
async fn a_tiny_file_of_a_huge_picture_is_refused() {
    let server = TestServer::start(&[]).await;
    // 9,000 x 9,000: 81 million pixels in less than 100 kB.
    let file = bomb(9000, 9000);
    assert!(file.len() < 100_000, "{}", file.len());
    let answer = server.post("/v1/classify", "", &file).await;
    let error: ErrorMessage = answer.json();
    assert_eq!((answer.status, error.code), (413, ErrorCode::BadPicture));
    // A header that only claims to be large is refused as well.
    let mut claims = bomb(8, 8);
    claims[16..24].copy_from_slice(&[0x7f, 0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff]);
    assert!(server.post("/v1/classify", "", &claims).await.status >= 400);
}

#[tokio::test]
async fn a_token_is_asked_for_where_something_is_computed() {
    let server = TestServer::start(&["--token", TOKEN]).await;
    let picture = bomb(8, 8);
    let refused = server.post("/v1/classify", "", &picture).await;
    assert_eq!(refused.status, 401);
    assert_eq!(refused.header("www-authenticate"), Some("Bearer"));
    let error: ErrorMessage = refused.json();
    assert_eq!(error.code, ErrorCode::Unauthorized);
    assert!(!error.message.contains(TOKEN) && !error.hint.contains(TOKEN));
    let wrong = format!("Authorization: Bearer {TOKEN}x\r\n");
    assert_eq!(
        server.post("/v1/classify", &wrong, &picture).await.status,
        401
    );
    assert_eq!(
        server.post("/v2/models/tiny/infer", "", b"{}").await.status,
        401
    );
    let right = format!("Authorization: Bearer {TOKEN}\r\n");
    assert_eq!(
        server.post("/v1/classify", &right, &picture).await.status,
        200
    );

    let protocols = format!("aecnn.v1, bearer.{TOKEN}");
    assert!(server.try_connect(Some(&protocols), None).await.is_ok());
    let refused = server.try_connect(Some("aecnn.v1"), None).await.err();
    assert!(matches!(*refused.unwrap(), Error::Http(response) if response.status() == 401));
    // The page and the models are for everybody.
    assert_eq!(server.get("/", "").await.status, 200);
    assert_eq!(server.get("/v1/models", "").await.status, 200);
}

#[tokio::test]
async fn connections_of_one_address_are_bounded() {
    let server = TestServer::start(&["--max-connections-per-address", "2"]).await;
    let first = server.device().await;
    let _second = server.device().await;
    // The third is closed unread.
    let mut third = TcpStream::connect(server.address).await.unwrap();
    let _ = third
        .write_all(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
        .await;
    let mut bytes = Vec::new();
    let _ = timeout(support::PATIENCE, third.read_to_end(&mut bytes))
        .await
        .unwrap();
    assert!(bytes.is_empty(), "{bytes:?}");
    drop(first);
    let gone = async {
        while server.app.guests.connections() > 1 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(support::PATIENCE, gone).await.unwrap();
    assert_eq!(server.get("/healthz", "").await.status, 200);
}

#[tokio::test]
async fn frames_of_one_address_are_bounded_over_its_sessions() {
    let server = TestServer::start(&["--max-rate-per-address", "1"]).await;
    let (mut one, mut two) = (server.device().await, server.device().await);
    one.send_frame(1, 5).await;
    assert_eq!(one.class().await.0, 1);
    two.send_frame(1, 5).await;
    assert_eq!(two.class().await.0, 1);
    two.send_frame(2, 5).await;
    let error = two.error().await;
    assert_eq!((error.code, error.fatal), (ErrorCode::TooFast, false));
    one.ping(3, 0).await;
    let error = one.error().await;
    assert_eq!((error.code, error.ping), (ErrorCode::TooFast, Some(3)));
}

#[tokio::test]
async fn probes_of_the_link_take_of_the_addresss_bytes() {
    let server = TestServer::start(&["--max-bytes-per-address", "2000"]).await;
    let mut device = server.device().await;
    device.ping(1, 3900).await;
    assert!(matches!(device.receive().await, Ok(ServerMessage::Pong(_))));
    device.ping(2, 3000).await;
    let error = device.error().await;
    assert_eq!((error.code, error.ping), (ErrorCode::TooFast, Some(2)));
}

#[tokio::test]
async fn behind_a_known_proxy_the_address_that_it_names_counts() {
    let flags = ["--proxy", "127.0.0.1", "--max-rate-per-address", "1"];
    let server = TestServer::start(&flags).await;
    let picture = bomb(8, 8);
    let classify = async |address: &str| {
        let headers = format!("X-Forwarded-For: 203.0.113.5, {address}\r\n");
        server.post("/v1/classify", &headers, &picture).await.status
    };
    assert_eq!(classify("192.0.2.1").await, 200);
    assert_eq!(classify("192.0.2.1").await, 200);
    assert_eq!(classify("192.0.2.1").await, 429);
    assert_eq!(classify("192.0.2.2").await, 200);
}

#[tokio::test]
async fn a_long_head_is_refused() {
    let server = TestServer::start(&[]).await;
    let long = format!("X-Long: {}\r\n", "a".repeat(20_000));
    assert_eq!(server.get("/", &long).await.status, 431);
    let many = "X-Many: a\r\n".repeat(100);
    assert_eq!(server.get("/", &many).await.status, 431);
}

#[tokio::test]
async fn tls_is_spoken_where_it_is_wanted() {
    let folder = tempfile::tempdir().unwrap();
    let (app, _) = app(folder.path(), &[]);
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (certificate, key) = (folder.path().join("c.pem"), folder.path().join("k.pem"));
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let tls = Tls::from_files(&certificate, &key).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = tokio::spawn(serve(listener, Some(tls), Arc::clone(&app)));

    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let mut stream = TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
        .unwrap();
    stream
        .write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .await
        .unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    assert!(answer.starts_with(b"HTTP/1.1 200"), "{answer:?}");

    // Who speaks something else is let go.
    let mut plain = TcpStream::connect(address).await.unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let mut bytes = Vec::new();
    let _ = timeout(support::PATIENCE, plain.read_to_end(&mut bytes))
        .await
        .unwrap();
    assert!(!bytes.starts_with(b"HTTP"), "{bytes:?}");
    app.stop.cancel();
    serving.await.unwrap().unwrap();
}

//! The native client over TLS: a private authority, and one that is not believed.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use edge_server::app::App;
use edge_server::catalogue::Catalogue;
use edge_server::config::Config;
use edge_server::engine::{Engine, EngineError, Inference, Input, Output};
use edge_server::metrics::Metrics;
use edge_server::page::Page;
use edge_server::server::serve;
use edge_server::tls::Tls;
use load::link::{Address, Link, LinkError};
use load::trust::{Trust, TrustError};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::net::TcpListener;
use wire::Hello;

/// Answers everything with class 7.
struct Seven;

impl Engine for Seven {
    fn run(&mut self, inputs: &[&Input]) -> Result<Output, EngineError> {
        let mut logits = vec![0.0; 1000];
        logits[7] = 10.0;
        Ok(Output {
            logits: vec![logits; inputs.len()],
            restore: Duration::ZERO,
            tail: Duration::ZERO,
        })
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut parameters = CertificateParams::default();
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap()
}

/// A server with the committed model whose certificate for `localhost` is the authority's.
async fn server(
    authority: &CertifiedIssuer<'static, KeyPair>,
    folder: &Path,
) -> (SocketAddr, Hello) {
    let key = KeyPair::generate().unwrap();
    let parameters = CertificateParams::new(["localhost".to_owned()]).unwrap();
    let certificate = parameters.signed_by(&key, authority).unwrap();
    let (chain, private) = (folder.join("chain.pem"), folder.join("key.pem"));
    std::fs::write(&chain, certificate.pem()).unwrap();
    std::fs::write(&private, key.serialize_pem()).unwrap();
    let tls = Tls::from_files(&chain, &private).unwrap();

    let config = Config::parse_from(["edge-server"]);
    let catalogue = Arc::new(Catalogue::read(&root().join("models")).unwrap());
    let manifest = &catalogue.models()[0].manifest;
    let codec = &manifest.codecs[0];
    let hello = Hello {
        client: "test".to_owned(),
        model: manifest.digest.clone(),
        codec: codec.file.sha256.clone(),
        split: codec.split.as_u8(),
        rate: 0,
        top_k: None,
        backend: None,
    };
    let metrics = Metrics::new().unwrap();
    let (_, queue) = Inference::start(config.rules(), metrics.clone(), || Ok(Seven)).unwrap();
    let app = App::new(config, catalogue, queue, Page::Embedded, metrics);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve(listener, Some(tls), app));
    (address, hello)
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_are_answered_over_tls_by_whom_the_given_authority_knows() {
    let folder = tempfile::tempdir().unwrap();
    let authority = authority();
    let (address, _) = server(&authority, folder.path()).await;
    let file = folder.path().join("authority.pem");
    std::fs::write(&file, authority.pem()).unwrap();
    let url = format!("wss://localhost:{}/v1/stream", address.port());
    let mut program = Command::new(env!("CARGO_BIN_EXE_aecnn-load"));
    program
        .current_dir(root())
        .args([
            "run",
            "--codec",
            "klt-stem",
            "--most",
            "1",
            "--clients",
            "1",
        ])
        .args(["--per-second", "10", "--seconds", "1", "--warm-up", "0"])
        .args(["--strict", "--url", &url, "--ca"])
        .arg(&file);
    let output = tokio::task::spawn_blocking(move || program.output());
    let output = output.await.unwrap().unwrap();
    let report = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{report}");
    let json = &report[report.find('{').unwrap()..];
    let report: serde_json::Value = serde_json::from_str(json).unwrap();
    assert!(report["answered"].as_u64().unwrap() > 0, "{report}");
    assert_eq!(report["no_link"], 0, "{report}");
}

#[tokio::test]
async fn a_server_for_whom_nobody_vouches_is_not_spoken_to() {
    let folder = tempfile::tempdir().unwrap();
    let (right, other) = (authority(), authority());
    let (server, hello) = server(&right, folder.path()).await;
    let address = |host: &str, authority: &CertifiedIssuer<'_, KeyPair>| Address {
        trust: Some(Trust::only([authority.der().clone()]).unwrap()),
        ..Address::new(format!("wss://{host}:{}/v1/stream", server.port()))
    };
    let link = Link::open(&address("localhost", &right), hello.clone()).await;
    assert!(link.is_ok(), "{link:?}");
    // Another authority, and another name than the certificate's.
    for address in [address("localhost", &other), address("127.0.0.1", &right)] {
        let link = Link::open(&address, hello.clone()).await;
        let error = link.expect_err("it is not trusted").to_string();
        assert!(error.contains("certificate"), "{error}");
    }
}

#[test]
fn files_without_certificates_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("authority.pem");
    for text in [None, Some("no certificate")] {
        if let Some(text) = text {
            std::fs::write(&file, text).unwrap();
        }
        let error = Trust::file(&file).unwrap_err();
        assert!(matches!(error, TrustError::File { .. }), "{error}");
        assert!(error.to_string().contains("authority.pem"), "{error}");
    }
}

#[tokio::test]
async fn other_addresses_are_refused() {
    let (model, codec) = (String::new(), String::new());
    let hello = Hello {
        client: "test".to_owned(),
        model,
        codec,
        split: 0,
        rate: 0,
        top_k: None,
        backend: None,
    };
    for url in [
        "http://127.0.0.1:1/v1/stream",
        "127.0.0.1:1",
        "wss:///v1/stream",
    ] {
        let refused = Link::open(&Address::new(url), hello.clone()).await;
        assert!(matches!(refused, Err(LinkError::Address(_))), "{url}");
    }
}

//! `--self-signed` as somebody meets it who has a telephone to try: an address, a code to scan, and
//! a certificate that one must accept by hand.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod support;

use std::sync::Arc;

use aecnn::digest::sha256_hex;
use aecnn::manifest::Manifest;
use edge_server::tls::qr_code;
use load::link::{Address, Link};
use load::trust::Trust;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use support::hello;
use support::process::{Program, committed_models};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Accepts the one certificate whose digest somebody has read in the server's log.
#[derive(Debug)]
struct AsRead {
    sha256: String,
    provider: CryptoProvider,
}

impl ServerCertVerifier for AsRead {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if sha256_hex(certificate) == self.sha256 {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(rustls::Error::General("another certificate".to_owned()))
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

#[tokio::test]
async fn it_shows_its_address_serves_the_page_and_opens_sockets() {
    let models = committed_models();
    let mut program = Program::start(&models, &["--self-signed"]).await;
    assert_eq!(program.scheme, "https");
    let url = format!("https://{}/", program.address);
    let mut printed = Vec::new();
    while printed.last() != Some(&url) {
        printed.push(program.line("").await);
    }
    let code = qr_code(&url);
    assert!(printed.join("\n").contains(&code), "{printed:#?}");

    // The digest is what one compares before one accepts the certificate.
    let told = program.opening.iter().find(|line| line.contains("sha256="));
    let sha256 = told.unwrap().split_once("sha256=").unwrap().1;
    let sha256: String = sha256.chars().filter(char::is_ascii_hexdigit).collect();
    let provider = ring::default_provider();
    let config = ClientConfig::builder_with_provider(Arc::new(provider.clone()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AsRead { sha256, provider }))
        .with_no_client_auth();
    let stream = TcpStream::connect(program.address).await.unwrap();
    let name = ServerName::from(program.address.ip());
    let mut stream = TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
        .unwrap();
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .await
        .unwrap();
    let mut page = Vec::new();
    let _ = stream.read_to_end(&mut page).await;
    let page = String::from_utf8_lossy(&page);
    assert!(
        page.starts_with("HTTP/1.1 200") && page.contains("<!"),
        "{page}"
    );

    // A native device that was given the certificate.
    let certificate = stream.get_ref().1.peer_certificates().unwrap()[0].clone();
    let json = std::fs::read(models.join("resnet50-imagenet/manifest.json")).unwrap();
    let manifest = Manifest::parse(&json).unwrap();
    let mut hello = hello(&manifest);
    hello.split = manifest.codecs[0].split.as_u8();
    let address = Address {
        trust: Some(Trust::only([certificate]).unwrap()),
        ..Address::new(format!("wss://{}/v1/stream", program.address))
    };
    let link = Link::open(&address, hello).await.unwrap();
    assert_eq!(link.welcome.model, manifest.digest);
}

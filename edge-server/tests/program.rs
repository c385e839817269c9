//! The program itself: what it says when it cannot start, and how it ends.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod support;

use std::path::Path;
use std::process::{Command, Stdio};

use support::process::{committed_models, copy_model, program};

/// What the program says to a folder of models that it must not start with.
fn refusal(models: &Path) -> String {
    let output = program()
        .args(["--listen", "127.0.0.1:0", "--models"])
        .arg(models)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn without_models_it_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    for models in [folder.path().join("missing"), folder.path().to_owned()] {
        let message = refusal(&models);
        assert!(message.contains(models.to_str().unwrap()), "{message}");
        assert!(message.contains("git checkout -- models"), "{message}");
    }
}

#[test]
fn it_does_not_start_with_a_damaged_model() {
    let folder = tempfile::tempdir().unwrap();
    let copy = copy_model(folder.path());
    let head = copy.join("head.safetensors");
    let mut bytes = std::fs::read(&head).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&head, bytes).unwrap();
    let message = refusal(folder.path());
    assert!(
        message.contains("head.safetensors") && message.contains("SHA-256"),
        "{message}"
    );
}

#[test]
fn wrong_settings_are_explained() {
    let output = program().args(["--backend", "abacus"]).output().unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(message.contains("flex"), "{message}");

    // The same by the environment.
    let output = program().env("EDGE_SERVER_QUEUE", "0").output().unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(message.contains("--queue"), "{message}");
}

/// What `edge-server check` with these flags says, and with what it ends.
fn check(models: &Path, flags: &[&str]) -> (Option<i32>, String) {
    let output = program()
        .args(["check", "--models"])
        .arg(models)
        .args(flags)
        .output()
        .unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    (output.status.code(), message)
}

/// A certificate and a key for it, as PEM files.
fn certificate(folder: &Path, name: &str) -> [String; 2] {
    let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    [
        ("certificate", made.cert.pem()),
        ("key", made.signing_key.serialize_pem()),
    ]
    .map(|(what, pem)| {
        let file = folder.join(format!("{name}.{what}.pem"));
        std::fs::write(&file, pem).unwrap();
        file.to_str().unwrap().to_owned()
    })
}

#[test]
fn check_ends_with_0_when_a_server_would_start() {
    let folder = tempfile::tempdir().unwrap();
    let [certificate, key] = certificate(folder.path(), "one.example");
    let flags = ["--tls-cert", &certificate, "--tls-key", &key];
    let (code, message) = check(&committed_models(), &flags);
    assert_eq!(code, Some(0), "{message}");
    assert!(message.contains("every model runs"), "{message}");
}

#[test]
fn check_says_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let models = committed_models();
    let (code, message) = check(&folder.path().join("missing"), &[]);
    assert_eq!(code, Some(1), "{message}");
    assert!(message.contains("missing cannot be read"), "{message}");

    let [one, _] = certificate(folder.path(), "one.example");
    let [_, other] = certificate(folder.path(), "other.example");
    let absent = folder.path().join("absent.pem");
    let absent = absent.to_str().unwrap();
    for (flags, code, says) in [
        // The key is of another certificate.
        (
            ["--tls-cert", &one, "--tls-key", &other],
            1,
            "certificate and key cannot be used",
        ),
        (["--tls-cert", absent, "--tls-key", &other], 1, "absent.pem"),
        // What is no flag, and flags that contradict each other.
        (["--tls-cert", &one, "--backend", "flex"], 2, "--tls-key"),
        (["--colour", "red", "--queue", "1"], 2, "--colour"),
        (["--queue", "2", "--max-batch", "4"], 1, "--queue 4 or more"),
    ] {
        let (ended, message) = check(&models, &flags);
        assert_eq!(ended, Some(code), "{flags:?}: {message}");
        assert!(message.contains(says), "{flags:?}: {message}");
    }
}

#[cfg(unix)]
#[test]
fn a_signal_ends_it_cleanly_with_open_sockets() {
    use std::io::{BufRead, BufReader, Read, Write};
    use std::net::TcpStream;
    use std::time::{Duration, Instant};

    for signal in ["-TERM", "-INT"] {
        let mut server = program()
            .args(["--listen", "127.0.0.1:0", "--log", "info", "--models"])
            .arg(committed_models())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(server.stderr.take().unwrap()).lines();
        let address = log
            .by_ref()
            .map(Result::unwrap)
            .find_map(|line| Some(line.split_once("serving on http://")?.1.to_owned()))
            .expect("it serves");
        // Its log must be read on, or it would block.
        let rest = std::thread::spawn(move || log.map_while(Result::ok).count());

        let mut socket = TcpStream::connect(&address).unwrap();
        socket
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        write!(
            socket,
            "GET /v1/stream HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             Sec-WebSocket-Protocol: aecnn.v1\r\n\r\n"
        )
        .unwrap();
        let mut first = [0];
        socket.read_exact(&mut first).unwrap();

        let asked = Instant::now();
        let pid = server.id().to_string();
        assert!(
            Command::new("kill")
                .args([signal, &pid])
                .status()
                .unwrap()
                .success()
        );
        let mut received = Vec::new();
        socket.read_to_end(&mut received).unwrap();
        // A close frame with the code 1001.
        let farewell = b"\x03\xe9the server is shutting down";
        assert!(received.ends_with(farewell), "{signal}: {received:?}");
        assert!(server.wait().unwrap().success(), "{signal}");
        assert!(
            asked.elapsed() < Duration::from_secs(8),
            "{signal}: {:?}",
            asked.elapsed()
        );
        rest.join().unwrap();
    }
}

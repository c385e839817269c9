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

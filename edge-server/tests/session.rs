//! A session without a socket: its two halves are channels.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod support;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::Message;
use edge_server::error::Refusal;
use edge_server::stream::{Ending, run};
use futures_util::{sink, stream};
use support::{app, frame, hello};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use wire::{ClientMessage, ErrorCode, ServerMessage, close};

struct Wire {
    to_server: mpsc::Sender<Result<Message, axum::Error>>,
    from_server: mpsc::Receiver<Message>,
    ending: JoinHandle<Ending>,
    hello: String,
    app: Arc<edge_server::app::App>,
    _folder: tempfile::TempDir,
}

/// A session whose outgoing half holds `room` messages.
fn open(room: usize, flags: &[&str]) -> Wire {
    let folder = tempfile::tempdir().unwrap();
    let (app, manifest) = app(folder.path(), flags);
    let (to_server, incoming) = mpsc::channel(16);
    let (outgoing, from_server) = mpsc::channel(room);
    let read = Box::pin(stream::unfold(incoming, async |mut incoming| {
        incoming.recv().await.map(|message| (message, incoming))
    }));
    let write = Box::pin(sink::unfold(
        outgoing,
        async |outgoing: mpsc::Sender<_>, message| outgoing.send(message).await.map(|()| outgoing),
    ));
    let visit = Arc::new(app.guests.enter([127, 0, 0, 1].into(), false).unwrap());
    let ending = tokio::spawn(run(write, read, Arc::clone(&app), 1, visit));
    let hello = ClientMessage::Hello(hello(&manifest)).to_json().unwrap();
    Wire {
        to_server,
        from_server,
        ending,
        hello,
        app,
        _folder: folder,
    }
}

impl Wire {
    async fn send(&self, message: impl Into<Message>) {
        self.to_server.send(Ok(message.into())).await.unwrap();
    }

    async fn receive(&mut self) -> Message {
        timeout(support::PATIENCE, self.from_server.recv())
            .await
            .unwrap()
            .expect("a message")
    }

    async fn message(&mut self) -> ServerMessage {
        let Message::Text(text) = self.receive().await else {
            panic!("no text")
        };
        ServerMessage::parse(&text).unwrap()
    }
}

#[tokio::test]
async fn a_session_from_hello_to_farewell() {
    let mut wire = open(16, &[]);
    wire.send(wire.hello.clone()).await;
    assert!(matches!(wire.message().await, ServerMessage::Welcome(_)));
    wire.send(frame(5, 8)).await;
    let ServerMessage::Result(result) = wire.message().await else {
        panic!("no result")
    };
    assert_eq!((result.sequence, result.top[0].class), (5, 8));
    wire.send(Message::Close(None)).await;
    assert!(matches!(wire.ending.await.unwrap(), Ending::Left));
}

#[tokio::test]
async fn a_refusal_is_told_before_the_close() {
    let mut wire = open(16, &[]);
    wire.send("nonsense".to_owned()).await;
    let ServerMessage::Error(error) = wire.message().await else {
        panic!("no error")
    };
    assert_eq!(error.code, ErrorCode::BadMessage);
    let Message::Close(Some(frame)) = wire.receive().await else {
        panic!("no close")
    };
    assert_eq!(frame.code, close::BAD_MESSAGE);
    drop(wire.to_server);
    assert!(matches!(
        wire.ending.await.unwrap(),
        Ending::Refused(Refusal::Message(_), None)
    ));
}

#[tokio::test]
async fn the_end_comes_even_when_the_client_does_not_read() {
    // Room for the welcome only: the answer to the frame blocks.
    let wire = open(1, &[]);
    wire.send(wire.hello.clone()).await;
    wire.send(frame(1, 1)).await;
    wire.send(frame(2, 1)).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(!wire.ending.is_finished());
    wire.app.stop.cancel();
    let ending = timeout(Duration::from_secs(3), wire.ending)
        .await
        .expect("it ends")
        .unwrap();
    assert!(matches!(ending, Ending::Stopping));
}

#[tokio::test]
async fn a_broken_connection_ends_the_session() {
    let mut wire = open(16, &[]);
    wire.send(wire.hello.clone()).await;
    wire.message().await;
    let broken = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
    wire.to_server
        .send(Err(axum::Error::new(broken)))
        .await
        .unwrap();
    assert!(matches!(wire.ending.await.unwrap(), Ending::Gone));
}

#[tokio::test]
async fn what_comes_after_the_session_does_not_matter() {
    let mut wire = open(16, &[]);
    wire.send(wire.hello.clone()).await;
    wire.message().await;
    wire.send(vec![1u8, 2, 3]).await;
    for sequence in 0..8 {
        wire.send(frame(sequence, 1)).await;
    }
    assert!(matches!(wire.message().await, ServerMessage::Error(_)));
    assert!(matches!(wire.receive().await, Message::Close(_)));
    drop(wire.to_server);
    assert!(matches!(wire.ending.await.unwrap(), Ending::Refused(..)));
    assert!(
        wire.from_server.recv().await.is_none(),
        "nothing follows a close"
    );
}

//! The sending half of a session.

use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message};
use bytes::Bytes;
use futures_util::{Sink, SinkExt};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use wire::{ServerMessage, close};

/// A client that takes nothing for so long is given up.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a farewell may take.
const FAREWELL: Duration = Duration::from_secs(1);

/// Nothing more can be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stuck {
    /// The connection is gone, or the client does not read.
    Gone,
    /// The server ends.
    Stopping,
}

/// Sends to one client.
pub(super) struct Outbox<W> {
    sink: W,
    stop: CancellationToken,
}

impl<W: Sink<Message> + Unpin> Outbox<W> {
    /// Sends into `sink`, until `stop`.
    pub(super) fn new(sink: W, stop: CancellationToken) -> Self {
        Self { sink, stop }
    }

    /// Sends a message of the protocol.
    pub(super) async fn send(&mut self, message: &ServerMessage) -> Result<(), Stuck> {
        let text = message.to_json().map_err(|error| {
            tracing::error!(%error, "a message of the server's own is not sendable");
            Stuck::Gone
        })?;
        self.push(Message::Text(text.into())).await
    }

    /// Asks for a sign of life.
    pub(super) async fn ping(&mut self) -> Result<(), Stuck> {
        self.push(Message::Ping(Bytes::new())).await
    }

    async fn push(&mut self, message: Message) -> Result<(), Stuck> {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Err(Stuck::Stopping),
            sent = timeout(PATIENCE, self.sink.send(message)) => match sent {
                Ok(Ok(())) => Ok(()),
                Ok(Err(_)) | Err(_) => Err(Stuck::Gone),
            },
        }
    }

    /// Answers the client's farewell.
    pub(super) async fn finish(&mut self) {
        let _ = timeout(FAREWELL, self.sink.close()).await;
    }

    /// Says farewell: a last message where there is one, then the close frame. Whether it arrives
    /// is no longer of interest.
    pub(super) async fn close(&mut self, last: Option<&ServerMessage>, code: u16, reason: &str) {
        let frame = CloseFrame {
            code,
            reason: close::reason(reason).into(),
        };
        let farewell = async {
            if let Some(Ok(text)) = last.map(ServerMessage::to_json) {
                self.sink.send(Message::Text(text.into())).await?;
            }
            self.sink.send(Message::Close(Some(frame))).await
        };
        let _ = timeout(FAREWELL, farewell).await;
    }
}

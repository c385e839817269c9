//! A session from the first message to the last. Generic over the two halves of a socket, so that
//! it can be tested without one.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::ws::{Message, Utf8Bytes};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, Sink, Stream, StreamExt};
use tokio::time::{sleep_until, timeout};
use tokio_tungstenite::tungstenite::Error as SocketError;
use tracing::Instrument;
use wire::{ClientMessage, FrameResult, Limits, Ping, Pong, ServerMessage, Upload, close};

use super::hello::{self, Agreement};
use super::outbox::{Outbox, Stuck};
use super::{frame, limits};
use crate::app::App;
use crate::bucket::Bucket;
use crate::error::Refusal;
use crate::guests::Visit;
use crate::metrics::Kind;

/// After the farewell, how long the client's part of it is waited for.
const LINGER: Duration = Duration::from_millis(500);

/// How a session ended.
#[derive(Debug)]
pub enum Ending {
    /// The client closed the socket.
    Left,
    /// The connection broke, or the client did not take what it was sent.
    Gone,
    /// The server is ending.
    Stopping,
    /// The server closed the socket, over the frame with this number where it was over one.
    Refused(Refusal, Option<u32>),
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Left => f.write_str("the client closed"),
            Self::Gone => f.write_str("the connection is gone"),
            Self::Stopping => f.write_str("the server is ending"),
            Self::Refused(refusal, _) => write!(f, "refused: {refusal}"),
        }
    }
}

impl From<Stuck> for Ending {
    fn from(stuck: Stuck) -> Self {
        match stuck {
            Stuck::Gone => Self::Gone,
            Stuck::Stopping => Self::Stopping,
        }
    }
}

impl From<Refusal> for Ending {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal, None)
    }
}

/// What a client can send.
enum Incoming {
    Text(Utf8Bytes),
    Binary(Bytes),
    /// A ping, or the answer to ours.
    Alive,
}

/// A frame's answer, with the number of the frame.
type Answer = (u32, Result<FrameResult, Refusal>);

/// Runs a session over the two halves of a socket, and closes it.
pub async fn run<W, R>(
    write: W,
    mut read: R,
    app: Arc<App>,
    session: u64,
    visit: Arc<Visit>,
) -> Ending
where
    W: Sink<Message> + Unpin,
    R: Stream<Item = Result<Message, axum::Error>> + Unpin,
{
    let mut outbox = Outbox::new(write, app.stop.clone());
    let limits = limits(&app.config);
    let ending = match open(&app, session, &limits, &mut outbox, &mut read).await {
        Ok(agreement) => {
            app.metrics.session();
            serve(&app, &visit, &agreement, &limits, &mut outbox, &mut read).await
        }
        Err(ending) => ending,
    };
    match &ending {
        Ending::Gone => {}
        Ending::Left => outbox.finish().await,
        Ending::Stopping => {
            outbox
                .close(None, close::GOING_AWAY, "the server is shutting down")
                .await;
        }
        Ending::Refused(refusal, sequence) => {
            app.metrics.refused(refusal.code().name());
            let message = ServerMessage::Error(refusal.message(*sequence));
            let code = refusal.code().close_code();
            outbox
                .close(Some(&message), code, &refusal.to_string())
                .await;
        }
    }
    if matches!(ending, Ending::Stopping | Ending::Refused(..)) {
        // Dropping a socket with unread bytes resets the connection, and with it what the client
        // has not read yet. So its bytes are read, for a moment, until it closes as well.
        let _ = timeout(LINGER, async {
            while let Some(Ok(_)) = read.next().await {}
        })
        .await;
    }
    ending
}

/// The hello and its answer.
async fn open<W, R>(
    app: &App,
    session: u64,
    limits: &Limits,
    outbox: &mut Outbox<W>,
    read: &mut R,
) -> Result<Agreement, Ending>
where
    W: Sink<Message> + Unpin,
    R: Stream<Item = Result<Message, axum::Error>> + Unpin,
{
    let patience = Duration::from_millis(u64::from(limits.hello_timeout_ms));
    let first = async {
        loop {
            match receive(read.next().await, limits)? {
                Incoming::Alive => {}
                Incoming::Text(text) => return Ok::<_, Ending>(text),
                Incoming::Binary(_) => {
                    return Err(Refusal::OutOfTurn("a frame before the hello").into());
                }
            }
        }
    };
    let text = tokio::select! {
        biased;
        () = app.stop.cancelled() => return Err(Ending::Stopping),
        first = timeout(patience, first) => {
            first.map_err(|_| Ending::from(Refusal::HelloTimeout(limits.hello_timeout_ms)))??
        }
    };
    let hello = hello::parse(&text)?;
    let (agreement, welcome) = hello::negotiate(app, session, &hello)?;
    tracing::info!(
        client = %hello.client,
        backend = hello.backend.as_deref().unwrap_or("unnamed"),
        model = agreement.model,
        generation = agreement.generation.number,
        "session opened"
    );
    outbox.send(&ServerMessage::Welcome(welcome)).await?;
    Ok(agreement)
}

/// Frames and their answers, until something ends it.
async fn serve<W, R>(
    app: &Arc<App>,
    visit: &Visit,
    agreement: &Agreement,
    limits: &Limits,
    outbox: &mut Outbox<W>,
    read: &mut R,
) -> Ending
where
    W: Sink<Message> + Unpin,
    R: Stream<Item = Result<Message, axum::Error>> + Unpin,
{
    // Dropped with the session, which takes its frames out of the queue.
    let mut answers: FuturesUnordered<BoxFuture<'static, Answer>> = FuturesUnordered::new();
    let mut gate = Gate {
        visit,
        pace: Bucket::new(limits.max_frames_per_second.into(), Instant::now()),
        most_waiting: limits.max_frames_in_flight,
        most_per_second: limits.max_frames_per_second,
    };
    let mut heard = tokio::time::Instant::now();
    let mut pinged = false;
    loop {
        let silence = if pinged {
            app.config.idle_timeout
        } else {
            app.config.idle_timeout / 2
        };
        let step = tokio::select! {
            biased;
            () = app.stop.cancelled() => Err(Ending::Stopping),
            Some((sequence, answer)) = answers.next() => {
                deliver(app, outbox, Some(sequence), answer).await
            }
            incoming = read.next() => {
                heard = tokio::time::Instant::now();
                pinged = false;
                match receive(incoming, limits) {
                    Ok(Incoming::Alive) => Ok(()),
                    Ok(Incoming::Binary(bytes)) => {
                        let waiting = answers.len();
                        match accept(app, agreement, limits, &mut gate, waiting, &bytes) {
                            Ok(answer) => {
                                answers.push(answer);
                                Ok(())
                            }
                            Err((sequence, refusal)) => deliver(app, outbox, sequence, Err(refusal)).await,
                        }
                    }
                    Ok(Incoming::Text(text)) => heed(app, &mut gate, outbox, &text).await,
                    Err(ending) => Err(ending),
                }
            }
            () = sleep_until(heard + silence) => {
                if pinged {
                    Err(Refusal::IdleTimeout(limits.idle_timeout_ms).into())
                } else {
                    pinged = true;
                    outbox.ping().await.map_err(Ending::from)
                }
            }
        };
        if let Err(ending) = step {
            return ending;
        }
    }
}

/// What a session's frames must pass.
struct Gate<'a> {
    visit: &'a Visit,
    pace: Bucket,
    most_waiting: u16,
    most_per_second: u16,
}

impl Gate<'_> {
    /// Whether one more frame may come, when so many wait for their answers.
    fn pass(&mut self, bytes: usize, waiting: usize, now: Instant) -> Result<(), Refusal> {
        if waiting >= usize::from(self.most_waiting) {
            return Err(Refusal::TooManyInFlight(self.most_waiting));
        }
        self.keeps_pace(bytes, now)
    }

    /// Whether one more message may come so soon.
    fn keeps_pace(&mut self, bytes: usize, now: Instant) -> Result<(), Refusal> {
        if !self.pace.has(1.0, now) {
            return Err(Refusal::TooFast(self.most_per_second));
        }
        self.visit.receive(bytes, now)?;
        self.pace.take(1.0);
        Ok(())
    }
}

/// Takes a frame in: everything that can be refused is refused here, before any work.
fn accept(
    app: &Arc<App>,
    agreement: &Agreement,
    limits: &Limits,
    gate: &mut Gate<'_>,
    waiting: usize,
    message: &Bytes,
) -> Result<BoxFuture<'static, Answer>, (Option<u32>, Refusal)> {
    let now = Instant::now();
    app.metrics.received(Kind::Frame, message.len());
    let named = Upload::sequence_of(message);
    let refuse = |refusal| (named, refusal);
    let frame = frame::check(agreement, limits, message, now).map_err(refuse)?;
    let sequence = frame.sequence;
    gate.pass(message.len(), waiting, now).map_err(refuse)?;
    let ticket = agreement
        .generation
        .queue
        .admit(Some(agreement.session))
        .map_err(|error| refuse(error.into()))?;
    let app = Arc::clone(app);
    // Tells a frame's way through the log. A trace of its own: a session may last for days.
    let session = agreement.session;
    let bytes = message.len();
    let span = tracing::debug_span!(parent: None, "frame", session, sequence, bytes);
    let answer = frame::finish(app, agreement.clone(), frame, ticket).instrument(span);
    Ok(answer.map(move |answer| (sequence, answer)).boxed())
}

/// Sends an answer, or what stands in its place.
async fn deliver<W: Sink<Message> + Unpin>(
    app: &App,
    outbox: &mut Outbox<W>,
    sequence: Option<u32>,
    answer: Result<FrameResult, Refusal>,
) -> Result<(), Ending> {
    match answer {
        Ok(result) => outbox.send(&ServerMessage::Result(result)).await?,
        Err(refusal) if refusal.is_fatal() => return Err(Ending::Refused(refusal, sequence)),
        Err(refusal) => {
            app.metrics.refused(refusal.code().name());
            tracing::debug!(?sequence, %refusal, "frame refused");
            outbox
                .send(&ServerMessage::Error(refusal.message(sequence)))
                .await?;
        }
    }
    Ok(())
}

/// A text after the hello: a ping; or the client's own complaint, a second hello or nonsense, which end the session.
async fn heed<W: Sink<Message> + Unpin>(
    app: &App,
    gate: &mut Gate<'_>,
    outbox: &mut Outbox<W>,
    text: &str,
) -> Result<(), Ending> {
    match ClientMessage::parse(text) {
        Ok(ClientMessage::Ping(ping)) => answer_ping(app, gate, outbox, &ping, text.len()).await,
        Ok(ClientMessage::Error(error)) => {
            tracing::warn!(code = ?error.code, message = %error.message, "the client reports an error");
            Err(Ending::Left)
        }
        Ok(_) => Err(Refusal::OutOfTurn("a second hello").into()),
        Err(error) => Err(Refusal::from(error).into()),
    }
}

/// Answers a ping past the queue: how long that takes shall tell of the link, not of the server's work.
async fn answer_ping<W: Sink<Message> + Unpin>(
    app: &App,
    gate: &mut Gate<'_>,
    outbox: &mut Outbox<W>,
    ping: &Ping,
    bytes: usize,
) -> Result<(), Ending> {
    let answer = match gate.keeps_pace(bytes, Instant::now()) {
        Ok(()) => ServerMessage::Pong(Pong { id: ping.id }),
        Err(refusal) => {
            app.metrics.refused(refusal.code().name());
            ServerMessage::Error(refusal.message(None).about_ping(ping.id))
        }
    };
    Ok(outbox.send(&answer).await?)
}

/// Sorts what came from the socket.
fn receive(
    incoming: Option<Result<Message, axum::Error>>,
    limits: &Limits,
) -> Result<Incoming, Ending> {
    match incoming {
        Some(Ok(Message::Text(text))) => Ok(Incoming::Text(text)),
        Some(Ok(Message::Binary(bytes))) => Ok(Incoming::Binary(bytes)),
        Some(Ok(Message::Ping(_) | Message::Pong(_))) => Ok(Incoming::Alive),
        Some(Ok(Message::Close(_))) | None => Err(Ending::Left),
        Some(Err(error)) => Err(match error.into_inner().downcast_ref::<SocketError>() {
            Some(SocketError::Capacity(_)) => Refusal::TooLarge(limits.max_message()).into(),
            // Vanished without a farewell.
            Some(SocketError::Protocol(
                tokio_tungstenite::tungstenite::error::ProtocolError::ResetWithoutClosingHandshake,
            )) => Ending::Gone,
            Some(error @ (SocketError::Protocol(_) | SocketError::Utf8(_))) => {
                Refusal::Broken(error.to_string()).into()
            }
            _ => Ending::Gone,
        }),
    }
}

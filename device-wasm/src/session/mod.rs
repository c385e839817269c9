//! The connection to the edge server: when to connect, what to say, what to do with what comes.
//!
//! This is a state machine without a socket, a timer or a browser. Each thing that happens is a
//! method; it returns the [`Action`]s that are to be done, in order. What touches the browser
//! does them and decides nothing.
//!
//! ```text
//! closed -> connecting -> ready -> waiting -> connecting ...
//! ```

mod backoff;
mod frames;

pub use backoff::{Backoff, FIRST_MS, LONGEST_MS};
pub use frames::{FrameCounts, Frames};

use wire::{
    ClientMessage, ErrorMessage, FrameResult, Hello, Limits, ServerMessage, Welcome, close,
};

use crate::error::DeviceError;

/// How long connecting may take, from opening the socket to the welcome, in milliseconds.
pub const CONNECT_TIMEOUT_MS: f64 = 10_000.0;
/// How long a frame may remain without an answer before the link counts as broken, in
/// milliseconds. Long enough for a few kilobytes over a link of some kilobits a second.
pub const ANSWER_TIMEOUT_MS: f64 = 30_000.0;
/// What browsers report when a connection ended without a close message.
pub const ABNORMAL: u16 = 1006;

/// What is to be done.
#[derive(Debug)]
pub enum Action {
    /// Open a socket to the server.
    Open,
    /// Send this text.
    SendText(String),
    /// Close the socket, and report nothing more of it.
    Close {
        /// The close code.
        code: u16,
        /// The reason that the server sees.
        reason: String,
    },
    /// Call [`Session::timer`] after so many milliseconds; replaces an earlier timer.
    StartTimer(f64),
    /// Forget the timer.
    StopTimer,
    /// Tell the page where the connection stands.
    State(SessionState),
    /// A frame's answer.
    Answer {
        /// The answer.
        result: FrameResult,
        /// Bytes of the message.
        bytes: usize,
    },
    /// A ping's answer.
    Pong {
        /// The ping's number.
        id: u32,
        /// Bytes of the message.
        bytes: usize,
    },
    /// The server did not answer the ping with this number: it found it too much.
    PingRefused(u32),
    /// Something went wrong.
    Fail(DeviceError),
}

/// Where the connection stands, as the page sees it.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
#[serde(
    tag = "state",
    rename_all = "lowercase",
    rename_all_fields = "camelCase"
)]
pub enum SessionState {
    /// A socket is being opened.
    Connecting {
        /// 1 for the first attempt after `connect` or after a working connection.
        attempt: u32,
    },
    /// Frames may be sent.
    Ready {
        /// The session's number on the server.
        session: u64,
        /// The server's name and version.
        server: String,
    },
    /// The link broke; another attempt follows by itself.
    Waiting {
        /// When, in milliseconds.
        retry_in_ms: f64,
        /// The WebSocket close code.
        code: u16,
        /// Why.
        reason: String,
        /// Frames that were on their way and get no answer.
        lost_frames: usize,
    },
    /// The end.
    Closed {
        /// The WebSocket close code.
        code: u16,
        /// Why.
        reason: String,
    },
}

#[derive(Debug)]
enum Phase {
    Closed,
    /// The socket is being opened, or the hello is not answered yet.
    Connecting,
    Ready(Welcome),
    Waiting,
}

/// The connection's state machine.
#[derive(Debug)]
pub struct Session {
    phase: Phase,
    hello: Hello,
    backoff: Backoff,
    /// The server's last fatal error: the reason for the close that follows it.
    last_words: Option<ErrorMessage>,
}

impl Session {
    /// A session that is not connected yet.
    #[must_use]
    pub fn new(hello: Hello) -> Self {
        Self {
            phase: Phase::Closed,
            hello,
            backoff: Backoff::new(),
            last_words: None,
        }
    }

    /// The session's number on the server; `None` while no frame may be sent.
    #[must_use]
    pub fn number(&self) -> Option<u64> {
        self.welcome().map(|welcome| welcome.session)
    }

    /// The number that stands for the codec with this digest in frames; `None` while no frame may be sent, or when
    /// the server does not have it.
    #[must_use]
    pub fn codec_id(&self, digest: &str) -> Option<u8> {
        Some(self.welcome()?.codec(digest)?.id)
    }

    /// The server's limits; `None` while no frame may be sent.
    #[must_use]
    pub fn limits(&self) -> Option<Limits> {
        self.welcome().map(|welcome| welcome.limits)
    }

    /// Whether pings may be sent.
    #[must_use]
    pub fn answers_pings(&self) -> bool {
        self.welcome().is_some_and(|welcome| welcome.pings)
    }

    fn welcome(&self) -> Option<&Welcome> {
        match &self.phase {
            Phase::Ready(welcome) => Some(welcome),
            _ => None,
        }
    }

    /// Connects, or connects anew with another hello.
    pub fn connect(&mut self, hello: Hello) -> Vec<Action> {
        self.hello = hello;
        let mut actions = match self.phase {
            Phase::Connecting | Phase::Ready(_) => vec![Action::Close {
                code: close::NORMAL,
                reason: "the device starts over".to_owned(),
            }],
            Phase::Closed | Phase::Waiting => Vec::new(),
        };
        self.backoff.reset();
        actions.extend(self.open());
        actions
    }

    /// The socket is open.
    pub fn opened(&mut self) -> Vec<Action> {
        if !matches!(self.phase, Phase::Connecting) {
            return Vec::new();
        }
        match ClientMessage::Hello(self.hello.clone()).to_json() {
            Ok(text) => vec![Action::SendText(text)],
            Err(error) => self.give_up(
                DeviceError::InvalidArgument(error.to_string()),
                close::NORMAL,
            ),
        }
    }

    /// A text message came.
    pub fn text(&mut self, text: &str) -> Vec<Action> {
        match ServerMessage::parse(text) {
            Ok(ServerMessage::Welcome(welcome)) => self.welcomed(welcome),
            Ok(ServerMessage::Result(result)) => vec![Action::Answer {
                result,
                bytes: text.len(),
            }],
            Ok(ServerMessage::Pong(pong)) => vec![Action::Pong {
                id: pong.id,
                bytes: text.len(),
            }],
            Ok(ServerMessage::Error(error)) => self.server_error(error),
            // A message of a later minor version: nothing depends on it.
            Ok(_) => Vec::new(),
            Err(error) => vec![Action::Fail(DeviceError::Protocol(error.to_string()))],
        }
    }

    /// The socket closed. `random` (0 to 1) spreads the attempts of many devices.
    pub fn closed(
        &mut self,
        code: u16,
        reason: &str,
        random: f64,
        lost_frames: usize,
    ) -> Vec<Action> {
        if matches!(self.phase, Phase::Closed | Phase::Waiting) {
            return Vec::new();
        }
        let reason = self.why(code, reason);
        self.last_words = None;
        if is_final(code) {
            self.phase = Phase::Closed;
            return vec![
                Action::StopTimer,
                Action::State(SessionState::Closed { code, reason }),
            ];
        }
        self.phase = Phase::Waiting;
        let retry_in_ms = self.backoff.next_ms(random);
        vec![
            Action::StartTimer(retry_in_ms),
            Action::State(SessionState::Waiting {
                retry_in_ms,
                code,
                reason,
                lost_frames,
            }),
        ]
    }

    /// The timer ran out.
    pub fn timer(&mut self, random: f64, lost_frames: usize) -> Vec<Action> {
        let too_slow = match self.phase {
            Phase::Closed => return Vec::new(),
            Phase::Waiting => return self.open(),
            Phase::Connecting => "the server did not greet in time",
            Phase::Ready(_) => "the server did not answer in time",
        };
        let mut actions = vec![Action::Close {
            code: close::NORMAL,
            reason: too_slow.to_owned(),
        }];
        actions.extend(self.closed(ABNORMAL, too_slow, random, lost_frames));
        actions
    }

    /// A frame was sent or answered; `on_their_way` are without an answer now.
    pub fn traffic(&mut self, on_their_way: usize) -> Vec<Action> {
        match (&self.phase, on_their_way) {
            (Phase::Ready(_), 0) => vec![Action::StopTimer],
            (Phase::Ready(_), _) => vec![Action::StartTimer(ANSWER_TIMEOUT_MS)],
            _ => Vec::new(),
        }
    }

    /// Ends the connection for good.
    pub fn disconnect(&mut self) -> Vec<Action> {
        if matches!(self.phase, Phase::Closed) {
            return Vec::new();
        }
        self.phase = Phase::Closed;
        let reason = "the device was disconnected".to_owned();
        vec![
            Action::StopTimer,
            Action::Close {
                code: close::NORMAL,
                reason: reason.clone(),
            },
            Action::State(SessionState::Closed {
                code: close::NORMAL,
                reason,
            }),
        ]
    }

    fn open(&mut self) -> Vec<Action> {
        self.phase = Phase::Connecting;
        self.last_words = None;
        vec![
            Action::State(SessionState::Connecting {
                attempt: self.backoff.attempts() + 1,
            }),
            Action::StartTimer(CONNECT_TIMEOUT_MS),
            Action::Open,
        ]
    }

    fn welcomed(&mut self, welcome: Welcome) -> Vec<Action> {
        if !matches!(self.phase, Phase::Connecting) {
            return Vec::new();
        }
        if welcome.model != self.hello.model || welcome.codec(&self.hello.codec).is_none() {
            let error = DeviceError::Protocol(
                "it welcomed the device, but without the device's model and codec".to_owned(),
            );
            return self.give_up(error, close::NORMAL);
        }
        let state = SessionState::Ready {
            session: welcome.session,
            server: welcome.server.clone(),
        };
        self.phase = Phase::Ready(welcome);
        self.backoff.reset();
        vec![Action::StopTimer, Action::State(state)]
    }

    fn server_error(&mut self, error: ErrorMessage) -> Vec<Action> {
        // Nobody asked for the ping, so nobody needs to hear of it.
        if let (Some(id), false) = (error.ping, error.fatal) {
            return vec![Action::PingRefused(id)];
        }
        let failure = DeviceError::from(&error);
        if error.fatal {
            self.last_words = Some(error);
        }
        vec![Action::Fail(failure)]
    }

    /// Ends a connection that cannot work.
    fn give_up(&mut self, error: DeviceError, code: u16) -> Vec<Action> {
        self.phase = Phase::Closed;
        let reason = error.to_string();
        vec![
            Action::StopTimer,
            Action::Close {
                code,
                reason: "the device cannot use this server".to_owned(),
            },
            Action::Fail(error),
            Action::State(SessionState::Closed { code, reason }),
        ]
    }

    /// The reason in words: the close message's, the server's last error, or what the code means.
    fn why(&self, code: u16, reason: &str) -> String {
        if !reason.is_empty() {
            return reason.to_owned();
        }
        if let Some(error) = &self.last_words {
            return error.message.clone();
        }
        match (code, &self.phase) {
            (ABNORMAL, Phase::Ready(_)) => "the connection broke off".to_owned(),
            (ABNORMAL, _) => {
                "the server could not be reached, or does not allow this page".to_owned()
            }
            (close::GOING_AWAY, _) => "the server is shutting down".to_owned(),
            _ => format!("the server closed the connection with code {code}"),
        }
    }
}

impl From<&ErrorMessage> for DeviceError {
    fn from(error: &ErrorMessage) -> Self {
        // The code's name on the wire; a unit variant serialises to a string.
        let code = serde_json::to_value(error.code)
            .ok()
            .and_then(|value| value.as_str().map(str::to_owned))
            .unwrap_or_default();
        Self::Server {
            code,
            message: error.message.clone(),
            hint: error.hint.clone(),
            sequence: error.sequence,
        }
    }
}

/// Whether the same attempt would end in the same way.
fn is_final(code: u16) -> bool {
    matches!(
        code,
        close::NOT_SERVED | close::BAD_MESSAGE | close::BAD_FRAME | close::TOO_BIG
    )
}

#[cfg(test)]
mod tests;

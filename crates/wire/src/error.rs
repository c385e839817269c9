//! The error message, and the errors of parsing messages.

use serde::{Deserialize, Serialize};

use crate::close;

/// Something was refused or failed: what, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorMessage {
    /// For programs.
    pub code: ErrorCode,
    /// For people: what is wrong.
    pub message: String,
    /// For people: what would be right, or what to do.
    pub hint: String,
    /// The frame it is about, where it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequence: Option<u32>,
    /// The ping it is about, where it is about one: it stands in the place of its pong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ping: Option<u32>,
    /// Whether the sender closes the socket after this message.
    pub fatal: bool,
}

impl ErrorMessage {
    /// An error with the code's own severity ([`ErrorCode::is_fatal`]) that is not about one frame.
    #[must_use]
    pub fn new(code: ErrorCode, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            hint: hint.into(),
            sequence: None,
            ping: None,
            fatal: code.is_fatal(),
        }
    }

    /// The same error, about the frame `sequence`.
    #[must_use]
    pub fn about(mut self, sequence: u32) -> Self {
        self.sequence = Some(sequence);
        self
    }

    /// The same error, about the ping `id`.
    #[must_use]
    pub fn about_ping(mut self, id: u32) -> Self {
        self.ping = Some(id);
        self
    }
}

/// What kind of error it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ErrorCode {
    /// A text message is not JSON, not one of this protocol's messages, or a field is out of range.
    BadMessage,
    /// A message out of turn: a frame before the welcome, a second hello, a server's message from a client.
    UnexpectedMessage,
    /// No hello within the time allowed.
    HelloTimeout,
    /// No message within the idle time.
    IdleTimeout,
    /// The server does not serve the model of the hello.
    UnknownModel,
    /// The server does not have the codec.
    UnknownCodec,
    /// The codec does not have the rate.
    UnknownRate,
    /// The frame's split is not the one that its codec is made for.
    WrongSplit,
    /// A binary message is not a frame.
    BadFrame,
    /// The frame's payload does not decode.
    BadPayload,
    /// A message or a body is longer than the limits allow.
    TooLarge,
    /// More frames in flight than the limits allow; this frame is not answered otherwise.
    TooManyInFlight,
    /// More frames a second than the limits allow; this frame is not answered otherwise.
    TooFast,
    /// The server's queue is full; this frame is not answered otherwise.
    Overloaded,
    /// A newer frame of the same session took this one's place in the queue; this one is not answered otherwise.
    Superseded,
    /// The frame's turn came too late for its answer to be of use; it is not answered otherwise.
    Expired,
    /// The client did not show a token that the server knows (HTTP only, before a session).
    Unauthorized,
    /// A body, or a frame's payload, is not a picture of a kind that the server reads.
    BadPicture,
    /// The server is shutting down.
    ShuttingDown,
    /// The server failed; the client did nothing wrong.
    Internal,
    /// A code that this version of the library does not know.
    #[serde(other)]
    Unknown,
}

impl ErrorCode {
    /// The code as it stands in messages.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::BadMessage => "bad_message",
            Self::UnexpectedMessage => "unexpected_message",
            Self::HelloTimeout => "hello_timeout",
            Self::IdleTimeout => "idle_timeout",
            Self::UnknownModel => "unknown_model",
            Self::UnknownCodec => "unknown_codec",
            Self::UnknownRate => "unknown_rate",
            Self::WrongSplit => "wrong_split",
            Self::BadFrame => "bad_frame",
            Self::BadPayload => "bad_payload",
            Self::TooLarge => "too_large",
            Self::TooManyInFlight => "too_many_in_flight",
            Self::TooFast => "too_fast",
            Self::Overloaded => "overloaded",
            Self::Superseded => "superseded",
            Self::Expired => "expired",
            Self::Unauthorized => "unauthorized",
            Self::BadPicture => "bad_picture",
            Self::ShuttingDown => "shutting_down",
            Self::Internal => "internal",
            Self::Unknown => "unknown",
        }
    }

    /// Whether the session ends with it. The others cost a frame, not the session.
    #[must_use]
    pub fn is_fatal(self) -> bool {
        !matches!(
            self,
            Self::TooManyInFlight
                | Self::TooFast
                | Self::Overloaded
                | Self::Superseded
                | Self::Expired
        )
    }

    /// The WebSocket close code to close with after a fatal error of this kind.
    #[must_use]
    pub fn close_code(self) -> u16 {
        match self {
            Self::BadMessage => close::BAD_MESSAGE,
            Self::UnknownModel | Self::UnknownCodec | Self::UnknownRate => close::NOT_SERVED,
            Self::WrongSplit | Self::BadFrame | Self::BadPayload | Self::BadPicture => {
                close::BAD_FRAME
            }
            Self::TooLarge => close::TOO_BIG,
            Self::UnexpectedMessage
            | Self::HelloTimeout
            | Self::IdleTimeout
            | Self::TooManyInFlight
            | Self::TooFast
            | Self::Overloaded
            | Self::Superseded
            | Self::Expired
            | Self::Unauthorized => close::POLICY,
            Self::ShuttingDown => close::GOING_AWAY,
            Self::Internal | Self::Unknown => close::INTERNAL,
        }
    }
}

/// Why a text message was refused, or could not be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MessageError {
    /// Longer than the limit for this direction.
    #[error("the text message has {bytes} bytes; at most {limit} are allowed")]
    TooLong {
        /// Bytes it has.
        bytes: usize,
        /// Bytes it may have.
        limit: usize,
    },
    /// Not JSON, or not one of the messages of this direction.
    #[error("not a message of this protocol: {0}")]
    Malformed(#[from] serde_json::Error),
    /// A field holds a value outside its range.
    #[error("`{field}` is out of range; right would be: {right}")]
    Field {
        /// The field's name.
        field: &'static str,
        /// What would be right, in words.
        right: &'static str,
    },
}

impl MessageError {
    /// The code to answer the sender with.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::TooLong { .. } => ErrorCode::TooLarge,
            Self::Malformed(_) | Self::Field { .. } => ErrorCode::BadMessage,
        }
    }
}

//! The text messages of each direction, to JSON and back.

use serde::{Deserialize, Serialize};

use crate::{
    ErrorMessage, FrameResult, Hello, MAX_CLIENT_TEXT, MAX_SERVER_TEXT, MessageError, Ping, Pong,
    Welcome,
};

/// What a device sends as text. (Frames are binary: [`Frame`](crate::Frame).)
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum ClientMessage {
    /// The first message of a session.
    Hello(Hello),
    /// A probe of the link; only for servers whose welcome says that they answer it.
    Ping(Ping),
    /// Something that the server sent was wrong.
    Error(ErrorMessage),
}

impl ClientMessage {
    /// Reads a message and checks every field's range. Unknown fields are ignored, so that a later minor
    /// addition does not break an older reader.
    ///
    /// # Errors
    /// [`MessageError`]: too long (more than [`MAX_CLIENT_TEXT`] bytes), not a message, or a field out of range.
    pub fn parse(text: &str) -> Result<Self, MessageError> {
        let message = parse_limited(text, MAX_CLIENT_TEXT)?;
        if let Self::Hello(hello) = &message {
            hello.check()?;
        }
        Ok(message)
    }

    /// Writes the message as JSON.
    ///
    /// # Errors
    /// [`MessageError`], for the same reasons that [`ClientMessage::parse`] would refuse the text.
    pub fn to_json(&self) -> Result<String, MessageError> {
        if let Self::Hello(hello) = self {
            hello.check()?;
        }
        write_limited(self, MAX_CLIENT_TEXT)
    }
}

/// What a server sends. All of it is text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum ServerMessage {
    /// The hello is accepted.
    Welcome(Welcome),
    /// The answer to a frame.
    Result(FrameResult),
    /// The answer to a ping.
    Pong(Pong),
    /// Something was refused or failed.
    Error(ErrorMessage),
}

impl ServerMessage {
    /// Reads a message and checks every field's range. Unknown fields are ignored.
    ///
    /// # Errors
    /// [`MessageError`]: too long (more than [`MAX_SERVER_TEXT`] bytes), not a message, or a field out of range.
    pub fn parse(text: &str) -> Result<Self, MessageError> {
        let message = parse_limited(text, MAX_SERVER_TEXT)?;
        if let Self::Welcome(welcome) = &message {
            welcome.check()?;
        }
        Ok(message)
    }

    /// Writes the message as JSON.
    ///
    /// # Errors
    /// [`MessageError`], for the same reasons that [`ServerMessage::parse`] would refuse the text.
    pub fn to_json(&self) -> Result<String, MessageError> {
        if let Self::Welcome(welcome) = self {
            welcome.check()?;
        }
        write_limited(self, MAX_SERVER_TEXT)
    }
}

fn parse_limited<'a, M: Deserialize<'a>>(text: &'a str, limit: usize) -> Result<M, MessageError> {
    within(text.len(), limit)?;
    Ok(serde_json::from_str(text)?)
}

fn write_limited<M: Serialize>(message: &M, limit: usize) -> Result<String, MessageError> {
    let text = serde_json::to_string(message)?;
    within(text.len(), limit)?;
    Ok(text)
}

fn within(bytes: usize, limit: usize) -> Result<(), MessageError> {
    if bytes <= limit {
        Ok(())
    } else {
        Err(MessageError::TooLong { bytes, limit })
    }
}

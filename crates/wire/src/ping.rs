//! A probe of the link, and its answer.

use serde::{Deserialize, Serialize};

/// Asks for a [`Pong`] at once. How long that takes tells of the link alone: no frame is computed for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ping {
    /// The device's number for it; the answer carries it.
    pub id: u32,
    /// Of no meaning but its length: it makes the message as long as the device wants, within
    /// [`MAX_CLIENT_TEXT`](crate::MAX_CLIENT_TEXT).
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub padding: String,
}

/// The answer to a [`Ping`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pong {
    /// The ping's number.
    pub id: u32,
}

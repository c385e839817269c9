//! What a server allows, as it tells it in its welcome, and what the parsers allow.

use serde::{Deserialize, Serialize};

use crate::frame::HEADER_BYTES;

/// The longest text message a client may send, in bytes.
pub const MAX_CLIENT_TEXT: usize = 4 * 1024;

/// The longest text message a server may send, in bytes. Longer than a client's: a welcome lists the codecs.
pub const MAX_SERVER_TEXT: usize = 64 * 1024;

/// The most predictions that a client may ask for in one answer.
pub const MAX_TOP_K: u8 = 100;

/// The limits of one session. A client that keeps within them is never refused for its manners.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Bytes of a feature frame's payload, header not counted.
    pub max_payload: u32,
    /// Bytes of a picture frame's picture, header not counted. 0 where the server takes no pictures, as one
    /// whose welcome does not name it.
    #[serde(default)]
    pub max_picture: u32,
    /// Frames sent and not yet answered.
    pub max_frames_in_flight: u16,
    /// Frames a second, averaged over a few seconds.
    pub max_frames_per_second: u16,
    /// A session from which nothing came for so long, not even an answer to the server's ping, is closed.
    pub idle_timeout_ms: u32,
    /// The hello must arrive within this time of the upgrade.
    pub hello_timeout_ms: u32,
}

impl Limits {
    /// The longest binary message within these limits: header and payload, in bytes.
    #[must_use]
    pub fn max_frame(&self) -> usize {
        let payload = self.max_payload.max(self.max_picture);
        HEADER_BYTES.saturating_add(usize::try_from(payload).unwrap_or(usize::MAX))
    }

    /// The longest message of any kind that a server must be ready to receive, in bytes: what to set as the
    /// WebSocket library's own limit.
    #[must_use]
    pub fn max_message(&self) -> usize {
        self.max_frame().max(MAX_CLIENT_TEXT)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_payload: 64 * 1024,
            max_picture: 1024 * 1024,
            max_frames_in_flight: 4,
            max_frames_per_second: 60,
            idle_timeout_ms: 60_000,
            hello_timeout_ms: 10_000,
        }
    }
}

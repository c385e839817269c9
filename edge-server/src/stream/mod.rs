//! The WebSocket: a device's session.
//!
//! A frame's way through here: [`upgrade`] (once), [`session`] (receive), [`frame`] (check, decode,
//! queue, answer), [`outbox`] (send).

mod frame;
mod hello;
mod outbox;
mod session;
mod upgrade;

pub use session::{Ending, run};
pub use upgrade::upgrade;

use wire::Limits;

use crate::config::Config;

/// A device must say hello within this time, in milliseconds.
const HELLO_TIMEOUT_MS: u32 = 10_000;

/// The largest picture that comes over a socket, in bytes, whatever `/v1/classify` takes: sockets
/// are many, and a frame is made for the network's 224 pixels.
const MAX_PICTURE: u32 = 1 << 20;

/// What the server tells its clients that it allows.
#[must_use]
pub fn limits(config: &Config) -> Limits {
    Limits {
        max_payload: config.max_payload,
        max_picture: config.max_picture.min(MAX_PICTURE),
        max_frames_in_flight: u16::from(config.in_flight),
        max_frames_per_second: config.max_rate,
        idle_timeout_ms: u32::try_from(config.idle_timeout.as_millis()).unwrap_or(u32::MAX),
        hello_timeout_ms: HELLO_TIMEOUT_MS,
    }
}

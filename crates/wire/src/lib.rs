//! The messages between a device and the edge server.
//!
//! Control messages and answers are JSON text ([`ClientMessage`], [`ServerMessage`]); frames are binary
//! ([`Upload`]): a 20-byte header and the entropy-coded feature ([`Frame`]) or a picture ([`PictureFrame`]). The version of all of it is
//! the WebSocket subprotocol, [`SUBPROTOCOL`]. Nothing here does I/O, and nothing here trusts its input:
//! every parser takes or knows a size limit and answers with a typed error. `docs/PROTOCOL.md` describes the
//! same for people who write another client; its examples are parsed by a test of this crate.

#![forbid(unsafe_code)]

mod answer;
mod check;
pub mod close;
mod error;
mod frame;
mod hello;
mod layout;
mod limits;
mod message;
mod picture;
mod ping;
mod upload;

pub use answer::{ClassifyResponse, FrameResult, Prediction, Timings};
pub use check::{DIGEST_LEN, is_digest};
pub use error::{ErrorCode, ErrorMessage, MessageError};
pub use frame::{Frame, FrameError, FrameHeader, HEADER_BYTES, KIND_FEATURE, KIND_PICTURE};
pub use hello::{CodecInfo, Hello, Welcome};
pub use limits::{Limits, MAX_CLIENT_TEXT, MAX_SERVER_TEXT, MAX_TOP_K};
pub use message::{ClientMessage, ServerMessage};
pub use picture::{PictureFormat, PictureFrame, PictureHeader, RAW_BYTES};
pub use ping::{Ping, Pong};
pub use upload::Upload;

/// The WebSocket subprotocol, and with it the version of every message. A server that does not speak it
/// refuses the upgrade; an incompatible change gets a new name.
pub const SUBPROTOCOL: &str = "aecnn.v1";

/// The splits' numbers on the wire are `0..SPLITS`: stem, stage 1, stage 2, stage 3, stage 4.
pub const SPLITS: u8 = 5;

//! A frame: the binary message that carries one picture's feature.

use crate::SPLITS;
use crate::layout::{Layout, message};
use crate::picture::RAW_BYTES;

/// Bytes of a frame's header.
pub const HEADER_BYTES: usize = 20;

/// The first byte of a frame that carries a feature.
pub const KIND_FEATURE: u8 = 1;

/// The first byte of a frame that carries a whole picture. Values but these two are reserved.
pub const KIND_PICTURE: u8 = 2;

/// What stands before the payload. Multi-byte numbers are little-endian.
///
/// | byte | field |
/// |---|---|
/// | 0 | kind, [`KIND_FEATURE`] |
/// | 1 | `split` |
/// | 2 | `codec` |
/// | 3 | `rate` |
/// | 4..8 | `sequence` |
/// | 8..16 | `capture_time_us` |
/// | 16..18 | `channels` |
/// | 18..20 | reserved, 0 |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    /// Where the network is cut, `0..`[`SPLITS`].
    pub split: u8,
    /// The codec's id in the session's [`Welcome`](crate::Welcome).
    pub codec: u8,
    /// The rate's index in the codec file.
    pub rate: u8,
    /// The device's number for the frame; its answer carries it. Usually counts up and may wrap.
    pub sequence: u32,
    /// When the picture was captured, in microseconds of the device's own clock; the answer carries it.
    /// Keep it below 2^53 where JSON numbers are read as doubles.
    pub capture_time_us: u64,
    /// How many channels the payload holds, the most important first; at least 1.
    pub channels: u16,
}

impl FrameHeader {
    /// The header's bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let [c0, c1] = self.channels.to_le_bytes();
        Layout {
            first: [KIND_FEATURE, self.split, self.codec, self.rate],
            sequence: self.sequence,
            capture_time_us: self.capture_time_us,
            last: [c0, c1, 0, 0],
        }
        .write()
    }

    /// Reads and checks the header at the start of `message`. Whether the session has the codec, whether
    /// that has the rate and so many channels, is for the caller to check.
    ///
    /// # Errors
    /// [`FrameError`]: too short, not a feature frame, a split that does not exist, no channels, or a reserved
    /// field in use.
    pub fn parse(message: &[u8]) -> Result<Self, FrameError> {
        let Layout {
            first: [kind, split, codec, rate],
            sequence,
            capture_time_us,
            last: [c0, c1, reserved @ ..],
        } = Layout::read(message)?;
        if kind != KIND_FEATURE {
            return Err(FrameError::UnknownKind { kind });
        }
        if split >= SPLITS {
            return Err(FrameError::NoSuchSplit { split });
        }
        let channels = u16::from_le_bytes([c0, c1]);
        if channels == 0 {
            return Err(FrameError::NoChannels);
        }
        if reserved != [0; 2] {
            return Err(FrameError::ReservedInUse);
        }
        Ok(Self {
            split,
            codec,
            rate,
            sequence,
            capture_time_us,
            channels,
        })
    }
}

/// A whole frame; the payload is borrowed from the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// What the payload is.
    pub header: FrameHeader,
    /// The entropy-coded symbols. May be empty: a feature of which every symbol is the expected one.
    pub payload: &'a [u8],
}

impl<'a> Frame<'a> {
    /// Takes `message` apart, after checking that its payload is at most `max_payload` bytes long
    /// ([`Limits::max_payload`](crate::Limits::max_payload)).
    ///
    /// # Errors
    /// [`FrameError`]: what [`FrameHeader::parse`] refuses, or too long.
    pub fn parse(message: &'a [u8], max_payload: u32) -> Result<Self, FrameError> {
        let header = FrameHeader::parse(message)?;
        let payload = &message[HEADER_BYTES..];
        if u32::try_from(payload.len()).is_ok_and(|bytes| bytes <= max_payload) {
            return Ok(Self { header, payload });
        }
        Err(FrameError::TooLong {
            bytes: payload.len(),
            limit: max_payload,
        })
    }

    /// The message's bytes: header and payload.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        message(self.header.encode(), self.payload)
    }
}

/// Why a binary message is not a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// Shorter than a header.
    #[error("a frame has a header of {HEADER_BYTES} bytes; this message has {bytes}")]
    TooShort {
        /// Bytes of the whole message.
        bytes: usize,
    },
    /// The first byte names a kind that does not exist.
    #[error(
        "the first byte, the frame's kind, is {kind}; right would be {KIND_FEATURE} (a feature) or {KIND_PICTURE} (a picture)"
    )]
    UnknownKind {
        /// The first byte.
        kind: u8,
    },
    /// The split does not exist.
    #[error("there is no split {split}; right would be 0 (stem) to 4 (stage 4)")]
    NoSuchSplit {
        /// The split.
        split: u8,
    },
    /// A frame of no channels.
    #[error("the frame holds 0 channels; right would be at least 1")]
    NoChannels,
    /// A reserved field is not zero.
    #[error("a reserved byte of the header is in use; right would be 0")]
    ReservedInUse,
    /// The picture's format does not exist.
    #[error(
        "there is no picture format {format}; right would be 1 (JPEG), 2 (WebP), 3 (PNG) or 4 (raw)"
    )]
    NoSuchFormat {
        /// The format.
        format: u8,
    },
    /// A raw picture of another size than the network's.
    #[error("the raw picture has {bytes} bytes; right would be {RAW_BYTES}")]
    RawSize {
        /// Bytes it has.
        bytes: usize,
    },
    /// The payload is longer than the limits allow.
    #[error("the payload has {bytes} bytes; at most {limit} are allowed")]
    TooLong {
        /// Bytes of the payload.
        bytes: usize,
        /// Bytes it may have.
        limit: u32,
    },
}

impl FrameError {
    /// The code to answer the sender with.
    #[must_use]
    pub fn code(&self) -> crate::ErrorCode {
        match self {
            Self::TooLong { .. } => crate::ErrorCode::TooLarge,
            _ => crate::ErrorCode::BadFrame,
        }
    }
}

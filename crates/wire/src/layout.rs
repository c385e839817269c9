//! How a frame lies in its message, whichever kind it is of.

use crate::frame::{FrameError, HEADER_BYTES};

/// A header of which only the middle is the same for both kinds. Multi-byte numbers are little-endian.
pub(crate) struct Layout {
    /// Bytes 0 to 3, the kind first.
    pub(crate) first: [u8; 4],
    pub(crate) sequence: u32,
    pub(crate) capture_time_us: u64,
    /// Bytes 16 to 19.
    pub(crate) last: [u8; 4],
}

impl Layout {
    /// The header at the start of `message`; nothing but its length is checked.
    pub(crate) fn read(message: &[u8]) -> Result<Self, FrameError> {
        let too_short = FrameError::TooShort {
            bytes: message.len(),
        };
        let (first, rest) = message.split_first_chunk().ok_or(too_short)?;
        let (sequence, rest) = rest.split_first_chunk().ok_or(too_short)?;
        let (capture_time_us, rest) = rest.split_first_chunk().ok_or(too_short)?;
        let last = rest.first_chunk().ok_or(too_short)?;
        Ok(Self {
            first: *first,
            sequence: u32::from_le_bytes(*sequence),
            capture_time_us: u64::from_le_bytes(*capture_time_us),
            last: *last,
        })
    }

    pub(crate) fn write(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..4].copy_from_slice(&self.first);
        bytes[4..8].copy_from_slice(&self.sequence.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.capture_time_us.to_le_bytes());
        bytes[16..].copy_from_slice(&self.last);
        bytes
    }
}

/// The bytes of a message: header and payload.
pub(crate) fn message(header: [u8; HEADER_BYTES], payload: &[u8]) -> Vec<u8> {
    [&header[..], payload].concat()
}

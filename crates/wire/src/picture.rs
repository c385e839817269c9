//! A picture frame: the binary message that carries a whole picture, for the whole network on the server.

use crate::frame::{FrameError, HEADER_BYTES, KIND_PICTURE};
use crate::layout::{Layout, message};

/// Bytes of a raw picture: 224 rows of 224 pixels of red, green and blue.
pub const RAW_BYTES: usize = 224 * 224 * 3;

/// How a picture is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PictureFormat {
    /// A JPEG file.
    Jpeg,
    /// A WebP file.
    WebP,
    /// A PNG file.
    Png,
    /// [`RAW_BYTES`] bytes: rows from the top, pixels from the left, red, green, blue.
    Raw,
}

impl PictureFormat {
    /// All formats, in the order of their numbers.
    pub const ALL: [Self; 4] = [Self::Jpeg, Self::WebP, Self::Png, Self::Raw];

    /// The number that stands for it in a header.
    #[must_use]
    pub const fn as_u8(self) -> u8 {
        match self {
            Self::Jpeg => 1,
            Self::WebP => 2,
            Self::Png => 3,
            Self::Raw => 4,
        }
    }

    /// The format with this number.
    #[must_use]
    pub fn from_u8(number: u8) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|format| format.as_u8() == number)
    }
}

/// What stands before a picture. Multi-byte numbers are little-endian.
///
/// | byte | field |
/// |---|---|
/// | 0 | kind, [`KIND_PICTURE`] |
/// | 1 | `format` |
/// | 2..4 | reserved, 0 |
/// | 4..8 | `sequence` |
/// | 8..16 | `capture_time_us` |
/// | 16..20 | reserved, 0 |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PictureHeader {
    /// How the picture is written.
    pub format: PictureFormat,
    /// The device's number for the frame; its answer carries it. Shared with the frames that carry features.
    pub sequence: u32,
    /// When the picture was captured, in microseconds of the device's own clock; the answer carries it.
    /// Keep it below 2^53 where JSON numbers are read as doubles.
    pub capture_time_us: u64,
}

impl PictureHeader {
    /// The header's bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        Layout {
            first: [KIND_PICTURE, self.format.as_u8(), 0, 0],
            sequence: self.sequence,
            capture_time_us: self.capture_time_us,
            last: [0; 4],
        }
        .write()
    }

    /// Reads and checks the header at the start of `message`.
    ///
    /// # Errors
    /// [`FrameError`]: too short, not a picture frame, a format that does not exist, or a reserved field in use.
    pub fn parse(message: &[u8]) -> Result<Self, FrameError> {
        let Layout {
            first: [kind, format, reserved @ ..],
            sequence,
            capture_time_us,
            last,
        } = Layout::read(message)?;
        if kind != KIND_PICTURE {
            return Err(FrameError::UnknownKind { kind });
        }
        if reserved != [0; 2] || last != [0; 4] {
            return Err(FrameError::ReservedInUse);
        }
        Ok(Self {
            format: PictureFormat::from_u8(format).ok_or(FrameError::NoSuchFormat { format })?,
            sequence,
            capture_time_us,
        })
    }
}

/// A whole picture frame; the picture is borrowed from the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PictureFrame<'a> {
    /// What the payload is.
    pub header: PictureHeader,
    /// The picture, in the header's format.
    pub payload: &'a [u8],
}

impl<'a> PictureFrame<'a> {
    /// Takes `message` apart, after checking that its picture is at most `max_picture` bytes long
    /// ([`Limits::max_picture`](crate::Limits::max_picture)), and a raw one exactly [`RAW_BYTES`].
    ///
    /// # Errors
    /// [`FrameError`]: what [`PictureHeader::parse`] refuses, too long, or a raw picture of another size.
    pub fn parse(message: &'a [u8], max_picture: u32) -> Result<Self, FrameError> {
        let header = PictureHeader::parse(message)?;
        let payload = &message[HEADER_BYTES..];
        let bytes = payload.len();
        if !u32::try_from(bytes).is_ok_and(|bytes| bytes <= max_picture) {
            return Err(FrameError::TooLong {
                bytes,
                limit: max_picture,
            });
        }
        if header.format == PictureFormat::Raw && bytes != RAW_BYTES {
            return Err(FrameError::RawSize { bytes });
        }
        Ok(Self { header, payload })
    }

    /// The message's bytes: header and picture.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        message(self.header.encode(), self.payload)
    }
}

//! Any binary message of a device.

use crate::Limits;
use crate::frame::{Frame, FrameError, FrameHeader, KIND_FEATURE, KIND_PICTURE};
use crate::picture::{PictureFrame, PictureHeader};

/// A binary message: a feature or a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upload<'a> {
    /// The feature of a picture.
    Feature(Frame<'a>),
    /// A whole picture.
    Picture(PictureFrame<'a>),
}

impl<'a> Upload<'a> {
    /// Takes `message` apart by its first byte, within `limits`.
    ///
    /// # Errors
    /// [`FrameError`]: empty, of a kind that does not exist, or what [`Frame::parse`] and
    /// [`PictureFrame::parse`] refuse.
    pub fn parse(message: &'a [u8], limits: &Limits) -> Result<Self, FrameError> {
        match message.first() {
            Some(&KIND_FEATURE) => Frame::parse(message, limits.max_payload).map(Self::Feature),
            Some(&KIND_PICTURE) => {
                PictureFrame::parse(message, limits.max_picture).map(Self::Picture)
            }
            Some(&kind) => Err(FrameError::UnknownKind { kind }),
            None => Err(FrameError::TooShort { bytes: 0 }),
        }
    }

    /// The number of the frame that `message` would be, where its header is right: for an error about it.
    #[must_use]
    pub fn sequence_of(message: &[u8]) -> Option<u32> {
        FrameHeader::parse(message)
            .map(|header| header.sequence)
            .or_else(|_| PictureHeader::parse(message).map(|header| header.sequence))
            .ok()
    }
}

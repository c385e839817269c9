//! How a frame comes to its label.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::DeviceError;

/// A way of inference. Written as the `Way` of the types.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Way {
    /// The front runs here, and its feature is sent.
    Features {
        /// The codec's name.
        codec: String,
        /// Index of the codec's rate.
        rate: u8,
        /// Only so many of the rate's channels, the most important first; all when `None`.
        #[serde(default)]
        channels: Option<u16>,
    },
    /// The pixels that the network sees are sent; all of it runs on the server.
    Picture {
        /// How they are written.
        format: Format,
        /// 1 to 100; of no meaning to raw pixels.
        #[serde(default)]
        quality: u8,
    },
    /// The whole network runs here.
    Device,
}

/// How a picture is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// JPEG, by the browser's encoder.
    Jpeg,
    /// WebP, by the browser's encoder.
    WebP,
    /// Three bytes a pixel.
    Raw,
}

impl Format {
    /// Its name in a frame's header.
    #[must_use]
    pub const fn on_the_wire(self) -> wire::PictureFormat {
        match self {
            Self::Jpeg => wire::PictureFormat::Jpeg,
            Self::WebP => wire::PictureFormat::WebP,
            Self::Raw => wire::PictureFormat::Raw,
        }
    }

    /// Its media type; `None` for raw pixels.
    #[must_use]
    pub const fn media_type(self) -> Option<&'static str> {
        match self {
            Self::Jpeg => Some("image/jpeg"),
            Self::WebP => Some("image/webp"),
            Self::Raw => None,
        }
    }
}

impl Way {
    /// Checks what the types cannot.
    ///
    /// # Errors
    ///
    /// When the quality or the number of channels is out of range.
    pub fn checked(self) -> Result<Self, DeviceError> {
        match &self {
            Self::Picture {
                format: Format::Jpeg | Format::WebP,
                quality,
            } if !(1..=100).contains(quality) => Err(DeviceError::InvalidArgument(format!(
                "the quality is {quality}; right would be 1 to 100"
            ))),
            Self::Features {
                channels: Some(0), ..
            } => Err(DeviceError::InvalidArgument(
                "no channels; right would be at least 1".to_owned(),
            )),
            _ => Ok(self),
        }
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Features {
                codec,
                rate,
                channels: None,
            } => write!(f, "{codec} at rate {rate}"),
            Self::Features {
                codec,
                rate,
                channels: Some(channels),
            } => write!(f, "{channels} channels of {codec} at rate {rate}"),
            Self::Picture {
                format: Format::Raw,
                ..
            } => f.write_str("raw pixels"),
            Self::Picture { format, quality } => {
                let name = match format {
                    Format::Jpeg => "JPEG",
                    _ => "WebP",
                };
                write!(f, "{name} at quality {quality}")
            }
            Self::Device => f.write_str("the whole network on this device"),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(value: serde_json::Value) -> Way {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn ways_are_written_as_the_types_promise() {
        let features = Way::Features {
            codec: "klt".to_owned(),
            rate: 2,
            channels: None,
        };
        let value = json!({ "kind": "features", "codec": "klt", "rate": 2, "channels": null });
        assert_eq!(serde_json::to_value(&features).unwrap(), value);
        assert_eq!(read(value), features);
        let picture = Way::Picture {
            format: Format::WebP,
            quality: 75,
        };
        let value = json!({ "kind": "picture", "format": "webp", "quality": 75 });
        assert_eq!(serde_json::to_value(&picture).unwrap(), value);
        assert_eq!(read(value), picture);
        assert_eq!(read(json!({ "kind": "device" })), Way::Device);
    }

    #[test]
    fn what_is_out_of_range_is_refused() {
        let jpeg =
            |quality| read(json!({ "kind": "picture", "format": "jpeg", "quality": quality }));
        assert!(jpeg(0).checked().is_err());
        assert!(jpeg(101).checked().is_err());
        assert!(jpeg(100).checked().is_ok());
        assert!(
            read(json!({ "kind": "picture", "format": "raw" }))
                .checked()
                .is_ok()
        );
        let none = json!({ "kind": "features", "codec": "a", "rate": 0, "channels": 0 });
        assert!(read(none).checked().is_err());
    }
}

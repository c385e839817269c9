//! Pictures of direct offloading: bytes to the network's input.

use std::io::Cursor;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aecnn::preprocess::{INPUT, PreprocessError, Preprocessing, centre_crop, normalise};
use bytes::Bytes;
use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits};
use tokio::sync::Semaphore;
use wire::PictureFormat;

use crate::catalogue::Catalogue;
use crate::engine::Input;
use crate::error::Refusal;

/// The largest side of a picture that is decoded, in pixels.
pub const MAX_SIDE: u32 = 8192;
/// The most memory that a decoder may use, in bytes: a picture of 50 megapixels fits.
const MAX_DECODED: u64 = 256 << 20;

/// A picture that cannot be classified.
#[derive(Debug, thiserror::Error)]
pub enum PictureError {
    /// Neither JPEG nor PNG nor WebP, or another of them than was named.
    #[error("this is no JPEG, PNG or WebP picture, or another than was named")]
    Format,
    /// Too many pixels.
    #[error("the picture is too large: at most {MAX_SIDE} pixels a side and {} MB decoded", MAX_DECODED >> 20)]
    TooLarge,
    /// Damaged.
    #[error("the picture cannot be decoded: {0}")]
    Damaged(ImageError),
    /// Decoded, but of no use to the network.
    #[error(transparent)]
    Preprocess(#[from] PreprocessError),
}

impl From<ImageError> for PictureError {
    fn from(error: ImageError) -> Self {
        match error {
            ImageError::Limits(_) => Self::TooLarge,
            other => Self::Damaged(other),
        }
    }
}

/// Where a picture comes from, and with it what may be done to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// A photograph of any kind: its central square is what the network sees.
    Photograph,
    /// A device's frame, in this format: where it has the network's size it is what the network sees.
    Seen(PictureFormat),
}

/// What the engine is to compute, and how long it took to get there.
#[derive(Debug)]
pub struct Prepared {
    /// The network's input, or a latent.
    pub input: Input,
    /// Time for making pixels, or symbols, of bytes.
    pub decode: Duration,
    /// Time for making the network's input of pixels.
    pub preprocess: Duration,
}

/// Bytes to the network's input, on a thread of its own and not more of them than `places` has.
///
/// # Errors
///
/// When the bytes are no picture that the network can see.
pub async fn prepare(
    places: &Arc<Semaphore>,
    catalogue: &Arc<Catalogue>,
    model: usize,
    bytes: Bytes,
    source: Source,
) -> Result<Prepared, Refusal> {
    let internal = |error: &dyn std::error::Error| Refusal::Internal(error.to_string());
    let place = Arc::clone(places)
        .acquire_owned()
        .await
        .map_err(|error| internal(&error))?;
    let catalogue = Arc::clone(catalogue);
    let prepared = tokio::task::spawn_blocking(move || {
        let _place = place;
        let preprocessing = &catalogue
            .model(model)
            .ok_or(Refusal::NotFound)?
            .manifest
            .preprocessing;
        let started = Instant::now();
        let seen = matches!(source, Source::Seen(_));
        let (planes, decoded) = if source == Source::Seen(PictureFormat::Raw) {
            (normalise(&bytes, preprocessing), started)
        } else {
            let picture = decode(&bytes, source)?;
            let decoded = Instant::now();
            (preprocess(&picture, preprocessing, seen)?, decoded)
        };
        Ok(Prepared {
            input: Input::Picture { model, planes },
            decode: decoded - started,
            preprocess: decoded.elapsed(),
        })
    });
    prepared.await.map_err(|error| internal(&error))?
}

/// Decodes a JPEG, PNG or WebP picture, recognised by its bytes, upright as its camera meant it.
///
/// # Errors
///
/// When it is none of these, or not the one that the source names, too large, or damaged.
pub fn decode(bytes: &[u8], source: Source) -> Result<DynamicImage, PictureError> {
    let mut reader = ImageReader::new(Cursor::new(bytes))
        .with_guessed_format()
        .map_err(|error| PictureError::Damaged(ImageError::IoError(error)))?;
    match reader.format() {
        Some(format @ (ImageFormat::Jpeg | ImageFormat::Png | ImageFormat::WebP))
            if source == Source::Photograph || source == Source::Seen(named(format)) => {}
        _ => return Err(PictureError::Format),
    }
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MAX_DECODED);
    reader.limits(limits);
    let mut decoder = reader.into_decoder()?;
    // Browsers turn pictures upright before a page sees their pixels; so do we.
    let orientation = decoder.orientation()?;
    let mut picture = DynamicImage::from_decoder(decoder)?;
    picture.apply_orientation(orientation);
    Ok(picture)
}

/// The format's name on the wire.
fn named(format: ImageFormat) -> PictureFormat {
    match format {
        ImageFormat::Jpeg => PictureFormat::Jpeg,
        ImageFormat::WebP => PictureFormat::WebP,
        _ => PictureFormat::Png,
    }
}

/// A decoded picture to the network's input: the central square at 224x224, as planes. Where it may
/// be `seen` already and has 224x224 pixels, these are taken as they are.
///
/// # Errors
///
/// When the picture has no pixels.
pub fn preprocess(
    picture: &DynamicImage,
    preprocessing: &Preprocessing,
    seen: bool,
) -> Result<Vec<f32>, PictureError> {
    let rgb = picture.to_rgb8();
    let (width, height) = rgb.dimensions();
    if seen && [width, height].map(|side| usize::try_from(side).ok()) == [Some(INPUT); 2] {
        return Ok(normalise(rgb.as_raw(), preprocessing));
    }
    let crop = centre_crop(rgb.as_raw(), 3, width, height, preprocessing)?;
    Ok(normalise(&crop, preprocessing))
}

#[cfg(test)]
mod tests {
    use image::{ExtendedColorType, ImageEncoder, RgbImage};

    use super::*;

    fn encoded(format: ImageFormat, width: u32, height: u32) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        RgbImage::from_pixel(width, height, image::Rgb([10, 200, 30]))
            .write_to(&mut bytes, format)
            .unwrap();
        bytes.into_inner()
    }

    #[test]
    fn the_three_formats_are_recognised_by_their_bytes() {
        for format in [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::WebP] {
            let picture = decode(&encoded(format, 40, 30), Source::Photograph).unwrap();
            assert_eq!((picture.width(), picture.height()), (40, 30));
            let planes = preprocess(&picture, &Preprocessing::keras(), false).unwrap();
            assert_eq!(planes.len(), 3 * 224 * 224);
            // Blue, green, red, minus the mean.
            assert!(
                (planes[0] - (30.0 - 103.939)).abs() < 4.0,
                "{format:?}: {}",
                planes[0]
            );
            assert!((planes[224 * 224] - (200.0 - 116.779)).abs() < 4.0);
        }
    }

    #[test]
    fn a_frame_is_of_the_format_that_it_names() {
        let bytes = encoded(ImageFormat::Png, 40, 30);
        assert!(decode(&bytes, Source::Seen(PictureFormat::Png)).is_ok());
        assert!(matches!(
            decode(&bytes, Source::Seen(PictureFormat::Jpeg)),
            Err(PictureError::Format)
        ));
    }

    #[test]
    fn what_the_network_sees_is_not_cropped_again() {
        let cropping = Preprocessing {
            crop: 0.5,
            ..Preprocessing::keras()
        };
        let picture = |side: u32| {
            let pixels = RgbImage::from_fn(side, side, |x, y| image::Rgb([x as u8, y as u8, 0]));
            DynamicImage::ImageRgb8(pixels)
        };
        let planes = |side, seen| preprocess(&picture(side), &cropping, seen).unwrap();
        let pixels = picture(224).to_rgb8();
        assert_eq!(planes(224, true), normalise(pixels.as_raw(), &cropping));
        assert_ne!(planes(224, true), planes(224, false));
        assert_eq!(planes(225, true), planes(225, false));
    }

    #[test]
    fn other_bytes_are_no_picture() {
        for bytes in [
            &b""[..],
            b"GIF89a\x01\0\x01\0\0\0\0",
            b"not a picture at all",
        ] {
            assert!(matches!(
                decode(bytes, Source::Photograph),
                Err(PictureError::Format)
            ));
        }
    }

    #[test]
    fn a_cut_picture_is_damaged() {
        let mut bytes = encoded(ImageFormat::Png, 200, 200);
        bytes.truncate(bytes.len() / 2);
        assert!(matches!(
            decode(&bytes, Source::Photograph),
            Err(PictureError::Damaged(_))
        ));
    }

    #[test]
    fn a_large_picture_is_refused_before_its_pixels_are_decoded() {
        // A small file that claims a side above the limit.
        let mut bytes = Vec::new();
        image::codecs::png::PngEncoder::new(&mut bytes)
            .write_image(&vec![0; 9000], 9000, 1, ExtendedColorType::L8)
            .unwrap();
        assert!(matches!(
            decode(&bytes, Source::Photograph),
            Err(PictureError::TooLarge)
        ));
    }

    #[test]
    fn the_cameras_orientation_is_obeyed() {
        // A JPEG of 40x20 with an EXIF entry that says "turn by 90 degrees".
        let plain = encoded(ImageFormat::Jpeg, 40, 20);
        let exif = b"Exif\0\0MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
        let mut turned = plain[..2].to_vec();
        turned.extend([0xff, 0xe1]);
        turned.extend((exif.len() as u16 + 2).to_be_bytes());
        turned.extend(exif);
        turned.extend(&plain[2..]);
        let picture = decode(&turned, Source::Photograph).unwrap();
        assert_eq!((picture.width(), picture.height()), (20, 40));
    }
}

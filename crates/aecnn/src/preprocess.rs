//! From a picture's pixels to the network's input, the same on the device, the server and in
//! training.
//!
//! Two steps: [`centre_crop`] takes the central square and resamples it to 224x224 RGB bytes;
//! [`normalise`] turns these into the planes of numbers that the weights were trained on. What
//! "normalised" means is a fact of the weights, so it stands in the model's manifest as a
//! [`Preprocessing`].

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeError, ResizeOptions, Resizer};
use serde::{Deserialize, Serialize};

/// The side of the network's square input, in pixels.
pub const INPUT: usize = 224;

/// The largest side of a picture that is taken, in pixels.
pub const MAX_SIDE: u32 = 16_384;

/// The order of the colour planes in the network's input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChannelOrder {
    /// Red, green, blue (torchvision).
    Rgb,
    /// Blue, green, red (Keras, Caffe).
    Bgr,
}

/// How the bytes of a picture become the network's input: plane `c` of the input is
/// `(byte * scale - mean[c]) / std[c]`, with planes in [`ChannelOrder`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Preprocessing {
    /// The side of the central square that is used, as a share of the picture's shorter side
    /// (0 to 1]. 0.875 is the usual "resize to 256, crop 224".
    pub crop: f64,
    /// The order of the planes.
    pub order: ChannelOrder,
    /// The factor on the bytes: 1 for inputs of 0 to 255, 1/255 for 0 to 1.
    pub scale: f32,
    /// Subtracted from each plane, in the planes' order.
    pub mean: [f32; 3],
    /// Divides each plane, in the planes' order.
    pub std: [f32; 3],
}

impl Preprocessing {
    /// What the Keras ResNet-50 v1 weights expect: BGR, 0 to 255, minus the mean of ImageNet.
    ///
    /// The whole central square is used: on our two evaluation sets that recognises more than the usual
    /// 0.875 of it, and what a page shows is what the network sees.
    #[must_use]
    pub const fn keras() -> Self {
        Self {
            crop: 1.0,
            order: ChannelOrder::Bgr,
            scale: 1.0,
            mean: [103.939, 116.779, 123.68],
            std: [1.0; 3],
        }
    }

    /// What torchvision's weights expect: RGB, 0 to 1, normalised by ImageNet's mean and
    /// standard deviation.
    #[must_use]
    pub const fn torchvision() -> Self {
        Self {
            crop: 0.875,
            order: ChannelOrder::Rgb,
            scale: 1.0 / 255.0,
            mean: [0.485, 0.456, 0.406],
            std: [0.229, 0.224, 0.225],
        }
    }
}

/// A picture that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PreprocessError {
    /// Neither RGB nor RGBA.
    #[error("pixels of {0} bytes cannot be read; give 3 (RGB) or 4 (RGBA)")]
    Channels(usize),
    /// A side of zero or above [`MAX_SIDE`].
    #[error("a picture of {width}x{height} pixels cannot be used; sides must be 1 to {MAX_SIDE}")]
    Size {
        /// Columns.
        width: u32,
        /// Rows.
        height: u32,
    },
    /// The bytes do not fill the picture, or overfill it.
    #[error("{width}x{height} pixels of {channels} bytes need {expected} bytes, not {got}")]
    Length {
        /// Columns.
        width: u32,
        /// Rows.
        height: u32,
        /// Bytes a pixel.
        channels: usize,
        /// Bytes that would be right.
        expected: usize,
        /// Bytes given.
        got: usize,
    },
    /// The resampling refused.
    #[error("the picture could not be resampled: {0}")]
    Resample(#[from] ResizeError),
}

/// Takes the central square of a picture and resamples it to 224x224.
///
/// `pixels` holds `height` rows of `width` pixels, each of `channels` bytes: 3 (RGB) or 4 (RGBA,
/// whose alpha is ignored). The square's side is `crop` times the shorter side. The filter is the
/// triangle ("bilinear") with antialiasing, in fixed-point arithmetic, so that every machine
/// gives the same bytes. Returns 224 * 224 * 3 bytes of RGB.
///
/// # Errors
///
/// When the pixels do not fit the stated size or layout.
pub fn centre_crop(
    pixels: &[u8],
    channels: usize,
    width: u32,
    height: u32,
    preprocessing: &Preprocessing,
) -> Result<Vec<u8>, PreprocessError> {
    let pixel_type = match channels {
        3 => PixelType::U8x3,
        4 => PixelType::U8x4,
        other => return Err(PreprocessError::Channels(other)),
    };
    if !(1..=MAX_SIDE).contains(&width) || !(1..=MAX_SIDE).contains(&height) {
        return Err(PreprocessError::Size { width, height });
    }
    let expected = width as usize * height as usize * channels;
    if pixels.len() != expected {
        return Err(PreprocessError::Length {
            width,
            height,
            channels,
            expected,
            got: pixels.len(),
        });
    }
    // The buffer's length was checked above, so this only fails if that check is wrong.
    let source =
        ImageRef::new(width, height, pixels, pixel_type).map_err(|_| PreprocessError::Length {
            width,
            height,
            channels,
            expected,
            got: pixels.len(),
        })?;
    let side = f64::from(width.min(height)) * preprocessing.crop;
    let options = ResizeOptions::new()
        .resize_alg(ResizeAlg::Convolution(FilterType::Bilinear))
        .use_alpha(false)
        .crop(
            (f64::from(width) - side) / 2.0,
            (f64::from(height) - side) / 2.0,
            side,
            side,
        );
    let mut target = Image::new(INPUT as u32, INPUT as u32, pixel_type);
    Resizer::new().resize(&source, &mut target, &options)?;
    let resampled = target.into_vec();
    Ok(match channels {
        3 => resampled,
        _ => resampled
            .chunks_exact(4)
            .flat_map(|pixel| [pixel[0], pixel[1], pixel[2]])
            .collect(),
    })
}

/// The network's input, 3 planes of 224x224, from 224x224 pixels of RGB bytes.
#[must_use]
pub fn normalise(rgb: &[u8], preprocessing: &Preprocessing) -> Vec<f32> {
    let mut input = Vec::with_capacity(rgb.len());
    for plane in 0..3 {
        let byte = match preprocessing.order {
            ChannelOrder::Rgb => plane,
            ChannelOrder::Bgr => 2 - plane,
        };
        let (scale, mean, std) = (
            preprocessing.scale,
            preprocessing.mean[plane],
            preprocessing.std[plane],
        );
        input.extend(
            rgb.chunks_exact(3)
                .map(|pixel| (f32::from(pixel[byte]) * scale - mean) / std),
        );
    }
    input
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rgb_and_rgba_give_the_same_pixels() {
        let (width, height) = (301u32, 257u32);
        let rgba: Vec<u8> = (0..width * height * 4)
            .map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8)
            .collect();
        let rgb: Vec<u8> = rgba
            .chunks_exact(4)
            .flat_map(|p| [p[0], p[1], p[2]])
            .collect();
        let keras = Preprocessing::keras();
        let a = centre_crop(&rgba, 4, width, height, &keras).unwrap();
        let b = centre_crop(&rgb, 3, width, height, &keras).unwrap();
        assert_eq!(a.len(), INPUT * INPUT * 3);
        assert_eq!(a, b);
    }

    #[test]
    fn the_central_square_is_used() {
        // Left third red, centre green, right third blue: only green may remain, but for the
        // outermost columns, where the filter reaches over the edge.
        let (width, height) = (900u32, 300u32);
        let pixels: Vec<u8> = (0..height)
            .flat_map(|_| 0..width)
            .flat_map(|x| match x / 300 {
                0 => [255, 0, 0],
                1 => [0, 255, 0],
                _ => [0, 0, 255],
            })
            .collect();
        let crop = centre_crop(&pixels, 3, width, height, &Preprocessing::keras()).unwrap();
        let inner = |(at, _): &(usize, &[u8])| (1..INPUT - 1).contains(&(at % INPUT));
        let mut pixels = crop.chunks_exact(3).enumerate().filter(inner);
        assert!(pixels.all(|(_, pixel)| pixel == [0, 255, 0]));
    }

    #[test]
    fn keras_input_is_bgr_minus_mean() {
        let rgb = [10u8, 20, 30].repeat(INPUT * INPUT);
        let input = normalise(&rgb, &Preprocessing::keras());
        assert_eq!(input[0], 30.0 - 103.939);
        assert_eq!(input[INPUT * INPUT], 20.0 - 116.779);
        assert_eq!(input[2 * INPUT * INPUT], 10.0 - 123.68);
    }

    #[test]
    fn bad_pictures_are_named() {
        let keras = Preprocessing::keras();
        assert!(matches!(
            centre_crop(&[0; 12], 2, 2, 3, &keras),
            Err(PreprocessError::Channels(2))
        ));
        assert!(matches!(
            centre_crop(&[], 3, 0, 3, &keras),
            Err(PreprocessError::Size { .. })
        ));
        assert!(matches!(
            centre_crop(&[0; 5], 3, 2, 1, &keras),
            Err(PreprocessError::Length { expected: 6, .. })
        ));
        assert!(centre_crop(&[9, 9, 9], 3, 1, 1, &keras).is_ok());
    }
}

//! Cutting a picture anew each time it is seen.

use aecnn::preprocess::INPUT;
use anyhow::Result;
use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};

use super::pack::SIDE;
use crate::random::Random;

/// The part of a picture that is used, in pixels, and whether it is mirrored.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Window {
    pub(crate) left: f64,
    pub(crate) top: f64,
    pub(crate) width: f64,
    pub(crate) height: f64,
    pub(crate) flip: bool,
}

/// The random window of one picture in one epoch: 35 to 100 % of the area of a 256x256 picture, sides as 3:4 to
/// 4:3, mirrored every other time. Depends on its arguments alone.
fn window(seed: u64, epoch: u64, picture: usize) -> Window {
    let mut random = Random::of(&[seed, epoch, picture as u64]);
    let side = SIDE as f64;
    let area = random.between(0.35, 1.0) * side * side;
    let ratio = random.between((3f64 / 4.0).ln(), (4f64 / 3.0).ln()).exp();
    let width = (area * ratio).sqrt().min(side);
    let height = (area / ratio).sqrt().min(side);
    Window {
        left: random.unit() * (side - width),
        top: random.unit() * (side - height),
        width,
        height,
        flip: random.next() & 1 == 1,
    }
}

/// The picture `picture` as it is seen in `epoch`: 224x224 RGB of a 256x256 one.
pub(super) fn augmented(pixels: &[u8], seed: u64, epoch: u64, picture: usize) -> Result<Vec<u8>> {
    let side = SIDE as u32;
    resample(pixels, side, side, window(seed, epoch, picture), INPUT)
}

/// A window of an RGB picture as a square of `target` pixels.
pub(crate) fn resample(
    pixels: &[u8],
    width: u32,
    height: u32,
    window: Window,
    target: usize,
) -> Result<Vec<u8>> {
    let source = ImageRef::new(width, height, pixels, PixelType::U8x3)?;
    let options = ResizeOptions::new()
        .resize_alg(ResizeAlg::Convolution(FilterType::Bilinear))
        .crop(window.left, window.top, window.width, window.height);
    let mut image = Image::new(target as u32, target as u32, PixelType::U8x3);
    Resizer::new().resize(&source, &mut image, &options)?;
    let mut rgb = image.into_vec();
    if window.flip {
        for row in rgb.chunks_exact_mut(3 * target) {
            for x in 0..target / 2 {
                for channel in 0..3 {
                    row.swap(3 * x + channel, 3 * (target - 1 - x) + channel);
                }
            }
        }
    }
    Ok(rgb)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_lie_inside_and_vary() {
        let side = SIDE as f64;
        let mut flips = 0;
        for picture in 0..500 {
            let w = window(1, 2, picture);
            assert!(w.left >= 0.0 && w.left + w.width <= side + 1e-9, "{w:?}");
            assert!(w.top >= 0.0 && w.top + w.height <= side + 1e-9, "{w:?}");
            assert!(w.width * w.height >= 0.3 * side * side, "{w:?}");
            flips += usize::from(w.flip);
            assert_eq!(w, window(1, 2, picture));
            assert_ne!(w, window(1, 3, picture));
        }
        assert!((180..320).contains(&flips), "{flips}");
    }

    #[test]
    fn flipping_mirrors_rows() {
        let pixels: Vec<u8> = (0..4 * 4 * 3).collect();
        let whole = |flip| Window {
            left: 0.0,
            top: 0.0,
            width: 4.0,
            height: 4.0,
            flip,
        };
        let plain = resample(&pixels, 4, 4, whole(false), 4).unwrap();
        let mirrored = resample(&pixels, 4, 4, whole(true), 4).unwrap();
        assert_eq!(plain, pixels);
        assert_eq!(mirrored[..3], pixels[9..12]);
        assert_eq!(mirrored[3..6], pixels[6..9]);
    }
}

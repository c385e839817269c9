//! Which pixels of a source are read.

/// Above this length of the shorter side, in pixels, the source is scaled down while it is read.
/// The network sees 224 pixels; a photograph of 12 megapixels would cost 48 MB to read whole.
pub const MAX_SHORTER_SIDE: u32 = 1024;

/// A part of the source and the size at which it is read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Region {
    /// Left edge in the source.
    pub x: u32,
    /// Upper edge in the source.
    pub y: u32,
    /// Columns of the source.
    pub width: u32,
    /// Rows of the source.
    pub height: u32,
    /// Columns that are read.
    pub target_width: u32,
    /// Rows that are read.
    pub target_height: u32,
}

/// Up to so many pixels a source is read whole, and the device sees exactly the pixels that a
/// server would that got the same picture.
pub const MAX_WHOLE: u32 = 1 << 20;

/// The part of a source of `width` x `height` pixels that is read: small sources whole, of larger
/// ones the central square, which is all that the preprocessing looks at. Where the square's
/// edges would fall between pixels it is one pixel longer, so that its centre stays the source's
/// centre. Cropping the square gives the pixels of cropping the whole picture but for single
/// values where the resampling filter ends exactly between two pixels.
///
/// `None` when a side is zero: a camera that has not delivered yet.
#[must_use]
pub fn region(width: u32, height: u32) -> Option<Region> {
    let shorter = width.min(height);
    if shorter == 0 {
        return None;
    }
    let whole = width.saturating_mul(height) <= MAX_WHOLE;
    let side_of = |length: u32| {
        if whole {
            length
        } else {
            shorter + (length - shorter) % 2
        }
    };
    let (w, h) = (side_of(width), side_of(height));
    let scale = |length: u32| {
        if shorter <= MAX_SHORTER_SIDE {
            length
        } else {
            let scaled = f64::from(length) * f64::from(MAX_SHORTER_SIDE) / f64::from(shorter);
            // At most MAX_SHORTER_SIDE and a pixel: no truncation.
            scaled.round() as u32
        }
    };
    Some(Region {
        x: (width - w) / 2,
        y: (height - h) / 2,
        width: w,
        height: h,
        target_width: scale(w),
        target_height: scale(h),
    })
}

#[cfg(test)]
mod tests {
    use aecnn::preprocess::{Preprocessing, centre_crop};

    use super::*;

    fn noise(width: u32, height: u32) -> Vec<u8> {
        (0..width * height * 4)
            .map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8)
            .collect()
    }

    fn cut(pixels: &[u8], width: u32, region: Region) -> Vec<u8> {
        (region.y..region.y + region.height)
            .flat_map(|row| {
                let start = ((row * width + region.x) * 4) as usize;
                pixels[start..start + region.width as usize * 4].to_vec()
            })
            .collect()
    }

    /// How many of the network's pixels differ between the whole picture and its region.
    fn differing(width: u32, height: u32) -> usize {
        let keras = Preprocessing::keras();
        let pixels = noise(width, height);
        let region = region(width, height).unwrap();
        let whole = centre_crop(&pixels, 4, width, height, &keras).unwrap();
        let part = centre_crop(
            &cut(&pixels, width, region),
            4,
            region.width,
            region.height,
            &keras,
        )
        .unwrap();
        whole.iter().zip(&part).filter(|(a, b)| a != b).count()
    }

    #[test]
    fn small_sources_are_read_exactly() {
        for (width, height) in [(640, 480), (481, 640), (300, 300), (1024, 1024), (20, 900)] {
            assert_eq!(differing(width, height), 0, "{width}x{height}");
        }
    }

    #[test]
    fn of_larger_sources_the_square_is_read() {
        for (width, height) in [(1280, 960), (1281, 960), (960, 1281)] {
            let region = region(width, height).unwrap();
            assert!(region.width.abs_diff(region.height) <= 1, "{region:?}");
            let differing = differing(width, height);
            // Noise is the worst case: neighbouring pixels have nothing in common.
            assert!(
                differing < 224 * 224 * 3 / 50,
                "{width}x{height}: {differing}"
            );
        }
    }

    #[test]
    fn photographs_are_scaled_while_they_are_read() {
        let region = region(4032, 3024).unwrap();
        assert_eq!((region.width, region.height), (3024, 3024));
        assert_eq!((region.target_width, region.target_height), (1024, 1024));
    }

    #[test]
    fn an_empty_source_has_no_region() {
        assert_eq!(region(0, 480), None);
        assert_eq!(region(640, 0), None);
    }
}

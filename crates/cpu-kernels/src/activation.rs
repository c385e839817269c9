//! What lies between two layers.

use crate::parallel::for_each_part;

/// Pixels that are transposed together, so that what is read and what is written stay in the
/// cache.
const STRIP: usize = 16;

/// Pictures, rows, columns and channels, in this order, with a border of zeros around each
/// picture for the convolution that reads it.
#[derive(Debug, Clone)]
pub struct Activation {
    pub(crate) values: Vec<f32>,
    pub(crate) pictures: usize,
    pub(crate) height: usize,
    pub(crate) width: usize,
    pub(crate) channels: usize,
    /// Width of the border, in pixels.
    pub(crate) pad: usize,
}

impl Activation {
    /// Zeros of `[pictures, channels, height, width]` and their border.
    pub(crate) fn zeros([pictures, channels, height, width]: [usize; 4], pad: usize) -> Self {
        let padded = (height + 2 * pad) * (width + 2 * pad);
        Self {
            values: vec![0.0; pictures * padded * channels],
            pictures,
            height,
            width,
            channels,
            pad,
        }
    }

    /// From planes, `[pictures, channels, height, width]`, with a border of `pad` pixels.
    ///
    /// # Panics
    ///
    /// When `planes` has another length than its shape says.
    #[must_use]
    pub fn from_planes(planes: &[f32], shape: [usize; 4], pad: usize) -> Self {
        assert_eq!(
            planes.len(),
            shape.iter().product::<usize>(),
            "planes of {shape:?}"
        );
        let mut activation = Self::zeros(shape, pad);
        activation.fill(planes);
        activation
    }

    fn fill(&mut self, planes: &[f32]) {
        let (pad, width, channels) = (self.pad, self.width, self.channels);
        let plane = self.height * width;
        if plane * channels == 0 {
            return;
        }
        let (picture_length, row_length) = (self.picture_length(), self.row_length());
        for_each_part(&mut self.values, picture_length, |index, picture| {
            let planes = &planes[index * plane * channels..][..plane * channels];
            let rows = picture.chunks_exact_mut(row_length).skip(pad);
            for (y, row) in rows.take(plane / width).enumerate() {
                let row = &mut row[pad * channels..][..width * channels];
                for (strip, pixels) in row.chunks_mut(STRIP * channels).enumerate() {
                    let start = y * width + strip * STRIP;
                    for channel in 0..channels {
                        let from = &planes[channel * plane + start..];
                        for (pixel, value) in pixels.chunks_exact_mut(channels).zip(from) {
                            pixel[channel] = *value;
                        }
                    }
                }
            }
        });
    }

    /// To planes, `[pictures, channels, height, width]`; the border is left behind.
    #[must_use]
    pub fn to_planes(&self) -> Vec<f32> {
        let plane = self.height * self.width;
        let mut planes = vec![0.0; self.pictures * self.channels * plane];
        if !planes.is_empty() {
            for_each_part(&mut planes, self.channels * plane, |index, planes| {
                for y in 0..self.height {
                    let row =
                        &self.values[self.offset(index, y, 0)..][..self.width * self.channels];
                    for (strip, pixels) in row.chunks(STRIP * self.channels).enumerate() {
                        let start = y * self.width + strip * STRIP;
                        for channel in 0..self.channels {
                            let to = &mut planes[channel * plane + start..];
                            for (value, pixel) in
                                to.iter_mut().zip(pixels.chunks_exact(self.channels))
                            {
                                *value = pixel[channel];
                            }
                        }
                    }
                }
            });
        }
        planes
    }

    /// `[pictures, channels, height, width]`, without the border.
    #[must_use]
    pub fn shape(&self) -> [usize; 4] {
        [self.pictures, self.channels, self.height, self.width]
    }

    /// Values of a row, with its border.
    pub(crate) fn row_length(&self) -> usize {
        (self.width + 2 * self.pad) * self.channels
    }

    /// Values of a picture, with its border.
    pub(crate) fn picture_length(&self) -> usize {
        (self.height + 2 * self.pad) * self.row_length()
    }

    /// Where the pixel at row `y` and column `x` begins.
    pub(crate) fn offset(&self, picture: usize, y: usize, x: usize) -> usize {
        picture * self.picture_length()
            + (y + self.pad) * self.row_length()
            + (x + self.pad) * self.channels
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn planes_come_back_as_they_were() {
        let shape = [2, 5, 3, 37];
        let planes: Vec<f32> = (0..2 * 5 * 3 * 37).map(|i| i as f32).collect();
        for pad in [0, 3] {
            let activation = Activation::from_planes(&planes, shape, pad);
            // Picture 1, row 2, column 36, channel 4 is the last value.
            assert_eq!(activation.values[activation.offset(1, 2, 36) + 4], 1109.0);
            assert_eq!(activation.to_planes(), planes);
            assert_eq!(activation.shape(), shape);
        }
    }

    #[test]
    fn the_border_is_zero() {
        let activation = Activation::from_planes(&[1.0; 120], [2, 3, 4, 5], 2);
        assert_eq!(activation.values.len(), 2 * 3 * 8 * 9);
        assert_eq!(activation.values.iter().sum::<f32>(), 120.0);
    }

    #[test]
    fn an_empty_batch_is_no_trouble() {
        let activation = Activation::from_planes(&[], [0, 3, 4, 5], 1);
        assert!(activation.to_planes().is_empty());
    }
}

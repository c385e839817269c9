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

    /// One behind the other, all of one shape and border; none is an empty batch of nothing.
    ///
    /// # Panics
    ///
    /// When their shapes differ.
    #[must_use]
    pub fn joined(mut parts: Vec<Self>) -> Self {
        match parts.len() {
            0 => Self::zeros([0; 4], 0),
            1 => parts.remove(0),
            _ => {
                let [_, channels, height, width] = parts[0].shape();
                let pad = parts[0].pad;
                let pictures = parts.iter().map(|part| part.pictures).sum();
                for part in &parts {
                    assert_eq!(part.shape()[1..], [channels, height, width], "shape");
                    assert_eq!(part.pad, pad, "border");
                }
                let values: Vec<&[f32]> = parts.iter().map(|part| &part.values[..]).collect();
                Self {
                    values: values.concat(),
                    pictures,
                    height,
                    width,
                    channels,
                    pad,
                }
            }
        }
    }

    /// Each channel the same everywhere: `values` is `[pictures, channels]`.
    ///
    /// # Panics
    ///
    /// When `values` has another length than the shape says.
    #[must_use]
    pub fn uniform(values: &[f32], shape: [usize; 4]) -> Self {
        let [pictures, channels, height, width] = shape;
        assert_eq!(values.len(), pictures * channels, "values of {shape:?}");
        let mut activation = Self::zeros(shape, 0);
        let picture_length = height * width * channels;
        if picture_length > 0 {
            let pictures = activation.values.chunks_exact_mut(picture_length);
            for (picture, values) in pictures.zip(values.chunks_exact(channels)) {
                for pixel in picture.chunks_exact_mut(channels) {
                    pixel.copy_from_slice(values);
                }
            }
        }
        activation
    }

    /// Zeros where `by`, of the same shape, is not positive: the gradient in front of a ReLU from that
    /// behind it.
    ///
    /// # Panics
    ///
    /// When the shapes differ.
    #[must_use]
    pub fn where_positive(mut self, by: &Self) -> Self {
        assert_eq!(self.shape(), by.shape(), "shape");
        let length = self.width * self.channels;
        for picture in 0..self.pictures {
            for y in 0..self.height {
                let start = self.offset(picture, y, 0);
                let row = &mut self.values[start..][..length];
                for (value, by) in row.iter_mut().zip(&by.values[by.offset(picture, y, 0)..]) {
                    *value = if *by > 0.0 { *value } else { 0.0 };
                }
            }
        }
        self
    }

    /// Its pixels at every `step`-th row and column of `[height, width]`, zeros between them, within a
    /// border of `pad` pixels.
    ///
    /// # Panics
    ///
    /// When they do not have so much room.
    #[must_use]
    pub fn spread(&self, step: usize, [height, width]: [usize; 2], pad: usize) -> Self {
        let shape = [self.pictures, self.channels, height, width];
        let mut spread = Self::zeros(shape, pad);
        for picture in 0..self.pictures {
            for y in 0..self.height {
                for x in 0..self.width {
                    let from = self.offset(picture, y, x);
                    let to = spread.offset(picture, y * step, x * step);
                    assert!(y * step < height && x * step < width, "{height}x{width}");
                    spread.values[to..][..self.channels]
                        .copy_from_slice(&self.values[from..][..self.channels]);
                }
            }
        }
        spread
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
    fn pictures_are_joined_in_their_order() {
        let planes: Vec<f32> = (0..3 * 60).map(|i| i as f32).collect();
        let part =
            |planes: &[f32], pictures| Activation::from_planes(planes, [pictures, 3, 4, 5], 1);
        let joined = Activation::joined(vec![part(&planes[..60], 1), part(&planes[60..], 2)]);
        assert_eq!(joined.shape(), [3, 3, 4, 5]);
        assert_eq!(joined.to_planes(), planes);
        assert_eq!(Activation::joined(Vec::new()).shape(), [0; 4]);
    }

    #[test]
    fn gradients_pass_a_relu_where_it_was_open() {
        let by = Activation::from_planes(&[1.0, 0.0, -1.0, 2.0], [1, 2, 1, 2], 1);
        let gradient = Activation::from_planes(&[5.0, 6.0, 7.0, 8.0], [1, 2, 1, 2], 0);
        assert_eq!(
            gradient.where_positive(&by).to_planes(),
            [5.0, 0.0, 0.0, 8.0]
        );
    }

    #[test]
    fn pixels_are_spread_and_channels_filled() {
        let two = Activation::from_planes(&[1.0, 2.0], [1, 1, 1, 2], 0);
        let spread = two.spread(2, [2, 3], 1);
        assert_eq!(spread.to_planes(), [1.0, 0.0, 2.0, 0.0, 0.0, 0.0]);
        let uniform = Activation::uniform(&[1.0, 2.0, 3.0, 4.0], [2, 2, 1, 2]);
        assert_eq!(
            uniform.to_planes(),
            [1.0, 1.0, 2.0, 2.0, 3.0, 3.0, 4.0, 4.0]
        );
    }

    #[test]
    fn an_empty_batch_is_no_trouble() {
        let activation = Activation::from_planes(&[], [0, 3, 4, 5], 1);
        assert!(activation.to_planes().is_empty());
    }
}

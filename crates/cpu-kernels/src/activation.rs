//! What lies between two layers.

use std::ops::Range;

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

    /// Times `factors`, those of one picture, in each picture; neither may have a border.
    ///
    /// # Panics
    ///
    /// When one has, or the shapes differ.
    #[must_use]
    pub fn times(mut self, factors: &Self) -> Self {
        assert_eq!((self.pad, factors.pad), (0, 0), "border");
        assert_eq!(self.shape()[1..], factors.shape()[1..], "shape");
        assert_eq!(factors.pictures, 1, "pictures");
        let length = self.picture_length();
        for picture in self.values.chunks_exact_mut(length.max(1)) {
            for (value, factor) in picture.iter_mut().zip(&factors.values) {
                *value *= factor;
            }
        }
        self
    }

    /// And `more`, times a factor for each picture; neither may have a border.
    ///
    /// # Panics
    ///
    /// When one has, the shapes differ, or there are not as many factors as pictures.
    #[must_use]
    pub fn plus(mut self, more: &Self, factors: &[f32]) -> Self {
        assert_eq!((self.pad, more.pad), (0, 0), "border");
        assert_eq!(self.shape(), more.shape(), "shape");
        assert_eq!(factors.len(), self.pictures, "factors");
        let length = self.picture_length().max(1);
        let pictures = self.values.chunks_exact_mut(length);
        let more = more.values.chunks_exact(length);
        for ((picture, more), factor) in pictures.zip(more).zip(factors) {
            for (value, more) in picture.iter_mut().zip(more) {
                *value += factor * more;
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

    /// These rows of each picture, within a border of `pad` pixels.
    ///
    /// # Panics
    ///
    /// When there are no such rows.
    #[must_use]
    pub fn rows(self, rows: Range<usize>, pad: usize) -> Self {
        assert!(
            rows.start <= rows.end && rows.end <= self.height,
            "rows {rows:?} of {}",
            self.height
        );
        if rows.len() == self.height && pad == self.pad {
            return self;
        }
        let shape = [self.pictures, self.channels, rows.len(), self.width];
        let mut some = Self::zeros(shape, pad);
        let length = self.width * self.channels;
        for picture in 0..self.pictures {
            for y in 0..rows.len() {
                let (from, to) = (
                    self.offset(picture, rows.start + y, 0),
                    some.offset(picture, y, 0),
                );
                some.values[to..][..length].copy_from_slice(&self.values[from..][..length]);
            }
        }
        some
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
    fn rows_may_be_taken_and_have_another_border() {
        let planes: Vec<f32> = (0..2 * 2 * 12).map(|i| i as f32).collect();
        for pads in [[0, 0], [1, 0], [0, 2], [2, 2]] {
            let all = Activation::from_planes(&planes, [2, 2, 4, 3], pads[0]);
            let some = all.clone().rows(1..3, pads[1]);
            assert_eq!(some.shape(), [2, 2, 2, 3]);
            let wanted: Vec<f32> = planes.chunks(12).flat_map(|p| &p[3..9]).copied().collect();
            assert_eq!(some.to_planes(), wanted);
            let sum = some.values.iter().sum::<f32>();
            assert_eq!(sum, wanted.iter().sum::<f32>(), "the border is not zero");
            assert_eq!(all.clone().rows(0..4, pads[1]).to_planes(), planes);
            assert_eq!(all.rows(2..2, 0).shape(), [2, 2, 0, 3]);
        }
    }

    #[test]
    fn factors_are_of_a_picture_or_for_each() {
        let values = [1.0, 2.0, 3.0, 4.0];
        let two = || Activation::from_planes(&values, [2, 2, 1, 1], 0);
        let one = Activation::from_planes(&[10.0, 0.5], [1, 2, 1, 1], 0);
        assert_eq!(two().times(&one).to_planes(), [10.0, 1.0, 30.0, 2.0]);
        let sum = two().plus(&two(), &[1.0, -1.0]);
        assert_eq!(sum.to_planes(), [2.0, 4.0, 0.0, 0.0]);
        let none = Activation::from_planes(&[], [0, 2, 1, 1], 0);
        assert!(none.clone().plus(&none, &[]).to_planes().is_empty());
    }

    #[test]
    fn an_empty_batch_is_no_trouble() {
        let activation = Activation::from_planes(&[], [0, 3, 4, 5], 1);
        assert!(activation.to_planes().is_empty());
    }
}

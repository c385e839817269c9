//! A convolution with bias, and what can follow it.

use crate::Activation;
use crate::arch::{dispatch, lanes};
use crate::kernel::{Convolve, Pixel, VECTORS};
use crate::parallel::{for_each_part, parts};

/// A part of the work is at least so many pixels: with fewer, the weights are read more often
/// than they are used.
const MIN_PIXELS: usize = 192;

/// A convolution with square kernel, padded by half of it.
#[derive(Debug)]
pub struct Conv {
    /// For each panel of output channels: kernel rows, kernel columns, input channels, and the
    /// panel's output channels.
    panels: Vec<f32>,
    bias: Vec<f32>,
    channels: [usize; 2],
    kernel: usize,
    stride: usize,
}

/// What happens to a convolution's result.
#[derive(Debug, Clone, Copy, Default)]
pub struct After<'a> {
    /// Added to it: an activation of as many channels, read at every so-many-th row and column.
    pub add: Option<(&'a Activation, usize)>,
    /// Negative values become zero, after the addition.
    pub relu: bool,
    /// The border that the next convolution needs.
    pub pad: usize,
}

impl Conv {
    /// The convolution with `weights` `[out, in, kernel, kernel]` and `bias` `[out]`, for
    /// `channels` `[in, out]`.
    ///
    /// # Panics
    ///
    /// When the output channels are no multiple of 64, or the weights are of another shape.
    #[must_use]
    pub fn new(
        weights: &[f32],
        bias: Vec<f32>,
        channels: [usize; 2],
        kernel: usize,
        stride: usize,
    ) -> Self {
        let [channels_in, channels_out] = channels;
        let shape = [channels_out, channels_in, kernel, kernel];
        assert!(channels_out.is_multiple_of(64), "{channels_out} channels");
        assert_eq!(bias.len(), channels_out, "bias");
        assert_eq!(
            weights.len(),
            shape.iter().product::<usize>(),
            "weights of {shape:?}"
        );
        Self {
            panels: pack(weights, shape, VECTORS * lanes()),
            bias,
            channels,
            kernel,
            stride,
        }
    }

    /// The convolution of `input`, whose border must be as wide as half the kernel or wider.
    ///
    /// # Panics
    ///
    /// When the border is narrower or the channels are others.
    #[must_use]
    pub fn forward(&self, input: &Activation, after: After<'_>) -> Activation {
        let Self { kernel, stride, .. } = *self;
        let [channels_in, channels_out] = self.channels;
        let reach = kernel / 2;
        assert!(input.pad >= reach, "a border of {}", input.pad);
        assert_eq!(input.channels, channels_in, "channels");
        if let Some((add, _)) = after.add {
            assert_eq!(add.channels, channels_out, "channels of what is added");
        }
        let size = |length: usize| (length + 2 * reach - kernel) / stride + 1;
        let shape = [
            input.pictures,
            channels_out,
            size(input.height),
            size(input.width),
        ];
        let mut output = Activation::zeros(shape, after.pad);

        let (height, width, pad) = (output.height, output.width, after.pad);
        let (row_length, padded) = (output.row_length(), height + 2 * pad);
        let rows = (output.pictures * padded)
            .div_ceil(parts())
            .max(MIN_PIXELS.div_ceil(width.max(1)));
        for_each_part(&mut output.values, rows * row_length, |index, part| {
            let first = index * rows;
            let mut pixels = Vec::with_capacity(rows * width);
            for row in 0..part.len() / row_length {
                let (picture, y) = ((first + row) / padded, (first + row) % padded);
                if y < pad || y >= pad + height {
                    continue;
                }
                let y = y - pad;
                let corner = input.pad - reach;
                let start = picture * input.picture_length()
                    + (y * stride + corner) * input.row_length()
                    + corner * channels_in;
                let residual = after
                    .add
                    .map(|(add, step)| (add.offset(picture, y * step, 0), step * channels_out));
                pixels.extend((0..width).map(|x| Pixel {
                    input: start + x * stride * channels_in,
                    residual: residual.map_or(0, |(start, step)| start + x * step),
                    output: row * row_length + (pad + x) * channels_out,
                }));
            }
            dispatch(Convolve {
                input: &input.values,
                rows: kernel,
                row_step: input.row_length(),
                row_length: kernel * channels_in,
                panels: &self.panels,
                bias: &self.bias,
                residual: after.add.map(|(add, _)| add.values.as_slice()),
                relu: after.relu,
                pixels: &pixels,
                output: part,
            });
        });
        output
    }
}

/// Weights `[out, in, rows, columns]` to `[out / panel][rows, columns, in][panel]`.
fn pack(weights: &[f32], [out, channels, rows, columns]: [usize; 4], panel: usize) -> Vec<f32> {
    let taps = rows * columns;
    let read = taps * channels;
    let mut packed = vec![0.0; out * read];
    for (channel_out, weights) in weights.chunks_exact(read).enumerate() {
        let (start, lane) = (channel_out / panel * panel * read, channel_out % panel);
        for (channel, taps_of_channel) in weights.chunks_exact(taps).enumerate() {
            for (tap, weight) in taps_of_channel.iter().enumerate() {
                packed[start + (tap * channels + channel) * panel + lane] = *weight;
            }
        }
    }
    packed
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values without a pattern, in -1..1.
    fn noise(length: usize, seed: u32) -> Vec<f32> {
        (0..length as u32)
            .map(|i| (i ^ seed).wrapping_mul(2_654_435_761) as i32 as f32 / i32::MAX as f32)
            .collect()
    }

    fn noisy(shape: [usize; 4], pad: usize, seed: u32) -> Activation {
        let mut activation = Activation::zeros(shape, pad);
        let mut noise = noise(activation.values.len(), seed).into_iter();
        let [pictures, channels, height, width] = shape;
        for picture in 0..pictures {
            for y in 0..height {
                let start = activation.offset(picture, y, 0);
                activation.values[start..start + width * channels]
                    .fill_with(|| noise.next().unwrap());
            }
        }
        activation
    }

    /// A value, or zero outside of the picture.
    fn at(of: &Activation, picture: usize, y: isize, x: isize, channel: usize) -> f64 {
        let (inside_y, inside_x) = (0..of.height as isize, 0..of.width as isize);
        if inside_y.contains(&y) && inside_x.contains(&x) {
            f64::from(of.values[of.offset(picture, y as usize, x as usize) + channel])
        } else {
            0.0
        }
    }

    /// The largest difference between the kernels and plain loops.
    fn error(
        kernel: usize,
        stride: usize,
        residual: Option<usize>,
        relu: bool,
        pads: [usize; 2],
    ) -> f64 {
        let (channels, [height, width]) = ([5, 64], [13, 9]);
        let weights = noise(64 * 5 * kernel * kernel, 1);
        let bias = noise(64, 2);
        let conv = Conv::new(&weights, bias.clone(), channels, kernel, stride);
        let input = noisy([3, 5, height, width], pads[0], 3);
        let [rows, columns] = [height.div_ceil(stride), width.div_ceil(stride)];
        let add = residual.map(|step| (noisy([3, 64, rows * step, columns * step], 0, 4), step));
        let after = After {
            add: add.as_ref().map(|(add, step)| (add, *step)),
            relu,
            pad: pads[1],
        };
        let output = conv.forward(&input, after);
        assert_eq!(
            [
                output.pictures,
                output.channels,
                output.height,
                output.width
            ],
            [3, 64, rows, columns]
        );

        let mut inside = 0.0f64;
        let mut worst = 0.0f64;
        let reach = (kernel / 2) as isize;
        for picture in 0..3 {
            for (y, x) in (0..rows).flat_map(|y| (0..columns).map(move |x| (y, x))) {
                for channel in 0..64 {
                    let mut sum = f64::from(bias[channel]);
                    for (from, ky, kx) in (0..5 * kernel * kernel)
                        .map(|i| (i / kernel / kernel, i / kernel % kernel, i % kernel))
                    {
                        let (iy, ix) = (
                            (y * stride + ky) as isize - reach,
                            (x * stride + kx) as isize - reach,
                        );
                        sum += at(&input, picture, iy, ix, from)
                            * f64::from(
                                weights[((channel * 5 + from) * kernel + ky) * kernel + kx],
                            );
                    }
                    if let Some((add, step)) = &add {
                        sum += at(
                            add,
                            picture,
                            (y * step) as isize,
                            (x * step) as isize,
                            channel,
                        );
                    }
                    if relu {
                        sum = sum.max(0.0);
                    }
                    let got = at(&output, picture, y as isize, x as isize, channel);
                    inside += got.abs();
                    worst = worst.max((got - sum).abs());
                }
            }
        }
        let all: f64 = output.values.iter().map(|v| f64::from(v.abs())).sum();
        assert!((all - inside).abs() < 1e-9 * all, "the border is not zero");
        worst
    }

    #[test]
    fn kernels_compute_convolutions() {
        for kernel in [1, 3, 7] {
            for stride in [1, 2] {
                let error = error(kernel, stride, None, false, [kernel / 2, 0]);
                assert!(
                    error < 1e-4,
                    "{kernel}x{kernel} of stride {stride}: {error}"
                );
            }
        }
    }

    #[test]
    fn borders_may_be_wider_than_needed_and_wanted_behind() {
        assert!(error(1, 1, None, false, [2, 1]) < 1e-4);
        assert!(error(3, 2, None, false, [3, 2]) < 1e-4);
    }

    #[test]
    fn residuals_are_added_before_the_relu() {
        for step in [1, 2] {
            let error = error(1, 1, Some(step), true, [0, 1]);
            assert!(error < 1e-4, "every {step}: {error}");
        }
    }

    #[test]
    fn a_batch_is_its_pictures_bit_for_bit() {
        let conv = Conv::new(&noise(64 * 64 * 9, 1), noise(64, 2), [64, 64], 3, 1);
        let batch = noisy([3, 64, 20, 20], 1, 3);
        let together = conv.forward(&batch, After::default());
        let length = batch.picture_length();
        for picture in 0..3 {
            let mut alone = Activation::zeros([1, 64, 20, 20], 1);
            alone
                .values
                .copy_from_slice(&batch.values[picture * length..][..length]);
            let alone = conv.forward(&alone, After::default());
            let length = alone.values.len();
            assert_eq!(alone.values, together.values[picture * length..][..length]);
        }
    }
}

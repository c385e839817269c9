//! A convolution with bias, and what can follow it.

use crate::Activation;
use crate::arch::dispatch;
use crate::kernel::{Convolve, Format, Layout, Panels, Pixel, with_scratch};
use crate::parallel::{for_each_part, rows_of_part};
use crate::winograd::Filters;

/// A part of the work is at least so many pixels, if it can: with fewer, the weights are read more
/// often than they are used.
const MIN_PIXELS: usize = 192;

/// Channels up to which Winograd's filtering is fastest: it takes more weights, 16 for 9, so that with many
/// channels reading them takes longer than what it saves.
const MOST_FOR_WINOGRAD: usize = 256;

/// A convolution with square kernel, padded by half of it.
#[derive(Debug)]
pub struct Conv {
    method: Method,
    bias: Vec<f32>,
    channels: [usize; 2],
    kernel: usize,
    stride: usize,
}

/// How it is computed, with the weights that this takes.
#[derive(Debug)]
enum Method {
    /// Value by value.
    Direct(Panels),
    Winograd(Filters),
}

impl Method {
    /// The fastest.
    fn choose(
        weights: &[f32],
        channels: [usize; 2],
        kernel: usize,
        stride: usize,
        products: Products,
    ) -> Self {
        let [channels_in, channels_out] = channels;
        let layout = Layout::best(products);
        let whole = kernel == 3 && stride == 1 && channels_in.is_multiple_of(64);
        if whole && channels_in <= MOST_FOR_WINOGRAD && layout.format() != Format::Fours {
            return Self::Winograd(Filters::new(weights, channels));
        }
        let shape = [channels_out, channels_in, kernel, kernel];
        Self::Direct(Panels::new(weights, shape, layout))
    }
}

/// How exactly a convolution multiplies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Products {
    /// Results are within some ten-thousandths.
    Fine,
    /// Where the processor has twice as many of them at once, of 8-bit numbers: results are within some hundredths. Elsewhere
    /// as above.
    Coarse,
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

impl After<'_> {
    /// Negative values become zero, nothing else happens.
    pub const RELU: Self = Self {
        add: None,
        relu: true,
        pad: 0,
    };
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
        products: Products,
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
            method: Method::choose(weights, channels, kernel, stride, products),
            bias,
            channels,
            kernel,
            stride,
        }
    }

    /// From `weights` `[out, in, kernel, kernel]` of a convolution of stride 1 for `channels` `[in, out]`:
    /// what takes the gradient with respect to its output to that with respect to its input. For a
    /// greater stride, [`Activation::spread`] the gradient first.
    ///
    /// # Panics
    ///
    /// When the input channels are no multiple of 64, or the weights are of another shape.
    #[must_use]
    pub fn transposed(weights: &[f32], channels: [usize; 2], kernel: usize) -> Self {
        let [channels_in, channels_out] = channels;
        let taps = kernel * kernel;
        let mut turned = vec![0.0; weights.len()];
        for (index, weight) in weights.iter().enumerate() {
            let (pair, tap) = (index / taps, index % taps);
            let (out, of) = (pair / channels_in, pair % channels_in);
            turned[(of * channels_out + out) * taps + taps - 1 - tap] = *weight;
        }
        let bias = vec![0.0; channels_in];
        Self::new(
            &turned,
            bias,
            [channels_out, channels_in],
            kernel,
            1,
            Products::Fine,
        )
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
        match &self.method {
            Method::Direct(panels) => self.direct(panels, input, after, &mut output),
            Method::Winograd(filters) => filters.forward(input, &self.bias, after, &mut output),
        }
        output
    }

    fn direct(
        &self,
        panels: &Panels,
        input: &Activation,
        after: After<'_>,
        output: &mut Activation,
    ) {
        let Self { kernel, stride, .. } = *self;
        let [channels_in, channels_out] = self.channels;
        let (height, width, pad) = (output.height, output.width, after.pad);
        let (row_length, padded) = (output.row_length(), height + 2 * pad);
        let rows = rows_of_part(output.pictures * padded, width, MIN_PIXELS);
        for_each_part(&mut output.values, rows * row_length, |index, part| {
            let first = index * rows;
            let mut pixels = Vec::with_capacity(rows * width);
            for row in 0..part.len() / row_length {
                let (picture, y) = ((first + row) / padded, (first + row) % padded);
                if y < pad || y >= pad + height {
                    continue;
                }
                let y = y - pad;
                let corner = input.pad - kernel / 2;
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
            with_scratch(|scratch| {
                dispatch(Convolve {
                    input: &input.values,
                    channels: channels_in,
                    rows: kernel,
                    row_step: input.row_length(),
                    row_length: kernel * channels_in,
                    panels,
                    bias: &self.bias,
                    residual: after.add.map(|(add, _)| add.values.as_slice()),
                    relu: after.relu,
                    pixels: &pixels,
                    scratch: &mut scratch.words,
                    output: part,
                });
            });
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::noise::noise;

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

    /// A convolution to 64 channels.
    #[derive(Debug, Clone, Copy)]
    struct Case {
        channels: usize,
        kernel: usize,
        stride: usize,
        /// What is added, read at every so-many-th pixel.
        residual: Option<usize>,
        relu: bool,
        /// Borders before and behind.
        pads: [usize; 2],
        products: Products,
    }

    impl Case {
        fn new(channels: usize, kernel: usize, stride: usize) -> Self {
            Self {
                channels,
                kernel,
                stride,
                residual: None,
                relu: false,
                pads: [kernel / 2, 0],
                products: Products::Fine,
            }
        }
    }

    /// The largest difference between the kernels and plain loops in double precision, over the root of the
    /// mean square of their results.
    fn error(case: Case) -> f64 {
        let Case {
            channels,
            kernel,
            stride,
            residual,
            relu,
            pads,
            products,
        } = case;
        let [height, width] = [13, 9];
        let taps = channels * kernel * kernel;
        let weights = noise(64 * taps, 1);
        let bias = noise(64, 2);
        let conv = Conv::new(
            &weights,
            bias.clone(),
            [channels, 64],
            kernel,
            stride,
            products,
        );
        let input = noisy([3, channels, height, width], pads[0], 3);
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
        let (mut worst, mut squares) = (0.0f64, 0.0);
        let reach = (kernel / 2) as isize;
        for picture in 0..3 {
            for (y, x) in (0..rows).flat_map(|y| (0..columns).map(move |x| (y, x))) {
                for channel in 0..64 {
                    let mut sum = f64::from(bias[channel]);
                    for (from, ky, kx) in
                        (0..taps).map(|i| (i / kernel / kernel, i / kernel % kernel, i % kernel))
                    {
                        let (iy, ix) = (
                            (y * stride + ky) as isize - reach,
                            (x * stride + kx) as isize - reach,
                        );
                        sum += at(&input, picture, iy, ix, from)
                            * f64::from(
                                weights[((channel * channels + from) * kernel + ky) * kernel + kx],
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
                    squares += sum * sum;
                }
            }
        }
        let all: f64 = output.values.iter().map(|v| f64::from(v.abs())).sum();
        assert!((all - inside).abs() < 1e-9 * all, "the border is not zero");
        worst / (squares / (3 * rows * columns * 64) as f64).sqrt()
    }

    /// Asserts that results are about those of plain loops, however exactly they are multiplied.
    fn assert_near(case: Case) {
        for (products, near) in [(Products::Fine, 3e-3), (Products::Coarse, 0.1)] {
            let case = Case { products, ..case };
            let error = error(case);
            assert!(error < near, "{case:?}: {error}");
        }
    }

    /// So many channels that each way to compute 3x3 convolutions is taken.
    const EVERY_WAY: [usize; 3] = [5, 64, 320];

    #[test]
    fn kernels_compute_convolutions() {
        for kernel in [1, 3, 7] {
            for stride in [1, 2] {
                assert_near(Case::new(5, kernel, stride));
            }
        }
        for channels in EVERY_WAY {
            assert_near(Case::new(channels, 3, 1));
        }
    }

    #[test]
    fn borders_may_be_wider_than_needed_and_wanted_behind() {
        let one = Case::new(5, 1, 1);
        assert_near(Case {
            pads: [2, 1],
            ..one
        });
        for channels in EVERY_WAY {
            for stride in [1, 2] {
                let pads = [3, 2];
                assert_near(Case {
                    pads,
                    ..Case::new(channels, 3, stride)
                });
            }
        }
    }

    #[test]
    fn residuals_are_added_before_the_relu() {
        let cases = [(5, 1), (5, 3), (64, 3)];
        for (step, (channels, kernel)) in [1, 2].into_iter().flat_map(|n| cases.map(|c| (n, c))) {
            assert_near(Case {
                residual: Some(step),
                relu: true,
                pads: [kernel / 2, 1],
                ..Case::new(channels, kernel, 1)
            });
        }
    }

    /// The sum of what comes out times anything is the sum of what went in times its gradient.
    #[test]
    fn transposed_convolutions_give_gradients() {
        for (kernel, stride) in [(1, 1), (3, 1), (3, 2), (1, 2)] {
            let weights = noise(64 * 64 * kernel * kernel, 1);
            let forward = Conv::new(
                &weights,
                vec![0.0; 64],
                [64, 64],
                kernel,
                stride,
                Products::Fine,
            );
            let backward = Conv::transposed(&weights, [64, 64], kernel);
            let input = noisy([2, 64, 10, 6], kernel / 2, 3);
            let output = forward.forward(&input, After::default());
            let gradient = noisy(output.shape(), kernel / 2, 4);
            let spread = gradient.spread(stride, [10, 6], kernel / 2);
            let back = backward.forward(&spread, After::default());
            let dot = |a: &Activation, b: &Activation| -> f64 {
                let (a, b) = (a.to_planes(), b.to_planes());
                a.iter()
                    .zip(b)
                    .map(|(a, b)| f64::from(*a) * f64::from(b))
                    .sum()
            };
            let (ours, theirs) = (dot(&back, &input), dot(&gradient, &output));
            let most = (dot(&gradient, &gradient) * dot(&output, &output)).sqrt();
            assert!(
                (ours - theirs).abs() < 1e-4 * most,
                "{kernel}, {stride}: {ours} {theirs}, at most {most}"
            );
        }
    }

    fn conv3x3(channels: usize, products: Products) -> Conv {
        let weights = noise(64 * channels * 9, 1);
        Conv::new(&weights, noise(64, 2), [channels, 64], 3, 1, products)
    }

    /// A value that is no number, or is infinite, is seen by those outputs that read it, and by
    /// none that is far from it.
    #[test]
    fn what_is_not_finite_is_neither_hidden_nor_spread_far() {
        let ways = [
            (5, 1, Products::Fine),
            (64, 2, Products::Fine),
            (320, 1, Products::Fine),
            (64, 1, Products::Coarse),
        ];
        for (channels, tile, products) in ways {
            for bad in [f32::NAN, -f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                let conv = conv3x3(channels, products);
                let mut input = noisy([1, channels, 13, 9], 1, 3);
                let start = input.offset(0, 5, 4);
                input.values[start] = bad;
                let output = conv.forward(&input, After::default());
                let near = |distance: usize, at: usize| at.abs_diff(distance) <= tile.max(1);
                for (y, x) in (0..13).flat_map(|y| (0..9).map(move |x| (y, x))) {
                    let values = &output.values[output.offset(0, y, x)..][..64];
                    if y.abs_diff(5) <= 1 && x.abs_diff(4) <= 1 {
                        assert!(
                            values.iter().all(|v| !v.is_finite()),
                            "{channels}: {y}, {x}"
                        );
                    } else if !(near(5, y) && near(4, x)) {
                        assert!(values.iter().all(|v| v.is_finite()), "{channels}: {y}, {x}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_batch_is_its_pictures_bit_for_bit() {
        let ways = EVERY_WAY.map(|channels| (channels, Products::Fine));
        for (channels, products) in ways.into_iter().chain([(64, Products::Coarse)]) {
            let conv = conv3x3(channels, products);
            let batch = noisy([3, channels, 20, 20], 1, 3);
            let together = conv.forward(&batch, After::default());
            let length = batch.picture_length();
            for picture in 0..3 {
                let mut alone = Activation::zeros([1, channels, 20, 20], 1);
                alone
                    .values
                    .copy_from_slice(&batch.values[picture * length..][..length]);
                let alone = conv.forward(&alone, After::default());
                let length = alone.values.len();
                assert_eq!(alone.values, together.values[picture * length..][..length]);
            }
        }
    }
}

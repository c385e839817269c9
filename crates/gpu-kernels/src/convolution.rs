//! A convolution as one kernel: the product of a matrix that is never written out.
//!
//! A cube of 64 units computes 32 pixels by 32 output channels. In steps of 16 of the values that a pixel reads, it brings
//! those values and the weights to shared memory, from which each unit multiplies 4 pixels by 4 channels in registers.

use burn::tensor::{DType, Tensor};
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;
use half::{bf16, f16};

use crate::image::{buffer, empty, places, tensor};
use crate::units::{self, By, Tile};
use crate::{is_nan, place};

/// Pixels and output channels of a cube.
const TILE: usize = 32;
/// Of the values that a pixel reads, those in shared memory at a time.
const DEPTH: usize = 16;
/// Pixels and output channels of a unit.
const OWN: usize = 4;
const UNITS: usize = (TILE / OWN) * (TILE / OWN);
/// Values of each operand that a unit brings to shared memory, one behind the other.
const RUN: usize = TILE * DEPTH / UNITS;
/// Units that bring the values of one pixel, or the weights of one channel.
const SHARE: usize = DEPTH / RUN;

/// What is added to a convolution before its ReLU: every `stride`-th row and column of `[n, height, width, outputs]`.
#[derive(Debug, Clone, Copy)]
pub struct Shortcut<'a> {
    /// The image.
    pub image: &'a Tensor<4>,
    /// The stride, in rows and columns.
    pub stride: usize,
}

/// Weights `[outputs, inputs, kernel, kernel]`, whose values lie in memory in the order in which [`convolve`] reads them.
#[must_use]
pub fn packed(weight: Tensor<4>) -> Tensor<4> {
    let [outputs, inputs, kernel, _] = weight.dims();
    weight
        .permute([0, 2, 3, 1])
        .reshape([outputs, kernel * kernel * inputs])
        .reshape([outputs, kernel, kernel, inputs])
        .permute([0, 3, 1, 2])
}

/// `[n, height, width, inputs]` to `[n, rows, columns, outputs]`, by weights `[outputs, inputs, kernel, kernel]`, which are read fastest
/// when they are [`packed`], padded by `padding` zeros on all sides; plus bias and shortcut, and with `relu` what is not negative of it.
///
/// None where the tensors are not on a graphics device, neither in single precision nor in half that the card has matrix units for, or are
/// tracked for gradients, and where shapes do not fit.
#[must_use]
pub fn convolve(
    image: &Tensor<4>,
    weight: &Tensor<4>,
    bias: Option<&Tensor<1>>,
    [stride, padding]: [usize; 2],
    shortcut: Option<Shortcut<'_>>,
    relu: bool,
) -> Option<Tensor<4>> {
    let task = Task::new(image, weight, bias, [stride, padding], shortcut, relu)?;
    let output = task.output();
    let tile = Tile::suiting(task.pixels, task.outputs);
    match output.dtype {
        DType::F32 => launch(task),
        dtype if !units::serve(&output, dtype) => return None,
        DType::BF16 => units::launch::<bf16>(task, tile, By::Units),
        _ => units::launch::<f16>(task, tile, By::Units),
    }
    Some(tensor(output))
}

/// What a kernel is given.
pub(crate) struct Task {
    /// Image, weights, bias, shortcut and output, each in one piece.
    pub(crate) buffers: [CubeTensor; 5],
    pub(crate) sizes: SizesLaunch,
    pub(crate) layer: Layer,
    /// Of all images that come out.
    pub(crate) pixels: usize,
    /// Their channels.
    pub(crate) outputs: usize,
}

impl Task {
    /// As [`convolve`]. None where tensors are elsewhere, of different types or tracked for gradients, and where shapes do not fit.
    pub(crate) fn new(
        image: &Tensor<4>,
        weight: &Tensor<4>,
        bias: Option<&Tensor<1>>,
        [stride, padding]: [usize; 2],
        shortcut: Option<Shortcut<'_>>,
        relu: bool,
    ) -> Option<Self> {
        let [n, height, width, inputs] = image.dims();
        let [outputs, read, kernel, _] = weight.dims();
        if read != inputs || kernel > height + 2 * padding || kernel > width + 2 * padding {
            return None;
        }
        let window = [kernel, stride, padding];
        let (rows, columns) = (places(height, window), places(width, window));
        let pixels = n * rows * columns;
        let [tall, wide] = match shortcut {
            Some(Shortcut { image, stride }) => {
                let [count, tall, wide, channels] = image.dims();
                let fits =
                    places(tall, [1, stride, 0]) == rows && places(wide, [1, stride, 0]) == columns;
                if (count, channels) != (n, outputs) || !fits {
                    return None;
                }
                [tall, wide]
            }
            None => [rows, columns],
        };
        let dtype = image.dtype();
        let image = buffer(image, dtype)?;
        let weight = buffer(&weight.clone().permute([0, 2, 3, 1]), dtype)?;
        // Where there is nothing to add, the kernel reads nothing of what stands in its place.
        let or_weight = |tensor: Option<CubeTensor>| tensor.unwrap_or_else(|| weight.clone());
        let with_bias = bias.is_some();
        let bias = or_weight(match bias {
            Some(bias) => Some(buffer(bias, dtype)?),
            None => None,
        });
        let added = or_weight(match shortcut {
            Some(shortcut) => Some(buffer(shortcut.image, dtype)?),
            None => None,
        });
        let output = empty(&image, [n, rows, columns, outputs]);
        let layer = Layer {
            inputs,
            kernel,
            stride,
            padding,
            bias: with_bias,
            shortcut: shortcut.map_or(0, |shortcut| shortcut.stride),
            relu,
        };
        let sizes = SizesLaunch::new(
            height as u32,
            width as u32,
            rows as u32,
            columns as u32,
            pixels as u32,
            outputs as u32,
            tall as u32,
            wide as u32,
        );
        let buffers = [image, weight, bias, added, output];
        Some(Self {
            buffers,
            sizes,
            layer,
            pixels,
            outputs,
        })
    }

    /// Where the kernel writes.
    pub(crate) fn output(&self) -> CubeTensor {
        let [.., output] = &self.buffers;
        output.clone()
    }
}

fn launch(task: Task) {
    let client = task.buffers[0].client.clone();
    let [image, weight, bias, shortcut, output] = task.buffers.map(CubeTensor::into_buffer_arg);
    kernel::launch::<f32>(
        &client,
        CubeCount::Static(
            task.pixels.div_ceil(TILE) as u32,
            task.outputs.div_ceil(TILE) as u32,
            1,
        ),
        CubeDim::new_1d(UNITS as u32),
        image,
        weight,
        bias,
        shortcut,
        output,
        task.sizes,
        task.layer,
    );
}

/// What a kernel is compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Layer {
    pub(crate) inputs: usize,
    pub(crate) kernel: usize,
    pub(crate) stride: usize,
    pub(crate) padding: usize,
    pub(crate) bias: bool,
    /// The shortcut's stride; 0 without one.
    pub(crate) shortcut: usize,
    pub(crate) relu: bool,
}

/// What it is told with each image.
#[derive(CubeLaunch, CubeType, Clone, Copy)]
pub(crate) struct Sizes {
    pub(crate) height: u32,
    pub(crate) width: u32,
    pub(crate) rows: u32,
    pub(crate) columns: u32,
    /// Of all images.
    pub(crate) pixels: u32,
    pub(crate) outputs: u32,
    /// The shortcut's.
    pub(crate) tall: u32,
    pub(crate) wide: u32,
}

#[cube(launch)]
fn kernel<F: Float>(
    image: &[F],
    weight: &[F],
    bias: &[F],
    shortcut: &[F],
    output: &mut [F],
    sizes: Sizes,
    #[comptime] layer: Layer,
) {
    let inputs = comptime!(layer.inputs as u32);
    let side = comptime!(layer.kernel as u32);
    let stride = comptime!(layer.stride as u32);
    let padding = comptime!(layer.padding as u32);
    let read = comptime!((layer.kernel * layer.kernel * layer.inputs) as u32);

    let mut values = Shared::<[F]>::new_slice(comptime!(TILE * DEPTH));
    let mut weights = Shared::<[F]>::new_slice(comptime!(TILE * DEPTH));
    let mut sums = Array::<F>::new(comptime!(OWN * OWN));
    #[unroll]
    for at in 0..comptime!(OWN * OWN) {
        sums[at] = F::new(0.0);
    }

    let first_pixel = CUBE_POS_X * comptime!(TILE as u32);
    let first_output = CUBE_POS_Y * comptime!(TILE as u32);
    // The pixel whose values, and the channel whose weights, this unit brings.
    let lane = UNIT_POS / comptime!(SHARE as u32);
    let part = (UNIT_POS % comptime!(SHARE as u32)) * comptime!(RUN as u32);
    let pixel = first_pixel + lane;
    let channel = first_output + lane;
    let at = place(pixel, sizes.rows, sizes.columns);
    // Counted from the padding's corner.
    let top = at.row * stride;
    let left = at.column * stride;
    // The 4 x 4 sums of this unit.
    let across = UNIT_POS % comptime!((TILE / OWN) as u32) * comptime!(OWN as u32);
    let down = UNIT_POS / comptime!((TILE / OWN) as u32) * comptime!(OWN as u32);

    let mut start = 0u32;
    while start < read {
        #[unroll]
        for step in 0..comptime!(RUN as u32) {
            let index = start + part + step;
            let mut value = F::new(0.0);
            let mut factor = F::new(0.0);
            if index < read {
                if channel < sizes.outputs {
                    factor = weight[(channel * read + index) as usize];
                }
                let input = index % inputs;
                let window = index / inputs;
                let row = top + window / side;
                let column = left + window % side;
                let inside = pixel < sizes.pixels
                    && row >= padding
                    && row < sizes.height + padding
                    && column >= padding
                    && column < sizes.width + padding;
                if inside {
                    let row = at.picture * sizes.height + row - padding;
                    let column = column - padding;
                    value = image[((row * sizes.width + column) * inputs + input) as usize];
                }
            }
            let to = (part + step) * comptime!(TILE as u32) + lane;
            values[to as usize] = value;
            weights[to as usize] = factor;
        }
        sync_cube();

        #[unroll]
        for depth in 0..comptime!(DEPTH as u32) {
            let line = depth * comptime!(TILE as u32);
            let mut row = Array::<F>::new(OWN);
            let mut column = Array::<F>::new(OWN);
            #[unroll]
            for at in 0..OWN {
                row[at] = values[(line + down) as usize + at];
                column[at] = weights[(line + across) as usize + at];
            }
            #[unroll]
            for y in 0..OWN {
                #[unroll]
                for x in 0..OWN {
                    sums[y * OWN + x] += row[y] * column[x];
                }
            }
        }
        sync_cube();
        start += comptime!(DEPTH as u32);
    }

    #[unroll]
    for y in 0..comptime!(OWN as u32) {
        let pixel = first_pixel + down + y;
        if pixel < sizes.pixels {
            #[unroll]
            for x in 0..comptime!(OWN as u32) {
                let channel = first_output + across + x;
                if channel < sizes.outputs {
                    let mut sum = sums[comptime!((y * OWN as u32 + x) as usize)];
                    if comptime!(layer.bias) {
                        sum += bias[channel as usize];
                    }
                    if comptime!(layer.shortcut > 0) {
                        let step = comptime!(layer.shortcut as u32);
                        let at = place(pixel, sizes.rows, sizes.columns);
                        let row = at.picture * sizes.tall + at.row * step;
                        let from = row * sizes.wide + at.column * step;
                        sum += shortcut[(from * sizes.outputs + channel) as usize];
                    }
                    if comptime!(layer.relu) {
                        sum = relu::<F>(sum);
                    }
                    output[(pixel * sizes.outputs + channel) as usize] = sum;
                }
            }
        }
    }
}

/// Zero for what is negative; what is no number stays so.
#[cube]
pub(crate) fn relu<F: Float>(value: F) -> F {
    let zero = F::new(0.0);
    select(value < zero && !is_nan::<F>(value), zero, value)
}

#[cfg(test)]
pub(crate) mod tests {
    use burn::tensor::activation;
    use burn::tensor::module::conv2d;
    use burn::tensor::ops::ConvOptions;

    use super::*;
    use crate::tests::{GRAPHICS, PROCESSOR, image, on, same, values};

    /// Image `[n, height, width, inputs]`, outputs, and kernel, stride and padding.
    pub(crate) const SHAPES: [([usize; 4], usize, [usize; 3]); 9] = [
        ([1, 14, 14, 64], 64, [3, 1, 1]),
        ([2, 9, 7, 16], 40, [3, 2, 1]),
        ([1, 23, 17, 3], 33, [7, 2, 3]),
        ([2, 6, 5, 32], 128, [1, 1, 0]),
        ([1, 7, 8, 20], 5, [1, 2, 0]),
        ([1, 8, 6, 12], 7, [2, 2, 0]),
        ([1, 1, 1, 1], 1, [3, 1, 1]),
        ([3, 5, 4, 17], 31, [3, 1, 0]),
        ([1, 12, 12, 8], 24, [4, 4, 0]),
    ];

    pub(crate) fn plain(
        image: Tensor<4>,
        weight: Tensor<4>,
        bias: Option<Tensor<1>>,
        stride: usize,
        padding: usize,
    ) -> Tensor<4> {
        let options = ConvOptions::new([stride; 2], [padding; 2], [1; 2], 1);
        conv2d(image.permute([0, 3, 1, 2]), weight, bias, options).permute([0, 2, 3, 1])
    }

    #[test]
    fn convolutions_are_those_of_burn() {
        for ([n, height, width, inputs], outputs, [kernel, stride, padding]) in SHAPES {
            let input = image([n, height, width, inputs], &PROCESSOR);
            let weight = image([outputs, inputs, kernel, kernel], &PROCESSOR);
            let bias = image([outputs], &PROCESSOR);
            let wanted = plain(
                input.clone(),
                weight.clone(),
                Some(bias.clone()),
                stride,
                padding,
            );
            let (input, bias) = (on(input, &GRAPHICS), on(bias, &GRAPHICS));
            let weight = on(weight, &GRAPHICS);
            for weight in [packed(weight.clone()), weight] {
                let ours = convolve(&input, &weight, Some(&bias), [stride, padding], None, false);
                same(ours.unwrap(), wanted.clone());
            }
        }
    }

    #[test]
    fn shortcut_and_relu_come_last() {
        for ([n, height, width, inputs], outputs, [kernel, stride, padding]) in SHAPES {
            let input = image([n, height, width, inputs], &PROCESSOR);
            let weight = image([outputs, inputs, kernel, kernel], &PROCESSOR);
            let sum = plain(input.clone(), weight.clone(), None, stride, padding);
            let [_, rows, columns, _] = sum.dims();
            let (input, weight) = (on(input, &GRAPHICS), packed(on(weight, &GRAPHICS)));
            for step in [1, 2] {
                // One row more than the last of every second.
                let tall = [n, (rows - 1) * step + 1, columns * step, outputs];
                let shortcut = image(tall, &PROCESSOR);
                let every = step as isize;
                let added = shortcut
                    .clone()
                    .slice(burn::tensor::s![.., ..;every, ..;every, ..]);
                let wanted = activation::relu(sum.clone() + added);
                let shortcut = Shortcut {
                    image: &on(shortcut, &GRAPHICS),
                    stride: step,
                };
                let ours = convolve(
                    &input,
                    &weight,
                    None,
                    [stride, padding],
                    Some(shortcut),
                    true,
                );
                same(ours.unwrap(), wanted);
            }
        }
    }

    #[test]
    fn infinity_stays_where_it_is_read() {
        let mut numbers = vec![1.0; 5 * 5];
        numbers[0] = f32::INFINITY;
        let input = values(numbers, [1, 5, 5, 1], &GRAPHICS);
        let weight = values(vec![1.0; 9], [1, 1, 3, 3], &GRAPHICS);
        let out = convolve(&input, &weight, None, [1, 1], None, true).unwrap();
        let out = out.into_data().try_to_vec::<f32>().unwrap();
        for (at, value) in out.iter().enumerate() {
            assert_eq!(
                value.is_infinite(),
                at / 5 < 2 && at % 5 < 2,
                "{at}: {value}"
            );
        }
    }

    #[test]
    fn what_is_no_number_stays_where_it_is_read() {
        let mut numbers = vec![1.0; 5 * 5];
        numbers[12] = f32::NAN;
        let input = values(numbers, [1, 5, 5, 1], &GRAPHICS);
        let weight = values(vec![1.0; 9], [1, 1, 3, 3], &GRAPHICS);
        let out = convolve(&input, &weight, None, [1, 1], None, true).unwrap();
        let out = out.into_data().try_to_vec::<f32>().unwrap();
        for (at, value) in out.iter().enumerate() {
            let reads = (1..4).contains(&(at / 5)) && (1..4).contains(&(at % 5));
            assert_eq!(value.is_nan(), reads, "{at}: {value}");
        }
    }

    #[test]
    fn what_does_not_fit_is_declined() {
        let input = image([1, 4, 4, 8], &GRAPHICS);
        let of = |shape| image(shape, &GRAPHICS);
        let run = |input: &Tensor<4>, weight: Tensor<4>, shortcut: Option<Shortcut<'_>>| {
            convolve(input, &weight, None, [1, 0], shortcut, false)
        };
        assert!(run(&input, of([4, 7, 1, 1]), None).is_none());
        assert!(run(&input, of([4, 8, 5, 5]), None).is_none());
        assert!(run(&image([1, 4, 4, 8], &PROCESSOR), of([4, 8, 1, 1]), None).is_none());
        for (shape, stride) in [([1, 4, 4, 5], 1), ([2, 4, 4, 4], 1), ([1, 4, 4, 4], 2)] {
            let shortcut = Shortcut {
                image: &of(shape),
                stride,
            };
            assert!(run(&input, of([4, 8, 1, 1]), Some(shortcut)).is_none());
        }
    }
}

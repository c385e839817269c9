//! Convolutions as matrix products.
//!
//! burn's convolutions on graphics devices compute one value a thread, unless they may try out which kernel is fastest; its
//! matrix products use all that the device has. So there what a convolution reads is gathered with channels last, and
//! multiplied by the weights; with the feature `gpu`, where no gradient is wanted, by one kernel of `gpu-kernels`.

use burn::module::Param;
use burn::nn::PaddingConfig2d;
use burn::nn::conv::Conv2d;
#[cfg(feature = "gpu")]
use burn::tensor::DType;
use burn::tensor::activation::relu;
use burn::tensor::module::max_pool2d;
use burn::tensor::ops::MaxPoolOptions;
use burn::tensor::{Device, Int, Tensor, TensorData, s};

/// The order of an image's dimensions.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Layout {
    /// `[n, channels, height, width]`.
    #[cfg_attr(
        not(feature = "cpu"),
        expect(dead_code, reason = "only the processor has it")
    )]
    First,
    /// `[n, height, width, channels]`.
    Last,
}

/// What is made of a convolution's outputs.
#[derive(Debug, Clone, Copy)]
pub(crate) enum After<'a> {
    Nothing,
    Relu,
    /// ReLU of the sum with every `stride`-th row and column of an image in the same order.
    AddRelu {
        shortcut: &'a Tensor<4>,
        stride: usize,
    },
}

impl Layout {
    /// The order that suits the device: channels last, and with them products, everywhere but on the processor.
    pub(crate) fn of(device: &Device) -> Self {
        #[cfg(feature = "cpu")]
        if *device == Device::flex() {
            return Self::First;
        }
        let _ = device;
        Self::Last
    }

    /// An image with channels first in this order.
    pub(crate) fn enter(self, image: Tensor<4>) -> Tensor<4> {
        match self {
            Self::First => image,
            Self::Last => image.permute([0, 2, 3, 1]),
        }
    }

    /// An image in this order with channels first.
    pub(crate) fn leave(self, image: Tensor<4>) -> Tensor<4> {
        match self {
            Self::First => image,
            Self::Last => image.permute([0, 3, 1, 2]),
        }
    }

    /// The dimension of the channels.
    pub(crate) fn channels(self) -> usize {
        match self {
            Self::First => 1,
            Self::Last => 3,
        }
    }

    /// Every `stride`-th row and column.
    pub(crate) fn every(self, image: Tensor<4>, stride: usize) -> Tensor<4> {
        let step = stride as isize;
        match (self, stride) {
            (_, 1) => image,
            (Self::First, _) => image.slice(s![.., .., ..;step, ..;step]),
            (Self::Last, _) => image.slice(s![.., ..;step, ..;step, ..]),
        }
    }

    /// The greatest of each 3x3 window of stride 2, padded by 1.
    pub(crate) fn max_pool(self, image: Tensor<4>) -> Tensor<4> {
        #[cfg(feature = "gpu")]
        if matches!(self, Self::Last)
            && let Some(pooled) = gpu_kernels::max_pool(&image, [3, 2, 1])
        {
            return pooled;
        }
        let options = MaxPoolOptions::new([3, 3])
            .with_stride([2, 2])
            .with_padding([1, 1]);
        self.enter(max_pool2d(self.leave(image), options))
    }

    /// The convolution of an image, both in this order, padded alike on all sides, and what is made of it.
    pub(crate) fn convolve(self, conv: &Conv2d, image: Tensor<4>, after: After<'_>) -> Tensor<4> {
        match self {
            Self::First => self.finish(conv.forward(image), after),
            Self::Last => {
                let padding = match conv.padding {
                    PaddingConfig2d::Explicit(top, ..) => top,
                    _ => 0,
                };
                let bias = conv.bias.as_ref().map(Param::val);
                convolve(
                    image,
                    conv.weight.val(),
                    bias,
                    [conv.stride[0], padding],
                    after,
                )
            }
        }
    }

    fn finish(self, output: Tensor<4>, after: After<'_>) -> Tensor<4> {
        match after {
            After::Nothing => output,
            After::Relu => relu(output),
            After::AddRelu { shortcut, stride } => {
                relu(output + self.every(shortcut.clone(), stride))
            }
        }
    }
}

/// A convolution of images with channels first, by whatever suits the device.
pub(crate) fn convolve_first(conv: &Conv2d, image: Tensor<4>, after: After<'_>) -> Tensor<4> {
    let layout = Layout::of(&image.device());
    layout.leave(layout.convolve(conv, layout.enter(image), after))
}

/// Weights `[o, c, kernel, kernel]` as they are best kept in memory.
pub(crate) fn kept(weight: Tensor<4>) -> Tensor<4> {
    #[cfg(feature = "gpu")]
    if matches!(Layout::of(&weight.device()), Layout::Last) {
        return gpu_kernels::packed(weight);
    }
    weight
}

/// `[n, height, width, c]` and weights `[o, c, kernel, kernel]` to `[n, rows, columns, o]`.
pub(crate) fn convolve(
    image: Tensor<4>,
    weight: Tensor<4>,
    bias: Option<Tensor<1>>,
    [stride, padding]: [usize; 2],
    after: After<'_>,
) -> Tensor<4> {
    #[cfg(feature = "gpu")]
    if let Some(output) = fused(&image, &weight, bias.as_ref(), [stride, padding], after) {
        return output;
    }
    let [_, _, kernel, _] = weight.dims();
    let output = multiply(image, matrix(weight), bias, [kernel, stride, padding]);
    Layout::Last.finish(output, after)
}

/// [`convolve`] by one kernel, where there is one for it.
#[cfg(feature = "gpu")]
fn fused(
    image: &Tensor<4>,
    weight: &Tensor<4>,
    bias: Option<&Tensor<1>>,
    geometry: [usize; 2],
    after: After<'_>,
) -> Option<Tensor<4>> {
    // In single precision burn's products use them, and there is no kernel of ours that does.
    if image.dtype() == DType::F32 && gpu_kernels::has_matrix_units(image) {
        return None;
    }
    let shortcut = match after {
        After::AddRelu { shortcut, stride } => Some(gpu_kernels::Shortcut {
            image: shortcut,
            stride,
        }),
        After::Nothing | After::Relu => None,
    };
    let relu = !matches!(after, After::Nothing);
    gpu_kernels::convolve(image, weight, bias, geometry, shortcut, relu)
}

/// Weights `[o, c, kernel, kernel]` as the matrix `[kernel * kernel * c, o]` of [`multiply`].
fn matrix(weight: Tensor<4>) -> Tensor<2> {
    let [outputs, inputs, kernel, _] = weight.dims();
    weight
        .permute([2, 3, 1, 0])
        .reshape([kernel * kernel * inputs, outputs])
}

/// As [`convolve`], with the weights as [`matrix`].
fn multiply(
    image: Tensor<4>,
    matrix: Tensor<2>,
    bias: Option<Tensor<1>>,
    [kernel, stride, padding]: [usize; 3],
) -> Tensor<4> {
    let gathered = if kernel == 1 {
        Layout::Last.every(image, stride)
    } else {
        gather(image, [kernel, stride, padding])
    };
    let [n, rows, columns, read] = gathered.dims();
    let [_, outputs] = matrix.dims();
    let product = gathered.reshape([n * rows * columns, read]).matmul(matrix);
    let sum = match bias {
        Some(bias) => product + bias.unsqueeze(),
        None => product,
    };
    sum.reshape([n, rows, columns, outputs])
}

/// `[n, rows, columns, c]` to `[n, height, width, c]` with zeros between, so that every `stride`-th row and column
/// of what comes out is what came in.
pub(crate) fn spaced(image: Tensor<4>, stride: usize, [height, width]: [usize; 2]) -> Tensor<4> {
    if stride == 1 {
        return image;
    }
    let [n, rows, columns, channels] = image.dims();
    let (device, dtype) = (image.device(), image.dtype());
    let zeros = |shape: [usize; 4]| Tensor::<4>::zeros(shape, (&device, dtype));
    let between = zeros([n, rows, columns, (stride - 1) * channels]);
    let across = Tensor::cat(vec![image, between], 3);
    let wide = [n, rows, columns * stride * channels];
    let between = zeros([n, rows, stride - 1, columns * stride * channels]);
    let down = Tensor::cat(vec![across.reshape(wide).unsqueeze_dim::<4>(2), between], 2);
    down.reshape([n, rows * stride, columns * stride, channels])
        .slice(s![.., 0..height, 0..width, ..])
}

/// `[n, rows, columns, k]` and weights `[k, c, block, block]` to `[n, c, rows * block, columns * block]`: a transposed
/// convolution whose stride is its kernel.
pub(crate) fn spread(image: Tensor<4>, weight: Tensor<4>) -> Tensor<4> {
    let [n, rows, columns, k] = image.dims();
    let [_, channels, block, _] = weight.dims();
    image
        .reshape([n * rows * columns, k])
        .matmul(weight.reshape([k, channels * block * block]))
        .reshape([n, rows, columns, channels, block, block])
        .permute([0, 3, 1, 4, 2, 5])
        .reshape([n, channels, rows * block, columns * block])
}

fn padded(image: Tensor<4>, padding: usize) -> Tensor<4> {
    if padding == 0 {
        return image;
    }
    let [n, height, width, channels] = image.dims();
    let shape = [n, height + 2 * padding, width + 2 * padding, channels];
    let (bottom, right) = (padding + height, padding + width);
    Tensor::zeros(shape, (&image.device(), image.dtype()))
        .slice_assign(s![.., padding..bottom, padding..right, ..], image)
}

/// What each output reads, row by row of the kernel: `[n, rows, columns, kernel * kernel * c]`.
fn gather(image: Tensor<4>, [kernel, stride, padding]: [usize; 3]) -> Tensor<4> {
    if image.device().is_autodiff() {
        // The way back from a selection adds up one place after the other; that from slices does not.
        slices(&padded(image, padding), kernel, stride)
    } else {
        selection(image, [kernel, stride, padding])
    }
}

/// [`gather`] by one copy: each place of the kernel at each output names the pixel that it reads, or that of zeros behind
/// the last.
fn selection(image: Tensor<4>, [kernel, stride, padding]: [usize; 3]) -> Tensor<4> {
    let [n, height, width, channels] = image.dims();
    let places = |length: usize| (length + 2 * padding - kernel) / stride + 1;
    let (rows, columns) = (places(height), places(width));
    let outside = height * width;
    let read =
        |row: usize, column: usize| match (row.checked_sub(padding), column.checked_sub(padding)) {
            (Some(row), Some(column)) if row < height && column < width => row * width + column,
            _ => outside,
        };
    let mut pixels = Vec::with_capacity(rows * columns * kernel * kernel);
    for row in 0..rows {
        for column in 0..columns {
            for y in 0..kernel {
                for x in 0..kernel {
                    pixels.push(read(row * stride + y, column * stride + x) as i32);
                }
            }
        }
    }
    let (device, dtype) = (image.device(), image.dtype());
    let count = pixels.len();
    let pixels = Tensor::<1, Int>::from_data(TensorData::new(pixels, [count]), &device);
    let image = image.reshape([n, height * width, channels]);
    let zeros = Tensor::zeros([n, 1, channels], (&device, dtype));
    Tensor::cat(vec![image, zeros], 1)
        .select(1, pixels)
        .reshape([n, rows, columns, kernel * kernel * channels])
}

/// [`gather`] by slices of a padded image.
fn slices(image: &Tensor<4>, kernel: usize, stride: usize) -> Tensor<4> {
    let [_, height, width, _] = image.dims();
    let step = stride as isize;
    let places = |length: usize| (length - kernel) / stride * stride + 1;
    let (rows, columns) = (places(height), places(width));
    let across = (0..kernel)
        .map(|x| image.clone().slice(s![.., .., x..x + columns;step, ..]))
        .collect();
    let across = Tensor::cat(across, 3);
    let down = (0..kernel)
        .map(|y| across.clone().slice(s![.., y..y + rows;step, .., ..]))
        .collect();
    Tensor::cat(down, 3)
}

#[cfg(all(test, feature = "cpu"))]
mod tests {
    use burn::tensor::module::{conv_transpose2d, conv2d};
    use burn::tensor::ops::{ConvOptions, ConvTransposeOptions};
    use burn::tensor::{Distribution, Tolerance};

    use super::*;

    fn random<const D: usize>(shape: [usize; D], device: &Device) -> Tensor<D> {
        Tensor::random(shape, Distribution::Normal(0.0, 1.0), device)
    }

    fn same(ours: &TensorData, theirs: &TensorData) {
        ours.assert_approx_eq::<f32>(theirs, Tolerance::permissive());
    }

    #[test]
    fn products_are_convolutions() {
        let device = Device::flex().autodiff();
        for (size, kernel, stride, padding) in [
            ([5, 7], 1, 1, 0),
            ([5, 8], 1, 2, 0),
            ([6, 5], 3, 1, 1),
            ([7, 6], 3, 2, 1),
            ([13, 10], 7, 2, 3),
            ([6, 8], 2, 2, 0),
            ([1, 1], 3, 1, 1),
        ] {
            let image = random([2, 3, size[0], size[1]], &device).require_grad();
            let weight = random([4, 3, kernel, kernel], &device).require_grad();
            let bias = random([4], &device);
            let options = ConvOptions::new([stride; 2], [padding; 2], [1; 2], 1);
            let wanted = conv2d(image.clone(), weight.clone(), Some(bias.clone()), options);
            let layout = Layout::Last;
            let ours = layout.leave(convolve(
                layout.enter(image.clone()),
                weight.clone(),
                Some(bias.clone()),
                [stride, padding],
                After::Nothing,
            ));
            same(&ours.to_data(), &wanted.to_data());
            // Without gradients, inputs are gathered in another way.
            let plain = layout.enter(image.clone().inner());
            let options = [kernel, stride, padding];
            let matrix = matrix(weight.clone().inner());
            let untracked = multiply(plain, matrix, Some(bias.clone().inner()), options);
            same(&layout.leave(untracked).to_data(), &wanted.to_data());

            let direction = random(wanted.dims(), &device);
            let gradients = |output: Tensor<4>| {
                let gradients = (output * direction.clone()).sum().backward();
                let of = |tensor: &Tensor<4>| tensor.grad(&gradients).unwrap().into_data();
                [of(&image), of(&weight)]
            };
            for (ours, theirs) in gradients(ours).into_iter().zip(gradients(wanted)) {
                same(&ours, &theirs);
            }
        }
    }

    #[test]
    fn spreading_is_a_transposed_convolution() {
        let device = Device::flex();
        let image = random([2, 5, 3, 4], &device);
        let weight = random([5, 6, 2, 2], &device);
        let options = ConvTransposeOptions::new([2; 2], [0; 2], [0; 2], [1; 2], 1);
        let wanted = conv_transpose2d(image.clone(), weight.clone(), None, options);
        let ours = spread(Layout::Last.enter(image), weight);
        same(&ours.into_data(), &wanted.into_data());
    }

    #[test]
    fn what_is_no_number_stays_where_it_is_read() {
        let device = Device::flex();
        let mut values = vec![1.0; 5 * 5];
        values[12] = f32::NAN;
        values[0] = f32::INFINITY;
        let image = Tensor::<4>::from_data(TensorData::new(values, [1, 5, 5, 1]), &device);
        let weight = Tensor::<4>::ones([1, 1, 3, 3], &device);
        let out = convolve(image, weight, None, [1, 1], After::Nothing);
        let out = out.into_data().try_to_vec::<f32>().unwrap();
        for (at, value) in out.iter().enumerate() {
            let (row, column) = (at / 5, at % 5);
            let reads_nan = (1..4).contains(&row) && (1..4).contains(&column);
            let reads_infinity = row < 2 && column < 2;
            assert_eq!(value.is_nan(), reads_nan, "{row}, {column}: {value}");
            assert_eq!(
                value.is_infinite(),
                reads_infinity && !reads_nan,
                "{row}, {column}: {value}"
            );
        }
    }
}

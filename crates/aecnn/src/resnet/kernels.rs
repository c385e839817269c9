//! The layers by kernels for the processor.

mod strip;

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use burn::tensor::{Device, Tensor, TensorData};
use cpu_kernels::{Activation, After, Conv, Products, map, max_pool, mean, within};

use super::plan::{self, BlockConfig, Convolutions, Layer};
use super::precision::Precision;
use crate::Variant;
use crate::weights::{Weights, WeightsError};

/// Half of the stem's kernel.
const STEM_PAD: usize = 3;

/// A picture goes through narrower blocks by itself: what lies between two layers then stays in the
/// cache. Blocks of this width or more have little in between, but weights that take longer to
/// read than one picture needs: a batch goes through them together.
const WIDE: usize = 512;

/// Whether networks on `device` run by these kernels: not on other devices, and not where
/// gradients are wanted, which only burn's operations give.
pub(crate) fn serve(device: &Device) -> bool {
    *device == Device::flex() && !device.is_autodiff()
}

/// The values of an image, whatever their precision.
pub(crate) fn planes(data: &TensorData) -> Cow<'_, [f32]> {
    match data.as_slice::<f32>() {
        Ok(planes) => Cow::Borrowed(planes),
        Err(_) => data.iter().collect(),
    }
}

/// The stem's convolution.
const STEM: Layer = Layer {
    name: "conv",
    channels: [3, 64],
    kernel: 7,
    stride: 2,
};

/// The layers in this form.
pub(super) type Layers = super::layers::Layers<Arc<Conv>, Arc<Vec<Bottleneck>>>;

impl Layers {
    pub(super) fn load(
        stem: bool,
        stages: Range<usize>,
        variant: Variant,
        weights: &Weights<'_>,
        precision: Precision,
    ) -> Result<Self, WeightsError> {
        // What the stem and the first block round, all that follows makes larger: it would be most of the error.
        let products = |index, block| match precision {
            Precision::Coarse if (index, block) != (0, 0) => Products::Coarse,
            _ => Products::Fine,
        };
        Ok(Self {
            stem: stem
                .then(|| conv("stem", STEM, weights, Products::Fine).map(Arc::new))
                .transpose()?,
            stages: stages
                .map(|index| {
                    plan::blocks(variant, index)
                        .enumerate()
                        .map(|(block, (name, config))| {
                            Bottleneck::load(&name, config, weights, products(index, block))
                        })
                        .collect::<Result<_, _>>()
                        .map(Arc::new)
                })
                .collect::<Result<_, _>>()?,
        })
    }

    pub(super) fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        let device = input.device();
        let last = within(|| self.run(input));
        let data = TensorData::new(last.to_planes(), last.shape());
        Tensor::from_data(data, &device)
    }

    pub(super) fn pooled(&self, input: Tensor<4>) -> Tensor<2> {
        let device = input.device();
        let last = within(|| self.run(input));
        let [pictures, channels, ..] = last.shape();
        let data = TensorData::new(mean(&last), [pictures, channels]);
        Tensor::from_data(data, &device)
    }

    /// What comes out of the last layer.
    fn run(&self, input: Tensor<4>) -> Activation {
        let [pictures, channels, height, width] = input.dims();
        let data = input.into_data();
        let planes = planes(&data);
        let blocks: Vec<&Bottleneck> = self.stages.iter().flat_map(|stage| stage.iter()).collect();
        let (narrow, wide) = blocks.split_at(blocks.partition_point(|block| block.width < WIDE));
        let length = channels * height * width;
        let batch = Activation::joined(map(pictures, |picture| {
            let planes = &planes[picture * length..][..length];
            let shape = [1, channels, height, width];
            let first = match &self.stem {
                Some(conv) => stem(conv, &Activation::from_planes(planes, shape, STEM_PAD)),
                None => Activation::from_planes(planes, shape, 0),
            };
            narrow.iter().fold(first, |x, block| block.forward(&x))
        }));
        match pictures {
            0 => batch,
            _ => wide.iter().fold(batch, |x, block| block.forward(&x)),
        }
    }
}

/// The convolution of the tensors `block.name.weight` and `block.name.bias`.
fn conv(
    block: &str,
    layer: Layer,
    weights: &Weights<'_>,
    products: Products,
) -> Result<Conv, WeightsError> {
    let Layer {
        name,
        channels,
        kernel,
        stride,
    } = layer;
    let [channels_in, channels_out] = channels;
    let shape = [channels_out, channels_in, kernel, kernel];
    let values = weights.values(&format!("{block}.{name}.weight"), &shape)?;
    let bias = weights.values(&format!("{block}.{name}.bias"), &[channels_out])?;
    Ok(Conv::new(&values, bias, channels, kernel, stride, products))
}

fn stem(conv: &Conv, input: &Activation) -> Activation {
    let after = After {
        pad: 1,
        ..After::RELU
    };
    max_pool(&conv.forward(input, after))
}

/// A bottleneck block.
#[derive(Debug)]
pub(super) struct Bottleneck {
    convolutions: Convolutions<Conv>,
    stride: usize,
    width: usize,
}

impl Bottleneck {
    pub(super) fn load(
        name: &str,
        config: BlockConfig,
        weights: &Weights<'_>,
        products: Products,
    ) -> Result<Self, WeightsError> {
        Ok(Self {
            convolutions: config.convolutions(|layer| conv(name, layer, weights, products))?,
            stride: config.stride,
            width: config.width,
        })
    }

    fn forward(&self, input: &Activation) -> Activation {
        self.activations(input).output
    }

    /// What comes out of each of its ReLUs.
    pub(super) fn activations(&self, input: &Activation) -> Activations {
        let relu = After::RELU;
        let block = &self.convolutions;
        let first = block.conv1.forward(input, After { pad: 1, ..relu });
        let second = block.conv2.forward(&first, relu);
        let projected = block
            .shortcut
            .as_ref()
            .map(|conv| conv.forward(input, After::default()));
        let add = match &projected {
            Some(shortcut) => (shortcut, 1),
            None => (input, self.stride),
        };
        let after = After {
            add: Some(add),
            ..relu
        };
        let output = block.conv3.forward(&second, after);
        Activations {
            first,
            second,
            output,
        }
    }
}

/// What comes out of a block's ReLUs.
#[derive(Debug)]
pub(super) struct Activations {
    /// With a border of one pixel.
    pub(super) first: Activation,
    pub(super) second: Activation,
    pub(super) output: Activation,
}

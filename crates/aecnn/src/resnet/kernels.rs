//! The layers by kernels for the processor.

use std::ops::Range;
use std::sync::Arc;

use burn::tensor::{Device, Tensor, TensorData};
use cpu_kernels::{Activation, After, Conv, map, max_pool, mean};

use super::plan::{self, BlockConfig};
use crate::Variant;
use crate::weights::{Weights, WeightsError};

/// Half of the stem's kernel.
const STEM_PAD: usize = 3;

/// Whether networks on `device` run by these kernels: not on other devices, and not where
/// gradients are wanted, which only burn's operations give.
pub(super) fn serve(device: &Device) -> bool {
    *device == Device::flex() && !device.is_autodiff()
}

/// The layers in this form.
pub(super) type Layers = super::layers::Layers<Arc<Conv>, Arc<Vec<Bottleneck>>>;

impl Layers {
    pub(super) fn load(
        stem: bool,
        stages: Range<usize>,
        variant: Variant,
        weights: &Weights<'_>,
    ) -> Result<Self, WeightsError> {
        Ok(Self {
            stem: stem
                .then(|| conv("stem.conv", [3, 64], 7, 2, weights).map(Arc::new))
                .transpose()?,
            stages: stages
                .map(|index| {
                    plan::blocks(variant, index)
                        .map(|(name, config)| Bottleneck::load(&name, config, weights))
                        .collect::<Result<_, _>>()
                        .map(Arc::new)
                })
                .collect::<Result<_, _>>()?,
        })
    }

    pub(super) fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        let (pictures, device) = (input.dims()[0], input.device());
        let last = self.run(input, |last| (last.shape(), last.to_planes()));
        let [_, channels, height, width] = last.first().map_or([0; 4], |(shape, _)| *shape);
        let planes: Vec<Vec<f32>> = last.into_iter().map(|(_, planes)| planes).collect();
        let data = TensorData::new(joined(planes), [pictures, channels, height, width]);
        Tensor::from_data(data, &device)
    }

    pub(super) fn pooled(&self, input: Tensor<4>) -> Tensor<2> {
        let (pictures, device) = (input.dims()[0], input.device());
        let means = self.run(input, mean);
        let channels = means.first().map_or(0, Vec::len);
        let data = TensorData::new(joined(means), [pictures, channels]);
        Tensor::from_data(data, &device)
    }

    /// `then` of what comes out of the last layer, for each picture. A picture goes through all
    /// layers by itself: what lies between them then stays in the cache.
    fn run<T: Send>(&self, input: Tensor<4>, then: impl Fn(&Activation) -> T + Sync) -> Vec<T> {
        let [pictures, channels, height, width] = input.dims();
        let data = input.into_data();
        let converted: Vec<f32>;
        let planes = match data.as_slice::<f32>() {
            Ok(planes) => planes,
            Err(_) => {
                // Another precision.
                converted = data.iter().collect();
                &converted
            }
        };
        let length = channels * height * width;
        map(pictures, |picture| {
            let planes = &planes[picture * length..][..length];
            let shape = [1, channels, height, width];
            let first = match &self.stem {
                Some(conv) => stem(conv, &Activation::from_planes(planes, shape, STEM_PAD)),
                None => Activation::from_planes(planes, shape, 0),
            };
            let last = self
                .stages
                .iter()
                .flat_map(|stage| stage.iter())
                .fold(first, |x, block| block.forward(&x));
            then(&last)
        })
    }
}

/// One behind the other; a single one is not copied.
fn joined(mut pictures: Vec<Vec<f32>>) -> Vec<f32> {
    match pictures.len() {
        1 => pictures.remove(0),
        _ => pictures.concat(),
    }
}

/// The convolution of the tensors `name.weight` and `name.bias`.
fn conv(
    name: &str,
    [channels_in, channels_out]: [usize; 2],
    kernel: usize,
    stride: usize,
    weights: &Weights<'_>,
) -> Result<Conv, WeightsError> {
    let shape = [channels_out, channels_in, kernel, kernel];
    let values = weights.values(&format!("{name}.weight"), &shape)?;
    let bias = weights.values(&format!("{name}.bias"), &[channels_out])?;
    Ok(Conv::new(
        &values,
        bias,
        [channels_in, channels_out],
        kernel,
        stride,
    ))
}

fn stem(conv: &Conv, input: &Activation) -> Activation {
    let after = After {
        relu: true,
        pad: 1,
        add: None,
    };
    max_pool(&conv.forward(input, after))
}

/// A bottleneck block.
#[derive(Debug)]
pub(super) struct Bottleneck {
    conv1: Conv,
    conv2: Conv,
    conv3: Conv,
    shortcut: Option<Conv>,
    stride: usize,
}

impl Bottleneck {
    fn load(name: &str, config: BlockConfig, weights: &Weights<'_>) -> Result<Self, WeightsError> {
        let BlockConfig {
            channels_in,
            width,
            stride,
            projected,
        } = config;
        let load = |layer: &str, channels, kernel, stride| {
            conv(
                &format!("{name}.{layer}"),
                channels,
                kernel,
                stride,
                weights,
            )
        };
        Ok(Self {
            conv1: load("conv1", [channels_in, width], 1, 1)?,
            conv2: load("conv2", [width, width], 3, stride)?,
            conv3: load("conv3", [width, 4 * width], 1, 1)?,
            shortcut: projected
                .then(|| load("shortcut", [channels_in, 4 * width], 1, stride))
                .transpose()?,
            stride,
        })
    }

    fn forward(&self, input: &Activation) -> Activation {
        let relu = After {
            relu: true,
            ..After::default()
        };
        let x = self.conv1.forward(input, After { pad: 1, ..relu });
        let x = self.conv2.forward(&x, relu);
        let projected = self
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
        self.conv3.forward(&x, after)
    }
}

//! The residual block of ResNet-50: 1x1, 3x3 and 1x1 convolutions beside a shortcut.

use burn::nn::conv::Conv2d;
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor, s};

use crate::resnet::plan::BlockConfig;
use crate::weights::{Weights, WeightsError};

/// A bottleneck block.
#[derive(Debug, Clone)]
pub(super) struct Bottleneck {
    conv1: Conv2d,
    conv2: Conv2d,
    conv3: Conv2d,
    shortcut: Option<Conv2d>,
    stride: usize,
}

impl Bottleneck {
    pub(super) fn load(
        name: &str,
        config: BlockConfig,
        weights: &Weights<'_>,
        device: &Device,
    ) -> Result<Self, WeightsError> {
        let BlockConfig {
            channels_in,
            width,
            stride,
            projected,
        } = config;
        let conv = |layer: &str, channels, kernel, stride| {
            weights.conv(&format!("{name}.{layer}"), channels, kernel, stride, device)
        };
        Ok(Self {
            conv1: conv("conv1", [channels_in, width], 1, 1)?,
            conv2: conv("conv2", [width, width], 3, stride)?,
            conv3: conv("conv3", [width, 4 * width], 1, 1)?,
            shortcut: projected
                .then(|| conv("shortcut", [channels_in, 4 * width], 1, stride))
                .transpose()?,
            stride,
        })
    }

    /// `[n, channels_in, h, w]` to `[n, 4 * width, h / stride, w / stride]`.
    pub(super) fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        let x = relu(self.conv1.forward(input.clone()));
        let x = relu(self.conv2.forward(x));
        let x = self.conv3.forward(x);
        let shortcut = match (&self.shortcut, self.stride) {
            (Some(conv), _) => conv.forward(input),
            (None, 1) => input,
            (None, stride) => every(input, stride),
        };
        relu(x + shortcut)
    }
}

/// Every `stride`-th row and column.
fn every(input: Tensor<4>, stride: usize) -> Tensor<4> {
    let step = stride as isize;
    input.slice(s![.., .., ..;step, ..;step])
}

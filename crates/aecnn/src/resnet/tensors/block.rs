//! The residual block of ResNet-50: 1x1, 3x3 and 1x1 convolutions beside a shortcut.

use burn::module::{Module, Param, ParamId};
use burn::nn::conv::Conv2d;
use burn::tensor::{Device, Int, Tensor};

use crate::products::{After, Layout};
use crate::resnet::plan::BlockConfig;
use crate::weights::{Weights, WeightsError};

/// A bottleneck block.
#[derive(Module, Debug)]
pub(super) struct Bottleneck {
    conv1: Conv2d,
    conv2: Conv2d,
    conv3: Conv2d,
    shortcut: Option<Conv2d>,
    /// The channels that a block without a projection passes on, where not all are.
    kept: Option<Param<Tensor<1, Int>>>,
    stride: usize,
}

impl Bottleneck {
    pub(super) fn load(
        name: &str,
        config: BlockConfig,
        weights: &Weights<'_>,
        device: &Device,
    ) -> Result<Self, WeightsError> {
        let convolutions = config.convolutions(|layer| {
            let name = format!("{name}.{}", layer.name);
            weights.conv(&name, layer.channels, layer.kernel, layer.stride, device)
        })?;
        Ok(Self {
            conv1: convolutions.conv1,
            conv2: convolutions.conv2,
            conv3: convolutions.conv3,
            shortcut: convolutions.shortcut,
            kept: None,
            stride: config.stride,
        })
    }

    /// The same block with these output channels only, in this order: the filters of the others are gone.
    pub(super) fn keeping(mut self, channels: &Tensor<1, Int>) -> Self {
        self.conv3 = filters(self.conv3, channels);
        match self.shortcut.take() {
            Some(conv) => self.shortcut = Some(filters(conv, channels)),
            None => self.kept = Some(Param::initialized(ParamId::new(), channels.clone())),
        }
        self
    }

    /// `[n, channels_in, h, w]` to `[n, 4 * width, h / stride, w / stride]`, both in the order of `layout`.
    pub(super) fn forward(&self, input: Tensor<4>, layout: Layout) -> Tensor<4> {
        let x = layout.convolve(&self.conv1, input.clone(), After::Relu);
        let x = layout.convolve(&self.conv2, x, After::Relu);
        let (shortcut, stride) = match &self.shortcut {
            Some(conv) => (layout.convolve(conv, input, After::Nothing), 1),
            None => (input, self.stride),
        };
        let shortcut = match &self.kept {
            Some(channels) => shortcut.select(layout.channels(), channels.val()),
            None => shortcut,
        };
        let shortcut = &shortcut;
        layout.convolve(&self.conv3, x, After::AddRelu { shortcut, stride })
    }
}

/// The convolution with these filters only.
pub(super) fn filters(conv: Conv2d, channels: &Tensor<1, Int>) -> Conv2d {
    Conv2d {
        weight: conv.weight.map(|weight| weight.select(0, channels.clone())),
        bias: conv
            .bias
            .map(|bias| bias.map(|bias| bias.select(0, channels.clone()))),
        ..conv
    }
}

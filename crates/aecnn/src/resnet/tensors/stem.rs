//! The stem: 7x7 convolution of stride 2, ReLU, 3x3 max-pool of stride 2.

use burn::module::Module;
use burn::nn::conv::Conv2d;
use burn::tensor::{Device, Int, Tensor};

use super::block::filters;
use crate::products::{After, Layout};
use crate::weights::{Weights, WeightsError};

/// The layers in front of the residual stages.
#[derive(Module, Debug)]
pub(crate) struct Stem {
    conv: Conv2d,
}

impl Stem {
    pub(crate) fn load(weights: &Weights<'_>, device: &Device) -> Result<Self, WeightsError> {
        Ok(Self {
            conv: weights.conv("stem.conv", [3, 64], 7, 2, device)?,
        })
    }

    /// The stem with these output channels only.
    pub(crate) fn keeping(self, channels: &Tensor<1, Int>) -> Self {
        Self {
            conv: filters(self.conv, channels),
        }
    }

    /// `[n, 3, 224, 224]` to `[n, 64, 56, 56]`.
    pub(crate) fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        let layout = Layout::of(&input.device());
        let x = layout.convolve(&self.conv, layout.enter(input), After::Relu);
        layout.leave(layout.max_pool(x))
    }
}

//! Channel attention ("squeeze and excitation").

use burn::module::Module;
use burn::nn::conv::Conv2d;
use burn::tensor::activation::{relu, sigmoid};
use burn::tensor::{Device, Tensor};

use super::{conv, vector};

/// A new attention lets almost all of each channel pass: sigmoid(2) = 0.88.
const OPEN: f32 = 2.0;

/// Weights each channel of a feature by how much the whole feature makes it matter: global average pooling, 1x1
/// convolution to `hidden` channels, ReLU, 1x1 convolution back, sigmoid.
#[derive(Module, Debug)]
pub struct ChannelAttention {
    squeeze: Conv2d,
    excite: Conv2d,
}

impl ChannelAttention {
    /// A new attention over so many channels, with so many in between.
    #[must_use]
    pub fn new(channels: usize, hidden: usize, device: &Device) -> Self {
        let mut excite = conv([hidden, channels], 1, 1, device);
        excite.bias = Some(vector(channels, OPEN, device));
        Self {
            squeeze: conv([channels, hidden], 1, 1, device),
            excite,
        }
    }

    /// The weights `[n, channels, 1, 1]`, 0 to 1, of a feature `[n, channels, height, width]`.
    #[must_use]
    pub fn weights(&self, feature: Tensor<4>) -> Tensor<4> {
        let pooled = feature.mean_dim(3).mean_dim(2);
        sigmoid(self.excite.forward(relu(self.squeeze.forward(pooled))))
    }

    /// The feature with each channel scaled by its weight.
    #[must_use]
    pub fn forward(&self, feature: Tensor<4>) -> Tensor<4> {
        self.weights(feature.clone()) * feature
    }
}

//! Channel attention: squeeze and excitation of the feature, one gate for each latent channel.

use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::activation::{relu, sigmoid};
use burn::tensor::{Device, Tensor};

use crate::codec::{CodecError, Network};
use crate::resnet::pool;

/// The mean of each feature channel through two fully connected layers.
#[derive(Module, Debug)]
pub struct Attention {
    reduce: Linear,
    expand: Linear,
}

impl Attention {
    pub(super) fn load(
        network: &Network,
        channels: usize,
        latent_channels: usize,
        device: &Device,
    ) -> Result<Self, CodecError> {
        let hidden = network.config.attention;
        Ok(Self {
            reduce: network.linear("attention.reduce", [channels, hidden], true, device)?,
            expand: network.linear("attention.expand", [hidden, latent_channels], true, device)?,
        })
    }

    /// The feature `[n, channels, height, width]` to gates `[n, k, 1, 1]` of 0 to 2: below 1 a
    /// channel matters less in this picture than in most.
    #[must_use]
    pub fn forward(&self, feature: Tensor<4>) -> Tensor<4> {
        let hidden = relu(self.reduce.forward(pool(feature)));
        let gates = sigmoid(self.expand.forward(hidden)) * 2.0;
        let [n, k] = gates.dims();
        gates.reshape([n, k, 1, 1])
    }
}

//! The device's half of a codec's network.

use burn::tensor::module::conv2d;
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Device, Tensor, TensorData};

use super::CodecFile;

/// Feature to latent: a convolution whose kernel and stride are the codec's block.
#[derive(Debug, Clone)]
pub struct Encoder {
    weight: Tensor<4>,
    bias: Tensor<1>,
    block: usize,
}

impl Encoder {
    /// Puts the analysis of `codec` on `device`.
    #[must_use]
    pub fn new(codec: &CodecFile, device: &Device) -> Self {
        let transform = codec.transform();
        let [channels, _, _] = codec.latent_shape();
        let block = transform.block;
        let shape = [channels, transform.feature.channels, block, block];
        let weight = TensorData::new(transform.analysis.clone(), shape);
        let bias = TensorData::new(transform.analysis_bias.clone(), [channels]);
        Self {
            weight: Tensor::from_data(weight, device),
            bias: Tensor::from_data(bias, device),
            block,
        }
    }

    /// The feature `[n, channels, height, width]` to the latent `[n, k, height / block,
    /// width / block]`, channels in the order of their importance, not yet quantised.
    #[must_use]
    pub fn forward(&self, feature: Tensor<4>) -> Tensor<4> {
        let stride = [self.block; 2];
        let options = ConvOptions::new(stride, [0, 0], [1, 1], 1);
        conv2d(
            feature,
            self.weight.clone(),
            Some(self.bias.clone()),
            options,
        )
    }
}

//! The server's half of a codec's network.

use burn::tensor::activation::relu;
use burn::tensor::module::conv_transpose2d;
use burn::tensor::ops::ConvTransposeOptions;
use burn::tensor::{Device, Tensor, TensorData};

use super::CodecFile;

/// Latent to feature: the synthesis as a transposed convolution, the mean, ReLU.
#[derive(Debug, Clone)]
pub struct Decoder {
    weight: Tensor<4>,
    mean: Tensor<4>,
    block: usize,
    latent_shape: [usize; 3],
}

impl Decoder {
    /// Puts the synthesis of `codec` on `device`.
    #[must_use]
    pub fn new(codec: &CodecFile, device: &Device) -> Self {
        let transform = codec.transform();
        let latent_shape @ [k, rows, columns] = codec.latent_shape();
        let block = transform.block;
        let channels = transform.feature.channels;
        let weight = TensorData::new(transform.synthesis.clone(), [k, channels, block, block]);
        let mean = TensorData::new(transform.mean.clone(), [1, channels, block, block]);
        Self {
            weight: Tensor::from_data(weight, device),
            // The mean belongs to a position within the block.
            mean: Tensor::<4>::from_data(mean, device).repeat(&[1, 1, rows, columns]),
            block,
            latent_shape,
        }
    }

    /// Values in one picture's latent.
    #[must_use]
    pub fn latent_values(&self) -> usize {
        self.latent_shape.iter().product()
    }

    /// Dequantised latents of `n` pictures, one behind the other and each of
    /// [`Self::latent_values`] (see [`super::dequantise`]), to features
    /// `[n, channels, height, width]`.
    #[must_use]
    pub fn restore(&self, latents: Vec<f32>, device: &Device) -> Tensor<4> {
        let [k, rows, columns] = self.latent_shape;
        let n = latents.len() / self.latent_values();
        self.forward(Tensor::from_data(
            TensorData::new(latents, [n, k, rows, columns]),
            device,
        ))
    }

    /// A dequantised latent `[n, k, h, w]` to the feature `[n, channels, height, width]`.
    #[must_use]
    pub fn forward(&self, latent: Tensor<4>) -> Tensor<4> {
        let stride = [self.block; 2];
        let options = ConvTransposeOptions::new(stride, [0, 0], [0, 0], [1, 1], 1);
        let residual = conv_transpose2d(latent, self.weight.clone(), None, options);
        // What is sent is the output of a ReLU, so nothing below zero can be right.
        relu(residual + self.mean.clone())
    }
}

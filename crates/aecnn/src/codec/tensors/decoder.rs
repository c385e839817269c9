//! The server's half of a codec's network.

use burn::module::{Module, Param};
use burn::tensor::activation::relu;
use burn::tensor::module::conv_transpose2d;
use burn::tensor::ops::ConvTransposeOptions;
use burn::tensor::{Device, Tensor, TensorData};

use super::refine::Refine;
use crate::codec::{CodecError, CodecFile};
use crate::products::{Layout, spread};
use crate::weights::param;

/// Latent to feature: in trained codecs first a refinement of the latent; the synthesis as a
/// transposed convolution, the mean, ReLU.
#[derive(Module, Debug)]
pub struct Decoder {
    weight: Param<Tensor<4>>,
    mean: Param<Tensor<4>>,
    /// Logarithms.
    gain: Option<Param<Tensor<3>>>,
    refine: Option<Refine>,
    block: usize,
    latent_shape: [usize; 3],
}

impl Decoder {
    /// Puts the server's half of `codec` on `device`.
    ///
    /// # Errors
    ///
    /// When `codec` is a device's half, or a tensor of its networks is missing.
    pub fn new(codec: &CodecFile, device: &Device) -> Result<Self, CodecError> {
        if !codec.is_whole() {
            return Err(CodecError::DeviceHalf);
        }
        let transform = codec.transform();
        let latent_shape @ [k, _, _] = codec.latent_shape();
        let (channels, block) = (transform.feature.channels, transform.block);
        let weight = TensorData::new(transform.synthesis.clone(), [k, channels, block, block]);
        let mean = TensorData::new(transform.mean.clone(), [1, channels, block, block]);
        let network = &transform.network;
        Ok(Self {
            weight: param(Tensor::from_data(weight, device)),
            mean: param(Tensor::from_data(mean, device)),
            gain: (network.config.gain)
                .then(|| network.param("synthesis.gain", latent_shape, device))
                .transpose()?,
            refine: (network.config.refine_blocks > 0)
                .then(|| Refine::load(network, k, device))
                .transpose()?,
            block,
            latent_shape,
        })
    }

    /// A dequantised latent `[n, k, h, w]` and steps `[n, 1, 1, 1]` to the feature
    /// `[n, channels, height, width]`.
    #[must_use]
    pub fn forward(&self, latent: Tensor<4>, steps: &Tensor<4>) -> Tensor<4> {
        let latent = match &self.refine {
            Some(refine) => refine.forward(latent, steps),
            None => latent,
        };
        let latent = match &self.gain {
            Some(gain) => latent * gain.val().neg().exp().unsqueeze(),
            None => latent,
        };
        let residual = self.synthesis(latent);
        // The mean belongs to a position within the block.
        let [_, rows, columns] = self.latent_shape;
        let mean = self.mean.val().repeat(&[1, 1, rows, columns]);
        // What is sent is the output of a ReLU, so nothing below zero can be right.
        relu(residual + mean)
    }

    fn synthesis(&self, latent: Tensor<4>) -> Tensor<4> {
        match Layout::of(&latent.device()) {
            Layout::First => {
                let stride = [self.block; 2];
                let options = ConvTransposeOptions::new(stride, [0, 0], [0, 0], [1, 1], 1);
                conv_transpose2d(latent, self.weight.val(), None, options)
            }
            last @ Layout::Last => spread(last.enter(latent), self.weight.val()),
        }
    }
}

//! The device's half of a codec's network.

use burn::module::{Module, Param};
use burn::tensor::module::conv2d;
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Device, Tensor, TensorData};

use super::attention::Attention;
use super::prepare::Prepare;
use crate::codec::{CodecError, CodecFile};
use crate::products::{After, Layout, convolve, kept};
use crate::weights::param;

/// Feature to latent: a convolution whose kernel and stride are the codec's block; in trained
/// codecs also residual blocks on what comes of it, gates from the channel attention and gains by position.
#[derive(Module, Debug)]
pub struct Encoder {
    weight: Param<Tensor<4>>,
    bias: Param<Tensor<1>>,
    prepare: Option<Prepare>,
    /// Logarithms.
    gain: Option<Param<Tensor<3>>>,
    attention: Option<Attention>,
    block: usize,
}

impl Encoder {
    /// Puts the device's half of `codec` on `device`.
    ///
    /// # Errors
    ///
    /// When a tensor of the codec's networks is missing.
    pub fn new(codec: &CodecFile, device: &Device) -> Result<Self, CodecError> {
        let transform = codec.transform();
        let latent @ [k, _, _] = codec.latent_shape();
        let (channels, block) = (transform.feature.channels, transform.block);
        let shape = [k, channels, block, block];
        let weight = TensorData::new(transform.analysis.clone(), shape);
        let bias = TensorData::new(transform.analysis_bias.clone(), [k]);
        let network = &transform.network;
        Ok(Self {
            weight: param(kept(Tensor::from_data(weight, device))),
            bias: param(Tensor::from_data(bias, device)),
            prepare: (network.config.prepare_blocks > 0)
                .then(|| Prepare::load(network, k, device))
                .transpose()?,
            gain: (network.config.gain)
                .then(|| network.param("analysis.gain", latent, device))
                .transpose()?,
            attention: (network.config.attention > 0)
                .then(|| Attention::load(network, channels, k, device))
                .transpose()?,
            block,
        })
    }

    /// The feature `[n, channels, height, width]` to the latent `[n, k, height / block,
    /// width / block]`, channels in the order of their importance, not yet quantised.
    #[must_use]
    pub fn forward(&self, feature: Tensor<4>) -> Tensor<4> {
        let [channels] = self.bias.val().dims();
        self.first(feature, channels)
    }

    /// As [`Self::forward`], but the first `channels` only.
    pub(in crate::codec) fn first(&self, feature: Tensor<4>, channels: usize) -> Tensor<4> {
        let gates = self
            .attention
            .as_ref()
            .map(|attention| attention.forward(feature.clone()));
        let latent = match &self.prepare {
            // Every channel has a share in every other.
            Some(prepare) => {
                let [all] = self.bias.val().dims();
                prefix(prepare.forward(self.analysis(feature, all)), 1, channels)
            }
            None => self.analysis(feature, channels),
        };
        let latent = match gates {
            Some(gates) => latent * prefix(gates, 1, channels),
            None => latent,
        };
        match &self.gain {
            Some(gain) => latent * prefix(gain.val(), 0, channels).exp().unsqueeze(),
            None => latent,
        }
    }

    fn analysis(&self, feature: Tensor<4>, channels: usize) -> Tensor<4> {
        let weight = prefix(self.weight.val(), 0, channels);
        let bias = Some(prefix(self.bias.val(), 0, channels));
        match Layout::of(&feature.device()) {
            Layout::First => {
                let options = ConvOptions::new([self.block; 2], [0, 0], [1, 1], 1);
                conv2d(feature, weight, bias, options)
            }
            last @ Layout::Last => {
                let geometry = [self.block, 0];
                last.leave(convolve(
                    last.enter(feature),
                    weight,
                    bias,
                    geometry,
                    After::Nothing,
                ))
            }
        }
    }
}

/// The first `channels` along a dimension. All of them are the tensor itself: training goes this way at every step.
fn prefix<const D: usize>(tensor: Tensor<D>, dim: usize, channels: usize) -> Tensor<D> {
    if tensor.dims()[dim] == channels {
        return tensor;
    }
    tensor.narrow(dim, 0, channels)
}

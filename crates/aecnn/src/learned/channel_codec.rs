//! The paper's AECNN: the most important channels, scaled by attention, and a light decoder.

use burn::module::{Module, Param};
use burn::nn::conv::Conv2d;
use burn::tensor::activation::relu;
use burn::tensor::module::avg_pool2d;
use burn::tensor::ops::AvgPoolOptions;
use burn::tensor::{Device, Tensor};

use super::{ChannelAttention, LearnedCodec, conv, vector};
use crate::FeatureShape;
use crate::products::{After, convolve_first};

/// The shape of a [`ChannelCodec`].
#[derive(Debug, Clone, Copy)]
pub struct ChannelCodecConfig {
    /// The whole feature.
    pub feature: FeatureShape,
    /// Channels that are kept.
    pub channels: usize,
    /// Channels inside the attention.
    pub attention: usize,
    /// Rows and columns that are averaged into one before quantisation; must divide the feature's side. 1 is
    /// the paper's; it states no other.
    pub pool: usize,
    /// Channels inside the decoder.
    pub width: usize,
}

/// Attention over the kept channels, average pooling, and a decoder of one linear path (1x1) beside one hidden
/// layer (3x3, ReLU, 1x1).
///
/// The encoder takes the kept channels only, in the order in which they were kept: the front computes no others.
#[derive(Module, Debug)]
pub struct ChannelCodec {
    attention: ChannelAttention,
    /// `[1]`: what the latent's 1 stands for in the feature's units.
    range: Param<Tensor<1>>,
    linear: Conv2d,
    hidden: Conv2d,
    output: Conv2d,
    pool: usize,
    latent: [usize; 3],
}

impl ChannelCodec {
    /// A new codec.
    #[must_use]
    pub fn new(config: ChannelCodecConfig, device: &Device) -> Self {
        let ChannelCodecConfig {
            feature,
            channels,
            attention,
            pool,
            width,
        } = config;
        Self {
            attention: ChannelAttention::new(channels, attention, device),
            range: vector(1, 1.0, device),
            linear: conv([channels, feature.channels], 1, 1, device),
            hidden: conv([channels, width], 3, 1, device),
            output: conv([width, feature.channels], 1, 1, device),
            pool,
            latent: [channels, feature.height / pool, feature.width / pool],
        }
    }

    /// What the encoder would quantise, in the feature's units.
    #[must_use]
    pub fn scaled(&self, kept: Tensor<4>) -> Tensor<4> {
        let scaled = self.attention.forward(kept);
        match self.pool {
            1 => scaled,
            pool => {
                let options = AvgPoolOptions::new([pool; 2]).with_stride([pool; 2]);
                avg_pool2d(scaled, options)
            }
        }
    }

    fn range(&self) -> Tensor<4> {
        self.range.val().reshape([1, 1, 1, 1])
    }
}

impl LearnedCodec for ChannelCodec {
    fn encode(&self, feature: Tensor<4>) -> Tensor<4> {
        self.scaled(feature) / self.range()
    }

    fn decode(&self, latent: Tensor<4>) -> Tensor<4> {
        let latent = latent * self.range();
        let detail = convolve_first(&self.hidden, latent.clone(), After::Relu);
        let detail = convolve_first(&self.output, detail, After::Nothing);
        let linear = convolve_first(&self.linear, latent, After::Nothing);
        repeat(relu(linear + detail), self.pool)
    }

    fn latent_shape(&self) -> [usize; 3] {
        self.latent
    }
}

/// Each pixel as a square of `times x times`.
fn repeat(x: Tensor<4>, times: usize) -> Tensor<4> {
    if times == 1 {
        return x;
    }
    let [n, c, h, w] = x.dims();
    x.reshape([n * c, h, 1, w, 1])
        .expand([n * c, h, times, w, times])
        .reshape([n, c, h * times, w * times])
}

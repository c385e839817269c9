//! Feature codecs whose maps are learned: the paper's AECNN and, to compare with, BottleNet++.
//!
//! Both are a pair of small networks around a quantiser:
//!
//! ```text
//! feature -> encode -> latent in [0, 1] -> Quantiser -> symbols -> Tables::encode -> payload
//! feature <- decode <- latent in [0, 1] <- Quantiser <- symbols <- Tables::decode <- payload
//! ```
//!
//! New modules hold neutral values: whoever makes one loads or trains its weights.

mod attention;
mod bottlenet;
mod channel_codec;
mod quantiser;

pub use attention::ChannelAttention;
pub use bottlenet::{BottleNet, BottleNetConfig};
pub use channel_codec::{ChannelCodec, ChannelCodecConfig};
pub use quantiser::{MAX_BITS, Quantiser, UnusableBits};

use burn::module::{Module, ModuleDisplay, Param, ParamId};
use burn::nn::PaddingConfig2d;
use burn::nn::conv::Conv2d;
use burn::tensor::{Device, Tensor};

use crate::weights::param;

/// A learned codec of one feature.
pub trait LearnedCodec: Module + ModuleDisplay {
    /// The feature `[n, channels, height, width]` to the latent `[n, k, h, w]`, whose useful range is 0 to 1.
    fn encode(&self, feature: Tensor<4>) -> Tensor<4>;

    /// The latent, quantised or not, to the feature.
    fn decode(&self, latent: Tensor<4>) -> Tensor<4>;

    /// The shape `[k, h, w]` of a feature's latent.
    fn latent_shape(&self) -> [usize; 3];
}

/// A convolution of zeros, padded by half its kernel.
fn conv(channels: [usize; 2], kernel: usize, stride: usize, device: &Device) -> Conv2d {
    let [channels_in, channels_out] = channels;
    let pad = kernel / 2;
    Conv2d {
        weight: param(Tensor::zeros(
            [channels_out, channels_in, kernel, kernel],
            device,
        )),
        bias: Some(vector(channels_out, 0.0, device)),
        stride: [stride; 2],
        kernel_size: [kernel; 2],
        dilation: [1; 2],
        groups: 1,
        padding: PaddingConfig2d::Explicit(pad, pad, pad, pad),
    }
}

fn vector(length: usize, value: f32, device: &Device) -> Param<Tensor<1>> {
    Param::initialized(ParamId::new(), Tensor::full([length], value, device))
}

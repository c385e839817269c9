//! BottleNet++ (Shao and Zhang, 2019), to compare with.

use burn::module::{Module, Param, ParamId};
use burn::nn::conv::{Conv2d, ConvTranspose2d};
use burn::nn::{BatchNorm, BatchNormConfig};
use burn::tensor::activation::{relu, sigmoid};
use burn::tensor::{Device, Tensor};

use super::{LearnedCodec, conv, vector};
use crate::FeatureShape;
use crate::products::{After, Layout, convolve, convolve_first, spaced};

const KERNEL: usize = 3;

/// The shape of a [`BottleNet`].
#[derive(Debug, Clone, Copy)]
pub struct BottleNetConfig {
    /// The whole feature.
    pub feature: FeatureShape,
    /// Channels that are sent.
    pub channels: usize,
    /// Stride of the convolution that makes them.
    pub stride: usize,
}

/// A 3x3 convolution, batch normalisation and sigmoid; a transposed 3x3 convolution, batch normalisation and ReLU.
#[derive(Module, Debug)]
pub struct BottleNet {
    encoder: Conv2d,
    encoder_norm: BatchNorm,
    decoder: ConvTranspose2d,
    decoder_norm: BatchNorm,
    latent: [usize; 3],
    /// Rows and columns of the feature.
    size: [usize; 2],
}

impl BottleNet {
    /// A new codec.
    #[must_use]
    pub fn new(config: BottleNetConfig, device: &Device) -> Self {
        let BottleNetConfig {
            feature,
            channels,
            stride,
        } = config;
        let (rows, columns) = (
            feature.height.div_ceil(stride),
            feature.width.div_ceil(stride),
        );
        // What the transposed convolution lacks to the feature's side, where the stride does not divide it.
        let out =
            |side: usize, small: usize| (side + 2).saturating_sub((small - 1) * stride + KERNEL);
        Self {
            encoder: conv([feature.channels, channels], KERNEL, stride, device),
            encoder_norm: BatchNormConfig::new(channels).init(device),
            decoder: ConvTranspose2d {
                weight: Param::initialized(
                    ParamId::new(),
                    Tensor::zeros([channels, feature.channels, KERNEL, KERNEL], device),
                ),
                bias: Some(vector(feature.channels, 0.0, device)),
                stride: [stride; 2],
                kernel_size: [KERNEL; 2],
                dilation: [1; 2],
                groups: 1,
                padding: [KERNEL / 2; 2],
                padding_out: [out(feature.height, rows), out(feature.width, columns)],
                channels: [channels, feature.channels],
            },
            decoder_norm: BatchNormConfig::new(feature.channels).init(device),
            latent: [channels, rows, columns],
            size: [feature.height, feature.width],
        }
    }
}

/// The transposed convolution as matrix products, of images with channels last to such of this size.
fn transposed(conv: &ConvTranspose2d, image: Tensor<4>, size: [usize; 2]) -> Tensor<4> {
    let weight = conv.weight.val().permute([1, 0, 2, 3]).flip([2, 3]);
    let bias = conv.bias.as_ref().map(Param::val);
    let image = spaced(image, conv.stride[0], size);
    let geometry = [1, KERNEL - 1 - conv.padding[0]];
    convolve(image, weight, bias, geometry, After::Nothing)
}

impl LearnedCodec for BottleNet {
    fn encode(&self, feature: Tensor<4>) -> Tensor<4> {
        let latent = convolve_first(&self.encoder, feature, After::Nothing);
        sigmoid(self.encoder_norm.forward(latent))
    }

    fn decode(&self, latent: Tensor<4>) -> Tensor<4> {
        let feature = match Layout::of(&latent.device()) {
            Layout::First => self.decoder.forward(latent),
            last @ Layout::Last => {
                let rows = last.enter(latent);
                last.leave(transposed(&self.decoder, rows, self.size))
            }
        };
        relu(self.decoder_norm.forward(feature))
    }

    fn latent_shape(&self) -> [usize; 3] {
        self.latent
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Distribution, Tolerance};

    use super::*;

    #[test]
    fn every_stride_gives_back_the_features_shape() {
        let device = Device::flex();
        for side in [7, 14, 28] {
            for stride in [1, 2, 3, 4, 7] {
                let feature = FeatureShape {
                    channels: 6,
                    height: side,
                    width: side,
                };
                let config = BottleNetConfig {
                    feature,
                    channels: 2,
                    stride,
                };
                let codec = BottleNet::new(config, &device);
                let latent = codec.encode(Tensor::zeros([1, 6, side, side], &device));
                assert_eq!(latent.dims()[1..], codec.latent_shape());
                assert_eq!(
                    codec.decode(latent).dims(),
                    [1, 6, side, side],
                    "stride {stride}"
                );
            }
        }
    }

    #[test]
    fn products_are_the_transposed_convolution() {
        let device = Device::flex();
        for stride in [1, 2, 3] {
            let feature = FeatureShape {
                channels: 6,
                height: 7,
                width: 7,
            };
            let config = BottleNetConfig {
                feature,
                channels: 2,
                stride,
            };
            let random = |shape: [usize; 4]| {
                Tensor::<4>::random(shape, Distribution::Normal(0.0, 1.0), &device)
            };
            let codec = BottleNet::new(config, &device);
            let decoder = ConvTranspose2d {
                weight: Param::initialized(ParamId::new(), random([2, 6, KERNEL, KERNEL])),
                ..codec.decoder
            };
            let [channels, rows, columns] = codec.latent;
            let latent = random([3, channels, rows, columns]);
            let last = Layout::Last;
            let ours = last.leave(transposed(&decoder, last.enter(latent.clone()), [7, 7]));
            let theirs = decoder.forward(latent);
            ours.into_data()
                .assert_approx_eq::<f32>(&theirs.into_data(), Tolerance::permissive());
        }
    }
}

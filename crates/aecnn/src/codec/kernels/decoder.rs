//! The server's half.

use burn::tensor::TensorData;
use cpu_kernels::{Activation, After, Conv, within};

use super::refine::Refine;
use super::{convolution, whole_groups, widened};
use crate::FeatureShape;
use crate::codec::{CodecError, CodecFile};

/// Latent to feature: a refinement of the latent, then a matrix product to blocks of the feature.
#[derive(Debug)]
pub(in crate::codec) struct Decoder {
    synthesis: Conv,
    /// Factors by channel and position.
    gain: Option<Activation>,
    refine: Option<Refine>,
    block: usize,
    feature: FeatureShape,
    latent_shape: [usize; 3],
}

impl Decoder {
    pub(in crate::codec) fn new(codec: &CodecFile) -> Result<Self, CodecError> {
        if !codec.is_whole() {
            return Err(CodecError::DeviceHalf);
        }
        let transform = codec.transform();
        let latent_shape @ [k, rows, columns] = codec.latent_shape();
        let (feature, block) = (transform.feature, transform.block);
        let outputs = feature.channels * block * block;
        // `[k, outputs]` in the file.
        let mut weights = vec![0.0; k * outputs];
        for (channel, row) in transform.synthesis.chunks_exact(outputs).enumerate() {
            for (output, weight) in row.iter().enumerate() {
                weights[output * k + channel] = *weight;
            }
        }
        let network = &transform.network;
        let gain = || {
            let gain = network.values("synthesis.gain", &latent_shape)?;
            let factors: Vec<f32> = gain.iter().map(|gain| (-gain).exp()).collect();
            let shape = [1, whole_groups(k), rows, columns];
            let factors = widened(&factors, k, rows * columns);
            Ok::<_, CodecError>(Activation::from_planes(&factors, shape, 0))
        };
        Ok(Self {
            // The mean belongs to a position within the block.
            synthesis: convolution(&weights, &transform.mean, [k, outputs], 1),
            gain: network.config.gain.then(gain).transpose()?,
            refine: (network.config.refine_blocks > 0)
                .then(|| Refine::new(network, k))
                .transpose()?,
            block,
            feature,
            latent_shape,
        })
    }

    /// Dequantised latents of some pictures, one behind the other, and the step of each picture, to
    /// features `[n, channels, height, width]`.
    pub(in crate::codec) fn restore(&self, latents: &[f32], steps: &[f32]) -> TensorData {
        let [k, rows, columns] = self.latent_shape;
        let shape = [steps.len(), whole_groups(k), rows, columns];
        let planes = widened(latents, k, rows * columns);
        let latent = Activation::from_planes(&planes, shape, 0);
        let blocks = within(|| {
            let latent = match &self.refine {
                Some(refine) => refine.forward(latent, steps),
                None => latent,
            };
            let latent = match &self.gain {
                Some(gain) => latent.times(gain),
                None => latent,
            };
            // What is sent is the output of a ReLU, so nothing below zero can be right.
            self.synthesis.forward(&latent, After::RELU)
        });
        let FeatureShape {
            channels,
            height,
            width,
        } = self.feature;
        TensorData::new(
            blocks.to_planes_of_blocks(channels, self.block),
            [steps.len(), channels, height, width],
        )
    }
}

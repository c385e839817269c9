//! The device's half.

use burn::tensor::{Tensor, TensorData};
use cpu_kernels::{Activation, After, Conv, within};

use super::prepare::Prepare;
use super::{GROUP, convolution, multiply, whole_groups};
use crate::codec::{CodecError, CodecFile, Network};
use crate::resnet::kernels::planes;

/// Feature to latent: blocks of the feature as pixels, and a matrix product for each group of the
/// latent's channels.
#[derive(Debug)]
pub(in crate::codec) struct Encoder {
    groups: Vec<Conv>,
    /// Channels of a group: all of them where [`Prepare`] needs all.
    group: usize,
    prepare: Option<Prepare>,
    /// Factors by channel and position.
    gain: Option<Vec<f32>>,
    attention: Option<Attention>,
    block: usize,
    channels: usize,
}

impl Encoder {
    pub(in crate::codec) fn new(codec: &CodecFile) -> Result<Self, CodecError> {
        let transform = codec.transform();
        let [k, _, _] = codec.latent_shape();
        let (channels, block) = (transform.feature.channels, transform.block);
        let read = channels * block * block;
        let network = &transform.network;
        let gain = || network.values("analysis.gain", &codec.latent_shape());
        let prepare = (network.config.prepare_blocks > 0)
            .then(|| Prepare::new(network, k))
            .transpose()?;
        let group = match prepare {
            Some(_) => whole_groups(k),
            None => GROUP,
        };
        let rows = transform.analysis.chunks(group * read);
        Ok(Self {
            groups: (rows.zip(transform.analysis_bias.chunks(group)))
                .map(|(rows, bias)| convolution(rows, bias, [read, bias.len()], 1))
                .collect(),
            group,
            prepare,
            gain: (network.config.gain)
                .then(|| Ok::<_, CodecError>(gain()?.iter().map(|gain| gain.exp()).collect()))
                .transpose()?,
            attention: (network.config.attention > 0)
                .then(|| Attention::new(network, channels, k))
                .transpose()?,
            block,
            channels,
        })
    }

    /// The first `channels` of the latent.
    pub(in crate::codec) fn first(&self, feature: Tensor<4>, channels: usize) -> Tensor<4> {
        let device = feature.device();
        let shape @ [n, _, height, width] = feature.dims();
        let data = feature.into_data();
        let feature = planes(&data);
        let input = Activation::from_blocks(&feature, shape, self.block);
        let [rows, columns] = [height / self.block, width / self.block];
        let positions = rows * columns;

        let mut latent = vec![0.0; n * channels * positions];
        let needed = channels.div_ceil(self.group);
        for (group, conv) in self.groups.iter().enumerate().take(needed) {
            let values = within(|| {
                let latent = conv.forward(&input, After::default());
                match &self.prepare {
                    Some(prepare) => prepare.forward(latent),
                    None => latent,
                }
            });
            let values = values.to_planes();
            let first = group * self.group;
            let length = (channels - first).min(self.group) * positions;
            let pictures = latent.chunks_exact_mut(channels * positions);
            for (picture, values) in pictures.zip(values.chunks_exact(self.group * positions)) {
                picture[first * positions..][..length].copy_from_slice(&values[..length]);
            }
        }
        if let Some(attention) = &self.attention {
            let features = feature.chunks_exact(self.channels * height * width);
            for (picture, feature) in latent.chunks_exact_mut(channels * positions).zip(features) {
                let gates = attention.gates(feature, height * width);
                for (channel, gate) in picture.chunks_exact_mut(positions).zip(gates) {
                    channel.iter_mut().for_each(|value| *value *= gate);
                }
            }
        }
        if let Some(gain) = &self.gain {
            for picture in latent.chunks_exact_mut(channels * positions) {
                for (value, gain) in picture.iter_mut().zip(gain) {
                    *value *= gain;
                }
            }
        }
        let data = TensorData::new(latent, [n, channels, rows, columns]);
        Tensor::from_data(data, &device)
    }
}

/// See [`crate::codec::tensors::Attention`].
#[derive(Debug)]
struct Attention {
    /// `[channels, hidden]` and its bias.
    reduce: [Vec<f32>; 2],
    /// `[hidden, k]` and its bias.
    expand: [Vec<f32>; 2],
}

impl Attention {
    fn new(network: &Network, channels: usize, k: usize) -> Result<Self, CodecError> {
        let hidden = network.config.attention;
        let layer = |name: &str, inputs: usize, outputs: usize| {
            let part = |part, shape: &[usize]| {
                let values = network.values(&format!("attention.{name}.{part}"), shape);
                values.map(<[f32]>::to_vec)
            };
            Ok::<_, CodecError>([
                part("weight", &[inputs, outputs])?,
                part("bias", &[outputs])?,
            ])
        };
        Ok(Self {
            reduce: layer("reduce", channels, hidden)?,
            expand: layer("expand", hidden, k)?,
        })
    }

    /// A factor for each channel of the latent.
    fn gates(&self, feature: &[f32], positions: usize) -> Vec<f32> {
        let means: Vec<f32> = feature
            .chunks_exact(positions)
            .map(|plane| plane.iter().sum::<f32>() / positions as f32)
            .collect();
        let [weight, bias] = &self.reduce;
        let mut hidden = bias.clone();
        multiply(&means, weight, &mut hidden);
        hidden.iter_mut().for_each(|value| *value = value.max(0.0));
        let [weight, bias] = &self.expand;
        let mut gates = bias.clone();
        multiply(&hidden, weight, &mut gates);
        gates
            .iter_mut()
            .for_each(|value| *value = 2.0 / (1.0 + (-*value).exp()));
        gates
    }
}

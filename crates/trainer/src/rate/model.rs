//! The codec as a trainable module: made from a codec file, and back to one.

use std::collections::BTreeMap;

use aecnn::codec::tensors::{Decoder, Encoder};
use aecnn::codec::{CodecFile, Network, NetworkConfig, Transform};
use anyhow::{Result, ensure};
use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Device, Tensor};
use clap::{ArgAction, Args};

use crate::train::{collect, values_of};

/// Sizes of the networks around the linear maps.
#[derive(Args, Debug, Clone)]
pub(crate) struct NetworkArgs {
    /// Hidden units of the channel attention.
    #[arg(long, default_value_t = 32)]
    attention: usize,
    /// Whether latents have a gain by channel and position.
    #[arg(long, default_value_t = true, action = ArgAction::Set)]
    gain: bool,
    /// Residual blocks that prepare the latent on the device.
    #[arg(long, default_value_t = 0)]
    prepare_blocks: usize,
    /// Their hidden channels.
    #[arg(long, default_value_t = 64)]
    prepare_hidden: usize,
    /// Residual blocks that refine the decoded latent.
    #[arg(long, default_value_t = 2)]
    refine_blocks: usize,
    /// Their hidden channels.
    #[arg(long, default_value_t = 128)]
    refine_hidden: usize,
}

impl NetworkArgs {
    pub(super) fn config(&self) -> NetworkConfig {
        NetworkConfig {
            attention: self.attention,
            gain: self.gain,
            prepare_blocks: self.prepare_blocks,
            prepare_hidden: match self.prepare_blocks {
                0 => 0,
                _ => self.prepare_hidden,
            },
            refine_blocks: self.refine_blocks,
            refine_hidden: self.refine_hidden,
        }
    }

    /// Whether these sizes are those of `start` and more.
    fn extends(&self, start: &NetworkConfig) -> bool {
        (start.attention == 0 || start.attention == self.attention)
            && (self.gain || !start.gain)
            && start.prepare_hidden <= self.prepare_hidden
            && start.prepare_blocks <= self.prepare_blocks
            && start.refine_hidden <= self.refine_hidden
            && start.refine_blocks <= self.refine_blocks
    }
}

/// Both halves of the codec.
#[derive(Module, Debug)]
pub(super) struct RateCodec {
    pub(super) encoder: Encoder,
    pub(super) decoder: Decoder,
}

impl RateCodec {
    /// The starting codec; what it lacks of the networks that are asked for comes to it as networks that change
    /// nothing yet. `latents` are some pictures' by that codec.
    pub(super) fn from_codec(
        start: &CodecFile,
        latents: &[Vec<f32>],
        args: &NetworkArgs,
        seed: u64,
        device: &Device,
    ) -> Result<Self> {
        let mut transform = start.transform().clone();
        if transform.network.config != args.config() {
            ensure!(
                args.extends(&transform.network.config),
                "{} has networks of other sizes than --attention, --gain, --prepare-* and --refine-* ask for: {:?}",
                start.name,
                transform.network.config
            );
            let mut network = untrained(start, latents, args.config(), seed);
            grow(&mut network, &transform.network, start);
            transform.network = network;
        }
        let codec = CodecFile::new(
            start.name.clone(),
            start.method,
            start.model.clone(),
            start.split,
            start.fitted_to.clone(),
            transform,
            start.rates.clone(),
        )?;
        let module = Self {
            encoder: Encoder::new(&codec, device)?,
            decoder: Decoder::new(&codec, device)?,
        };
        Ok(module.trainable())
    }

    /// The same, with gradients wanted of every parameter.
    pub(super) fn trainable(self) -> Self {
        self.map(&mut Trainable)
    }

    /// The trained maps and networks; `start` gives the shapes of the maps, `config` the networks' sizes.
    pub(super) fn transform(
        &self,
        start: &Transform,
        latent: [usize; 3],
        config: NetworkConfig,
    ) -> Result<Transform> {
        let parameters = collect(self)?;
        let take = |name: &str| values_of(&parameters, name);
        let analysis = take("encoder.weight")?;
        let analysis_bias = take("encoder.bias")?;
        let synthesis = take("decoder.weight")?;
        let mean = take("decoder.mean")?;
        let mut network = Network {
            config,
            tensors: BTreeMap::new(),
        };
        for (name, _) in config.tensors(start.feature.channels, latent) {
            let path = match name.as_str() {
                "analysis.gain" => "encoder.gain".to_owned(),
                "synthesis.gain" => "decoder.gain".to_owned(),
                name => match name.split_once('.') {
                    Some(("refine", rest)) => format!("decoder.refine.{}", within_blocks(rest)),
                    Some(("prepare", rest)) => format!("encoder.prepare.{}", within_blocks(rest)),
                    _ => format!("encoder.{name}"),
                },
            };
            network.tensors.insert(name, take(&path)?);
        }
        Ok(Transform {
            feature: start.feature,
            block: start.block,
            analysis,
            analysis_bias,
            synthesis,
            mean,
            network,
        })
    }
}

/// The path of a tensor of residual blocks within their module: what begins with a number belongs to one block.
fn within_blocks(name: &str) -> String {
    if name.starts_with(|first: char| first.is_ascii_digit()) {
        format!("blocks.{name}")
    } else {
        name.to_owned()
    }
}

/// Networks that leave the codec as it is: gates of one, gains of one, refinements of zero.
fn untrained(start: &CodecFile, latents: &[Vec<f32>], config: NetworkConfig, seed: u64) -> Network {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut normal = move || {
        // The sum of uniform numbers is normal enough to start from.
        (0..12).map(|_| random.f32()).sum::<f32>() - 6.0
    };
    let channels = start.transform().feature.channels;
    let tensors = config
        .tensors(channels, start.latent_shape())
        .into_iter()
        .map(|(name, shape)| {
            let n: usize = shape.iter().product();
            let inputs: usize = match shape.len() {
                4 => shape[1..].iter().product(),
                _ => shape[0],
            };
            let he = (2.0 / inputs as f32).sqrt();
            let is_random = ["reduce.weight", "expand.weight", "spatial.weight"]
                .iter()
                .any(|part| name.ends_with(part))
                && name != "attention.expand.weight";
            let values = match name.as_str() {
                "prepare.scale" | "refine.scale" => scales(start, latents),
                "prepare.unit" => scales(start, latents).iter().map(|s| s.recip()).collect(),
                _ if is_random => (0..n).map(|_| he * normal()).collect(),
                _ => vec![0.0; n],
            };
            (name, values)
        })
        .collect();
    Network { config, tensors }
}

/// Puts trained networks into larger ones that change nothing yet, so that together they do what the trained did: what
/// is new of a block reads what it likes, but nothing that was there reads it.
fn grow(network: &mut Network, trained: &Network, start: &CodecFile) {
    let channels = start.transform().feature.channels;
    let shapes = trained.config.tensors(channels, start.latent_shape());
    let larger = network.config.tensors(channels, start.latent_shape());
    let larger: BTreeMap<String, Vec<usize>> = larger.into_iter().collect();
    for (name, shape) in shapes {
        let (Some(from), Some(to)) = (trained.tensors.get(&name), network.tensors.get_mut(&name))
        else {
            continue;
        };
        let row = |shape: &[usize]| shape[1..].iter().product::<usize>().max(1);
        let (old, new) = (row(&shape), row(&larger[&name]));
        for (from, to) in from.chunks(old).zip(to.chunks_mut(new)) {
            to[..old].copy_from_slice(from);
            to[old..].fill(0.0);
        }
    }
}

/// One over the deviation of each channel; of channels that are next to nothing, one over a part of
/// the finest step.
fn scales(start: &CodecFile, latents: &[Vec<f32>]) -> Vec<f32> {
    let [k, _, _] = start.latent_shape();
    let mut squares = vec![0.0; k];
    for latent in latents {
        for (square, channel) in squares.iter_mut().zip(latent.chunks(start.positions())) {
            *square += channel.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>();
        }
    }
    let n = (latents.len() * start.positions()).max(1) as f64;
    let least = start
        .rates
        .last()
        .map_or(1.0, |rate| 0.1 * f64::from(rate.step).powi(2));
    squares
        .into_iter()
        .map(|square| (1.0 / (square / n + least).sqrt()) as f32)
        .collect()
}

/// Asks for gradients of every parameter.
struct Trainable;

impl ModuleMapper for Trainable {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        param.map(Tensor::require_grad)
    }
}

//! `trainer select-channels`: the paper's AECNN for a network as it is, without classes, as a codec file.
//!
//! As [`super::aecnn`], a channel attention learns with the network frozen and its mean ranks the channels; what is
//! wanted here is the network's own answer instead of a class. The highest channels are averaged in blocks and scaled
//! by the attention; the decoder begins as the linear map of least squares. `trainer train-rate --analysis-share 0`
//! then trains attention and decoder and leaves the channels as they are.

mod moments;

use std::path::PathBuf;

use aecnn::codec::{CodecFile, Method, Network, NetworkConfig, Transform};
use aecnn::learned::ChannelAttention;
use aecnn::resnet::{Front, Precision, ResNet50};
use aecnn::{FeatureShape, Split};
use anyhow::{Result, ensure};
use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Tensor};
use clap::Args;
use serde_json::json;

use super::aecnn::{check_cut, cut_attention, highest};
use super::loss::behind_frozen;
use crate::data::{Loader, Picture, PictureArgs};
use crate::klt::add;
use crate::klt::rates::{Vigour, of_latents};
use crate::measure::BATCH;
use crate::model::ModelFolder;
use crate::progress::bar;
use crate::publish::publish;
use crate::say;
use crate::train::{
    Backend, Group, Named, Run, RunFolder, Settings, Step, Stop, collect, initialise, restore,
    values_of,
};
use moments::Moments;

/// Gates of a codec are twice a sigmoid.
const GATE: f32 = 2.0;

/// Makes the paper's AECNN for a network as it is: the channels that attention ranks highest.
///
/// Needs pictures, no classes. Writes the codec beside the weights and lists it in the manifest; `train-rate --from FILE
/// --analysis-share 0 --gain false` then trains its attention and its decoder. The same command goes on where it stopped.
#[derive(Args, Debug)]
pub(crate) struct SelectChannelsArgs {
    /// The model folder.
    #[arg(long, default_value = "models/resnet50-imagenet")]
    model: PathBuf,
    /// Where to cut the network: stem, stage1, stage2, stage3 or stage4.
    #[arg(long)]
    split: Split,
    #[command(flatten)]
    pictures: PictureArgs,
    /// The run's folder: checkpoint and log of the attention.
    #[arg(long)]
    run: PathBuf,
    /// Channels that are kept.
    #[arg(long)]
    channels: usize,
    /// Rows and columns of the feature that are averaged into one value; must divide its side. The paper states
    /// none: 1.
    #[arg(long, default_value_t = 1)]
    block: usize,
    /// The attention's reduction: it has so many times fewer channels inside.
    #[arg(long, default_value_t = 16)]
    reduction: usize,
    /// Where the arithmetic runs.
    #[arg(long, default_value = "flex", value_enum)]
    backend: Backend,
    /// Steps in which the attention learns.
    #[arg(long, default_value_t = 200)]
    steps: u64,
    /// Pictures a step.
    #[arg(long, default_value_t = 16)]
    batch: usize,
    #[arg(long, default_value_t = 1e-2)]
    learning_rate: f64,
    /// Weight of the mean attention in the loss. Above 0, a channel must be of use to be let through, which sets the
    /// channels apart.
    #[arg(long, default_value_t = 1.0)]
    sparsity: f64,
    /// Pictures to which decoder, steps and tables are fitted.
    #[arg(long, default_value_t = 1000)]
    calibration: usize,
    /// Wanted mean payloads in bytes; the step of each rate is searched for.
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "500,750,1000,1300,1650,2200,3000,4500"
    )]
    bytes: Vec<f64>,
    /// Added to magnitudes before rounding down; 0.5 is the paper's plain rounding, less a dead zone.
    #[arg(long, default_value_t = 0.5)]
    rounding: f32,
    /// Pictures held out, on which rates are measured.
    #[arg(long, default_value_t = 100)]
    held_out: usize,
    /// Index of the rate that programs use by default.
    #[arg(long, default_value_t = 4)]
    default_rate: usize,
    /// Minutes of training in this call.
    #[arg(long)]
    minutes: Option<f64>,
    /// Seed of everything random.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The codec's name; `paper-<split>` by default.
    #[arg(long)]
    name: Option<String>,
}

pub(crate) fn run(args: &SelectChannelsArgs) -> Result<()> {
    let device = args.backend.device();
    let mut model = ModelFolder::open(&args.model)?;
    let shape = model.manifest.variant.feature_shape(args.split);
    check_cut(shape, args.channels, ("--block", args.block))?;
    ensure!(
        args.reduction > 0 && args.batch > 0 && args.steps > 0,
        "--reduction, --batch and --steps must be at least 1"
    );
    let labels = model.labels()?;
    let (pictures, held_out) = args
        .pictures
        .draw(&labels, args.seed, args.held_out, args.batch)?;
    let network = model.network(&device)?;
    let view = View {
        loader: Loader {
            preprocessing: &model.manifest.preprocessing,
        },
        front: network.front(args.split),
        device: &device,
    };
    let Some(attention) = learn(args, &model, &network, &view, &pictures)? else {
        say!("stopped; the same command goes on from here");
        return Ok(());
    };
    let calibration = &pictures[..args.calibration.min(pictures.len())];
    let kept = highest(
        &summed_attention(&view, &attention, calibration)?,
        args.channels,
    );
    let hidden = hidden(args, shape);
    let cut = ChannelAttention::new(kept.len(), hidden, &device);
    let cut = restore(cut, cut_attention(&attention, &kept)?)?;
    let moments = Moments::gather(&view, &cut, &kept, args.block, calibration)?;

    let side = shape.height / args.block;
    let rates = of_latents(
        &moments.latents,
        [side, shape.width / args.block],
        &args.bytes,
        args.rounding,
        Vigour::NONE,
    )?;
    let (synthesis, mean) = moments.least_squares()?;
    let transform = Transform {
        feature: shape,
        block: args.block,
        analysis: selection(&kept, shape, args.block),
        analysis_bias: vec![0.0; kept.len()],
        synthesis,
        mean,
        network: gates(&collect(&cut)?, &kept, shape, hidden)?,
    };
    let name =
        (args.name.clone()).unwrap_or_else(|| format!("{}-{}", Method::Paper.name(), args.split));
    let codec = CodecFile::new(
        name,
        Method::Paper,
        model.manifest.digest.clone(),
        args.split,
        format!(
            "{} pictures, attention from {} steps of {}, seed {}",
            calibration.len(),
            args.steps,
            args.batch,
            args.seed
        ),
        transform,
        rates,
    )?;
    publish(
        &mut model,
        &network,
        &codec,
        &held_out,
        args.default_rate,
        &device,
    )
}

fn hidden(args: &SelectChannelsArgs, shape: FeatureShape) -> usize {
    (shape.channels / args.reduction).max(1)
}

/// How pictures become features.
struct View<'a> {
    loader: Loader<'a>,
    front: Front,
    device: &'a Device,
}

impl View<'_> {
    /// The features of some pictures; those that cannot be read are left out.
    fn features(&self, pictures: &[Picture]) -> Result<Tensor<4>> {
        let (read, broken) = self.loader.read(pictures);
        for error in &broken {
            eprintln!("left out: {error:#}");
        }
        ensure!(!read.is_empty(), "none of a batch's pictures could be read");
        let rgb = read.iter().map(|(_, rgb)| rgb.as_slice());
        Ok(self.front.forward(self.loader.input(rgb, self.device)))
    }
}

/// The attention, learned from the network's own answers. `None`: time is up.
fn learn(
    args: &SelectChannelsArgs,
    model: &ModelFolder,
    network: &ResNet50,
    view: &View<'_>,
    pictures: &[Picture],
) -> Result<Option<ChannelAttention>> {
    let config = json!({
        "model": model.manifest.digest,
        "split": args.split,
        "pictures": pictures.len(),
        "seed": args.seed,
        "batch": args.batch,
        "reduction": args.reduction,
        "steps": args.steps,
        "rate": args.learning_rate,
        "sparsity": args.sparsity,
    });
    let folder = RunFolder::open(&args.run, &config)?;
    let shape = model.manifest.variant.feature_shape(args.split);
    let tail = model.tail_gradient(args.split, Precision::Single, view.device)?;
    let teacher = network.tail(args.split);
    let tracked = view.device.clone().autodiff();
    let attention = ChannelAttention::new(shape.channels, hidden(args, shape), &tracked);
    let settings = Settings {
        name: "attention",
        steps: args.steps,
        rate: args.learning_rate,
        warm_up: args.steps / 20,
        groups: vec![Group::new("", 1.0)],
        checkpoint_every: std::time::Duration::from_secs(120),
        log_every: 10,
    };
    let attention = initialise(attention, "", args.seed)?;
    let run = Run::begin(folder, settings, attention)?;
    let stop = Stop::install(args.minutes)?;
    run.train(&stop, |step, attention| {
        let first = step as usize * args.batch;
        let batch: Vec<Picture> = (first..first + args.batch)
            .map(|at| pictures[at % pictures.len()].clone())
            .collect();
        let feature = view.features(&batch)?;
        let samples = feature.dims()[0];
        let wanted = Tensor::from_inner(log_softmax(teacher.forward(feature.clone()), 1));
        let feature = Tensor::from_inner(feature);
        let weights = attention.weights(feature.clone());
        let divergence = behind_frozen(&tail, feature * weights.clone(), |logits| {
            (wanted.clone().exp() * (wanted - log_softmax(logits, 1)))
                .sum_dim(1)
                .mean()
        })?;
        let mean = weights.mean();
        let measure = |value: &Tensor<1>| -> Result<f64> {
            Ok(f64::from(value.clone().detach().try_into_scalar::<f32>()?))
        };
        Ok(Step {
            measures: vec![
                ("divergence", measure(&divergence)?),
                ("mean_attention", measure(&mean)?),
            ],
            loss: divergence + mean * args.sparsity as f32,
            samples,
        })
    })
}

/// Each channel's attention, summed over pictures: it ranks them as the mean does.
fn summed_attention(
    view: &View<'_>,
    attention: &ChannelAttention,
    pictures: &[Picture],
) -> Result<Vec<f64>> {
    let mut sums = Vec::new();
    let progress = bar(pictures.len(), "attention's mean");
    for batch in pictures.chunks(BATCH) {
        let weights = attention.weights(view.features(batch)?);
        let sum = weights.sum_dim(0).try_into_vec_as::<f32>()?;
        sums.resize(sum.len(), 0.0);
        add(&mut sums, &sum);
        progress.inc(batch.len() as u64);
    }
    progress.finish_and_clear();
    Ok(sums)
}

/// The analysis `[k, channels, block, block]`: each kept channel's mean over a block, halved, for its gate is doubled.
fn selection(kept: &[usize], shape: FeatureShape, block: usize) -> Vec<f32> {
    let square = block * block;
    let mut analysis = vec![0.0; kept.len() * shape.channels * square];
    for (at, channel) in kept.iter().enumerate() {
        let first = (at * shape.channels + channel) * square;
        analysis[first..first + square].fill(1.0 / (GATE * square as f32));
    }
    analysis
}

/// The attention over the kept channels, as a codec file has it: other channels are not looked at.
fn gates(attention: &Named, kept: &[usize], shape: FeatureShape, hidden: usize) -> Result<Network> {
    let k = kept.len();
    let squeeze = values_of(attention, "squeeze.weight")?;
    let excite = values_of(attention, "excite.weight")?;
    let mut reduce = vec![0.0; shape.channels * hidden];
    for (at, channel) in kept.iter().enumerate() {
        for unit in 0..hidden {
            reduce[channel * hidden + unit] = squeeze[unit * k + at];
        }
    }
    let expand = (0..hidden)
        .flat_map(|unit| (0..k).map(move |at| (unit, at)))
        .map(|(unit, at)| excite[at * hidden + unit])
        .collect();
    let tensors = [
        ("attention.reduce.weight", reduce),
        (
            "attention.reduce.bias",
            values_of(attention, "squeeze.bias")?,
        ),
        ("attention.expand.weight", expand),
        (
            "attention.expand.bias",
            values_of(attention, "excite.bias")?,
        ),
    ];
    Ok(Network {
        config: NetworkConfig {
            attention: hidden,
            ..NetworkConfig::default()
        },
        tensors: tensors
            .map(|(name, values)| (name.to_owned(), values))
            .into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kept_channel_is_its_mean_over_the_block() {
        let shape = FeatureShape {
            channels: 3,
            height: 4,
            width: 4,
        };
        let analysis = selection(&[2, 0], shape, 2);
        let mut wanted = vec![0.0; 24];
        wanted[8..12].fill(0.125);
        wanted[12..16].fill(0.125);
        assert_eq!(analysis, wanted);
    }
}

//! `trainer train-aecnn`: the paper's method, step by step.

use aecnn::FeatureShape;
use aecnn::learned::{ChannelAttention, ChannelCodec, ChannelCodecConfig};
use aecnn::resnet::trainable::{ResNet50, Tail};
use anyhow::{Context, Result, ensure};
use burn::module::Module;
use burn::tensor::TensorData;
use clap::Args;
use serde_json::{Value, json};

use super::codec::{Method, Selection, indices};
use super::features::Features;
use super::harness::{CommonArgs, Harness, Parts, digest, tracked};
use super::loss::Behind;
use super::measure::MethodResult;
use super::network::percent;
use crate::say;
use crate::train::{
    Group, Named, Run, RunFolder, Step, Stop, collect, initialise, restore, values_of,
};

/// Share of the scaled values that the quantiser's range holds at first.
const RANGE_QUANTILE: f64 = 0.999;
/// Pictures from which the range and the channels' means are taken.
const CALIBRATION: usize = 256;

/// Trains the paper's AECNN on a data set.
///
/// Step 1, the network on the data set; step 2, channel attention at the split, with the rest frozen, and the
/// ranking of the channels by it; step 3, the highest channels are kept, a light decoder is trained with the
/// quantiser in the loop and the rest frozen; step 4, everything at a small rate. The same command goes on where it
/// stopped.
#[derive(Args, Debug, Clone)]
pub(crate) struct TrainAecnnArgs {
    #[command(flatten)]
    pub(super) common: CommonArgs,
    /// Channels that are kept.
    #[arg(long)]
    channels: usize,
    /// Rows and columns of the feature that are averaged into one value before quantisation; must divide its side.
    /// The paper states none: 1.
    #[arg(long, default_value_t = 1)]
    pool: usize,
    /// The attention's reduction: it has so many times fewer channels inside.
    #[arg(long, default_value_t = 16)]
    reduction: usize,
    /// Channels inside the decoder.
    #[arg(long, default_value_t = 256)]
    width: usize,
    /// Step 2: epochs of the attention.
    #[arg(long, default_value_t = 3.0)]
    attention_epochs: f64,
    #[arg(long, default_value_t = 1e-2)]
    attention_rate: f64,
    /// Step 2: weight of the mean attention in the loss. Above 0, a channel must be of use to be let through, which
    /// sets the channels apart.
    #[arg(long, default_value_t = 1.0)]
    sparsity: f64,
}

pub(crate) fn run(args: &TrainAecnnArgs) -> Result<()> {
    let stop = Stop::install(args.common.data.minutes)?;
    if train(args, stop)?.is_none() {
        say!("stopped; the same command goes on from here");
    }
    Ok(())
}

/// Trains to the end. `None`: stopped before, to go on later.
pub(super) fn train(args: &TrainAecnnArgs, stop: Stop) -> Result<Option<MethodResult>> {
    let harness = Harness::open(&args.common.data, stop)?;
    let split = args.common.split;
    let feature = harness.feature_shape(split);
    check_cut(feature, args.channels, ("--pool", args.pool))?;
    ensure!(
        args.reduction > 0 && args.width > 0,
        "--reduction and --width must be at least 1"
    );
    let Some((network, parts)) = harness.network(split)? else {
        return Ok(None);
    };
    let Some(attention) = attention(&harness, args, &network, &parts)? else {
        return Ok(None);
    };
    let mean = mean_attention(&harness, &attention, &parts.train)?;
    let kept = highest(&mean, args.channels);
    let codec = codec(&harness, args, &attention, &mean, &kept, &parts.train)?;
    harness.train_codec(Method {
        name: "aecnn",
        args: &args.common,
        codec,
        selection: Selection::Kept(kept),
        network: &network,
        parts: &parts,
        setting: setting(args),
    })
}

/// Whether a feature has so many channels to keep, and a side that the flag's blocks divide.
pub(super) fn check_cut(
    feature: FeatureShape,
    channels: usize,
    (flag, block): (&str, usize),
) -> Result<()> {
    ensure!(
        (1..=feature.channels).contains(&channels),
        "--channels {channels} of {} are not possible",
        feature.channels
    );
    ensure!(
        block > 0 && feature.height.is_multiple_of(block),
        "{flag} {block} does not divide the feature's side of {}",
        feature.height
    );
    Ok(())
}

fn setting(args: &TrainAecnnArgs) -> Value {
    json!({
        "channels": args.channels,
        "pool": args.pool,
        "reduction": args.reduction,
        "width": args.width,
        "attention_epochs": args.attention_epochs,
        "attention_rate": args.attention_rate,
        "sparsity": args.sparsity,
    })
}

#[derive(Module, Debug)]
struct Attended {
    attention: ChannelAttention,
    tail: Tail,
}

/// Step 2: the attention's training.
fn attention(
    harness: &Harness,
    args: &TrainAecnnArgs,
    network: &ResNet50,
    parts: &Parts,
) -> Result<Option<ChannelAttention>> {
    let split = args.common.split;
    let tail = network.tail(split);
    let config = json!({
        "split": split,
        "pack": harness.pack.digest,
        "network": digest(&collect(network)?),
        "seed": args.common.data.seed,
        "batch": args.common.data.batch,
        "balance": args.common.data.balance,
        "reduction": args.reduction,
        "epochs": args.attention_epochs,
        "rate": args.attention_rate,
        "sparsity": args.sparsity,
    });
    let folder = RunFolder::open(&args.common.data.out.join("attention"), &config)?;
    let channels = parts.train.shape.channels;
    let hidden = (channels / args.reduction).max(1);
    let net = Attended {
        attention: ChannelAttention::new(channels, hidden, &harness.tracked),
        tail: tracked(tail),
    };
    let net = initialise(net, "attention", args.common.data.seed)?;
    let order = harness.order(&parts.train.classes, args.common.data.batch, 3);
    let settings = harness.settings(
        "2 attention",
        order.steps(args.attention_epochs),
        args.attention_rate,
        vec![Group::new("attention", 1.0)],
    );
    let frozen = harness.frozen(network, split)?;
    let run = Run::begin(folder.clone(), settings, net)?;
    let outcome = run.train(&harness.stop, |step, net| {
        let which = order.samples_of(step);
        let (feature, classes) = parts.train.batch(&which, &harness.tracked);
        let weights = net.attention.weights(feature.clone());
        let behind = frozen
            .as_ref()
            .map_or(Behind::Learning(&net.tail), Behind::Frozen);
        let attended = feature * weights.clone();
        let (answers, right) = behind.answer(attended, &classes, &harness.tracked)?;
        let mean = weights.mean();
        let measures = vec![
            ("accuracy", right),
            (
                "mean_attention",
                f64::from(mean.clone().detach().try_into_scalar::<f32>()?),
            ),
        ];
        Ok(Step {
            loss: answers + mean * args.sparsity as f32,
            samples: which.len(),
            measures,
        })
    })?;
    let Some(net) = outcome else {
        return Ok(None);
    };
    let top1 = parts.validation.accuracy(&harness.device, |feature| {
        net.tail.forward(net.attention.forward(feature))
    });
    folder.write("result.json", &json!({ "validation_top1": top1 }))?;
    say!("2 attention: validation top-1 {}", percent(top1));
    Ok(Some(net.attention))
}

/// Each channel's attention, averaged over the training pictures.
fn mean_attention(
    harness: &Harness,
    attention: &ChannelAttention,
    features: &Features,
) -> Result<Vec<f64>> {
    let mut sums = vec![0.0; features.shape.channels];
    for which in features.batches(64) {
        let (feature, _) = features.batch(&which, &harness.device);
        let weights = attention.weights(feature).try_into_vec_as::<f32>()?;
        for row in weights.chunks(sums.len()) {
            for (sum, weight) in sums.iter_mut().zip(row) {
                *sum += f64::from(*weight);
            }
        }
    }
    let n = features.len().max(1) as f64;
    Ok(sums.into_iter().map(|sum| sum / n).collect())
}

/// The `keep` highest channels, the highest first; equal ones by their number.
pub(super) fn highest(mean: &[f64], keep: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..mean.len()).collect();
    order.sort_by(|a, b| mean[*b].total_cmp(&mean[*a]));
    order.truncate(keep);
    order
}

/// Step 3's codec before training: the trained attention cut down to the kept channels, a range that holds what it
/// gives, and a decoder that passes the kept channels on and puts the mean in place of the others.
fn codec(
    harness: &Harness,
    args: &TrainAecnnArgs,
    attention: &ChannelAttention,
    mean: &[f64],
    kept: &[usize],
    features: &Features,
) -> Result<ChannelCodec> {
    let feature = features.shape;
    let hidden = (feature.channels / args.reduction).max(1);
    let codec = ChannelCodec::new(
        ChannelCodecConfig {
            feature,
            channels: kept.len(),
            attention: hidden,
            pool: args.pool,
            width: args.width,
        },
        &harness.tracked,
    );
    let codec = initialise(codec, "", args.common.data.seed)?;
    let mut values: Named = cut_attention(attention, kept)?
        .into_iter()
        .map(|(name, data)| (format!("attention.{name}"), data))
        .collect();
    let detail = values_of(&collect(&codec)?, "output.weight")?;
    // The hidden path starts almost silent beside the linear one.
    let detail: Vec<f32> = detail.into_iter().map(|value| 0.1 * value).collect();
    let shape = [feature.channels, args.width, 1, 1];
    values.insert("output.weight".to_owned(), TensorData::new(detail, shape));

    let mut linear = vec![0.0f32; feature.channels * kept.len()];
    for (at, channel) in kept.iter().enumerate() {
        linear[channel * kept.len() + at] = mean[*channel].max(0.05).recip() as f32;
    }
    let sample: Vec<usize> = (0..features.len().min(CALIBRATION))
        .map(|at| at * features.len() / features.len().min(CALIBRATION))
        .collect();
    let (batch, _) = features.batch(&sample, &harness.device);
    let means = batch.clone().mean_dim(0).mean_dim(2).mean_dim(3);
    let mut bias = means.try_into_vec_as::<f32>()?;
    for channel in kept {
        bias[*channel] = 0.0;
    }
    let shape = [feature.channels, kept.len(), 1, 1];
    values.insert("linear.weight".to_owned(), TensorData::new(linear, shape));
    values.insert(
        "linear.bias".to_owned(),
        TensorData::new(bias, [feature.channels]),
    );

    let codec = restore(codec, values)?;
    let input = batch.select(1, indices(kept, &harness.device));
    let mut scaled = codec.valid().scaled(input).try_into_vec_as::<f32>()?;
    scaled.sort_by(f32::total_cmp);
    let at = (RANGE_QUANTILE * (scaled.len() - 1) as f64) as usize;
    let range = scaled.get(at).copied().unwrap_or(1.0).max(1e-3);
    let range = TensorData::new(vec![range], [1]);
    restore(codec, [("range".to_owned(), range)].into())
}

/// The attention's parameters for the kept channels only.
pub(super) fn cut_attention(attention: &ChannelAttention, kept: &[usize]) -> Result<Named> {
    let whole = collect(attention)?;
    let inner = whole
        .get("squeeze.bias")
        .context("the attention has no inner bias")?;
    let bias = values_of(&whole, "excite.bias")?;
    let channels = bias.len();
    let pick = |row: &[f32]| -> Vec<f32> { kept.iter().map(|channel| row[*channel]).collect() };
    let squeeze = values_of(&whole, "squeeze.weight")?;
    let hidden = squeeze.len() / channels;
    let squeeze: Vec<f32> = squeeze.chunks(channels).flat_map(pick).collect();
    let excite = values_of(&whole, "excite.weight")?;
    let excite: Vec<f32> = kept
        .iter()
        .flat_map(|channel| excite[channel * hidden..][..hidden].to_vec())
        .collect();
    let k = kept.len();
    Ok([
        (
            "squeeze.weight",
            TensorData::new(squeeze, [hidden, k, 1, 1]),
        ),
        ("squeeze.bias", inner.clone()),
        ("excite.weight", TensorData::new(excite, [k, hidden, 1, 1])),
        ("excite.bias", TensorData::new(pick(&bias), [k])),
    ]
    .map(|(name, data)| (name.to_owned(), data))
    .into())
}

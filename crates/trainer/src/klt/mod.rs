//! `trainer fit-klt`: a codec that needs no training.
//!
//! A sensitivity-weighted Karhunen-Loève transform. The feature is gathered in blocks
//! (space to depth) to vectors `x` with mean `m` and covariance `S`. The network's sensitivity is
//! `M = E[g g^T]` with `g` the gradient of a random direction in its answer with respect to `x`:
//! an error `e` costs about `e^T M e`. In the coordinates `M^(1/2) (x - m)` that cost is the plain
//! squared error, so the best linear transform is the eigenbasis `U` of `M^(1/2) S M^(1/2)`, the
//! best quantiser has one step for all components, and the components' order is the order of
//! their importance:
//!
//! ```text
//! analysis   y = U^T M^(1/2) (x - m)
//! synthesis  x = V M^(-1/2) U y + m
//! ```
//!
//! What least squares restores varies less than what was sent, and the layers behind it answer to that as to a
//! picture of low contrast. So both what the components left out (`V`, a scale for each value of the block)
//! and what the dead zone took ([`rates::Vigour`]) is made up for in the variance.

mod contexts;
pub(crate) mod rates;
mod statistics;
mod transform;

use std::path::PathBuf;

use aecnn::codec::{CodecFile, Method};
use aecnn::{Split, Variant};
use anyhow::{Result, ensure};
use burn::tensor::Device;
use clap::Args;

use crate::data::PictureArgs;
use crate::model::ModelFolder;
use crate::publish::publish;
use statistics::Statistics;
pub(crate) use statistics::{add, gather_blocks};

/// Fits a codec that needs no training: a sensitivity-weighted KLT.
///
/// Takes minutes on a CPU. Writes the codec file into the model folder and lists it in the
/// manifest. Pictures need no classes.
#[derive(Args, Debug)]
pub(crate) struct FitKltArgs {
    /// The model folder.
    #[arg(long, default_value = "models/resnet50-imagenet")]
    model: PathBuf,
    /// Where to cut the network: stem, stage1, stage2, stage3 or stage4.
    #[arg(long)]
    split: Split,
    #[command(flatten)]
    pictures: PictureArgs,
    /// Rows and columns of a block; 2 by default, 1 where the feature's side is odd.
    #[arg(long)]
    block: Option<usize>,
    /// Components kept.
    #[arg(long, default_value_t = 256)]
    channels: usize,
    /// Wanted mean payloads in bytes; the step of each rate is searched for.
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "500,750,1000,1300,1650,2200,3000,4500"
    )]
    bytes: Vec<f64>,
    /// Added to magnitudes before rounding down; 0.5 is plain rounding, less a dead zone.
    #[arg(long, default_value_t = 0.4)]
    rounding: f32,
    /// Pictures whose gradients are taken (they cost ten times the others).
    #[arg(long, default_value_t = 768)]
    gradients: usize,
    /// Random directions of the answer a picture.
    #[arg(long, default_value_t = 1)]
    probes: usize,
    /// Softens the answer whose sensitivity is taken: 1 asks what changes the probabilities, much more
    /// asks what changes any logit.
    #[arg(long, default_value_t = 2.0)]
    temperature: f64,
    /// Regularisation of the sensitivity, as a share of its mean eigenvalue.
    #[arg(long, default_value_t = 0.01)]
    ridge: f64,
    /// A codec of this split: gradients are taken on the way from the feature to what this codec makes of it,
    /// instead of at the feature.
    #[arg(long)]
    around: Option<PathBuf>,
    /// Index of the rate of that codec.
    #[arg(long, default_value_t = 5, requires = "around")]
    around_rate: usize,
    /// How far positions that matter more are quantised more finely: 0 is not at all, 1 in proportion to the
    /// root of their mean squared gradient.
    #[arg(long, default_value_t = 0.5)]
    position_gain: f64,
    /// How much of the variance that the components left out is given back to the values of a block: 0 is none,
    /// 1 is all.
    #[arg(long, default_value_t = 1.0)]
    restore_variance: f64,
    /// How far what a step is restored as goes from least squares (0) to the variance of its channel (1).
    #[arg(long, default_value_t = 0.8)]
    restore_channels: f64,
    /// A factor on all that is restored.
    #[arg(long, default_value_t = 1.1)]
    restore_scale: f64,
    /// Where to keep what was gathered from the pictures: written if the file is not there, else read.
    /// Gathering takes minutes, everything behind it seconds.
    #[arg(long)]
    statistics: Option<PathBuf>,
    /// Pictures held out of the fit, on which rates are measured.
    #[arg(long, default_value_t = 100)]
    held_out: usize,
    /// Index of the rate that programs use by default.
    #[arg(long, default_value_t = 4)]
    default_rate: usize,
    /// Seed of the random directions and of the pictures' order.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The codec's name; `klt-<split>` by default.
    #[arg(long)]
    name: Option<String>,
}

pub(crate) fn run(args: &FitKltArgs) -> Result<()> {
    let device = Device::flex();
    let mut model = ModelFolder::open(&args.model)?;
    let labels = model.labels()?;
    let plain = model.network(&device)?;
    let variant = model.manifest.variant;
    let block = args
        .block
        .unwrap_or_else(|| default_block(variant, args.split));
    let feature = variant.feature_shape(args.split);
    ensure!(
        block > 0 && feature.height.is_multiple_of(block),
        "blocks of {block} do not tile the {0}x{0} feature of {1}",
        feature.height,
        args.split
    );

    let (pictures, held_out) = args.pictures.draw(&labels, args.seed, args.held_out, 1)?;

    let statistics = match &args.statistics {
        Some(path) if path.exists() => Statistics::load(path, feature.channels * block * block)?,
        path => {
            let gathered = Statistics::gather(args, block, &pictures, &model, &plain, &device)?;
            if let Some(path) = path {
                gathered.save(path)?;
            }
            gathered
        }
    };
    let transform = transform::fit(
        &statistics,
        feature,
        block,
        args.channels,
        args.ridge,
        transform::Emphasis {
            positions: args.position_gain,
            variance: args.restore_variance,
        },
    )?;

    let name = args
        .name
        .clone()
        .unwrap_or_else(|| format!("klt-{}", args.split));
    let fitted_to = format!(
        "{} pictures, {} of them for gradients, seed {}",
        statistics.pictures, statistics.gradient_pictures, args.seed
    );
    let vigour = rates::Vigour {
        channels: args.restore_channels,
        scale: args.restore_scale,
    };
    let rates = rates::fit(&statistics, &transform, &args.bytes, args.rounding, vigour)?;
    let codec = CodecFile::new(
        name,
        Method::Klt,
        model.manifest.digest.clone(),
        args.split,
        fitted_to,
        transform,
        rates,
    )?;
    publish(
        &mut model,
        &plain,
        &codec,
        &held_out,
        args.default_rate,
        &device,
    )
}

fn default_block(variant: Variant, split: Split) -> usize {
    if variant.feature_shape(split).height.is_multiple_of(2) {
        2
    } else {
        1
    }
}

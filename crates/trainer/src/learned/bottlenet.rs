//! `trainer train-bottlenet`: BottleNet++ on the same data, through the same hands.

use aecnn::learned::{BottleNet, BottleNetConfig};
use anyhow::{Result, ensure};
use clap::Args;
use serde_json::json;

use super::codec::{Method, Selection};
use super::harness::{CommonArgs, Harness};
use super::measure::MethodResult;
use crate::say;
use crate::train::{Stop, initialise};

/// Trains BottleNet++ on a data set, to compare with.
///
/// Phase 1, the network on the data set (as for AECNN; share it with --network); phase 2, the bottleneck with the
/// rest frozen, first on features, then on answers; phase 3, everything at a small rate. The result has the bytes
/// with and without entropy coding.
#[derive(Args, Debug, Clone)]
pub(crate) struct TrainBottlenetArgs {
    #[command(flatten)]
    pub(super) common: CommonArgs,
    /// Channels that are sent.
    #[arg(long)]
    channels: usize,
    /// Stride of the convolution that makes them.
    #[arg(long, default_value_t = 1)]
    stride: usize,
}

pub(crate) fn run(args: &TrainBottlenetArgs) -> Result<()> {
    let stop = Stop::install(args.common.data.minutes)?;
    if train(args, stop)?.is_none() {
        say!("stopped; the same command goes on from here");
    }
    Ok(())
}

/// Trains to the end. `None`: stopped before, to go on later.
pub(super) fn train(args: &TrainBottlenetArgs, stop: Stop) -> Result<Option<MethodResult>> {
    let harness = Harness::open(&args.common.data, stop)?;
    let split = args.common.split;
    let feature = harness.feature_shape(split);
    ensure!(
        args.channels > 0 && (1..=feature.height).contains(&args.stride),
        "--channels and --stride must be at least 1, the stride at most {}",
        feature.height
    );
    let Some((network, parts)) = harness.network(split)? else {
        return Ok(None);
    };
    let config = BottleNetConfig {
        feature,
        channels: args.channels,
        stride: args.stride,
    };
    let codec = BottleNet::new(config, &harness.tracked);
    harness.train_codec(Method {
        name: "bottlenet++",
        args: &args.common,
        codec: initialise(codec, "", args.common.data.seed)?,
        selection: Selection::All,
        network: &network,
        parts: &parts,
        setting: json!({ "channels": args.channels, "stride": args.stride }),
    })
}

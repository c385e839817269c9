//! `trainer train-rate`: the rate-optimised AECNN.
//!
//! Starts from a sensitivity-weighted KLT and trains, with the backbone frozen and without labels,
//! what is around it: channel attention on the device, the bottleneck, gains by position, and the
//! server's refinement of what it decodes. Each picture of a batch is sent at a rate of its own; its
//! loss is
//!
//! ```text
//! (KL(uncompressed answer || answer) + lambda[rate] * bits) / KL at that rate before training
//! ```
//!
//! with `lambda[rate]` the slope of the starting codec's own curve at that rate, so that the bytes of a
//! rate stay about where they were and what is gained is accuracy. Symbols are rounded in the loop
//! as a device rounds them; gradients pass straight through. Bits are those of the codec's own
//! tables: a running estimate, for each rate and channel, of how often a symbol is zero and how fast
//! the others fall off.

mod checkpoint;
mod curve;
mod export;
mod model;
mod pictures;
mod prior;
mod step;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::{Duration, Instant};

use aecnn::codec::Rate;
use aecnn::resnet::TailGradient;
use anyhow::{Context, Result, ensure};
use burn::lr_scheduler::module_lr_scheduler::{ModuleLearningRate, ModuleLrScheduler};
use burn::module::ParamGroup;
use burn::optim::{AdamConfig, GradientsParams, ModuleOptimizer};
use burn::tensor::{Device, Tensor};
use clap::Args;

use crate::data::PictureArgs;
use crate::klt::rates::components_of;
use crate::measure::BATCH;
use crate::model::{ModelFolder, read_codec};
use crate::train::{Backend, Stop, precision};
use model::{NetworkArgs, RateCodec};
use pictures::Pictures;
use prior::Prior;

/// Batches that are made ready while a step runs.
const AHEAD: usize = 2;

/// Trains the rate-optimised AECNN: fewer bytes at the same accuracy than the KLT it starts from.
///
/// Needs pictures, no classes. A run folder keeps a checkpoint: the same command goes on from
/// there. Ends after --minutes, writes the codec beside the weights and lists it in the manifest.
#[derive(Args, Debug)]
pub(crate) struct TrainRateArgs {
    /// The model folder.
    #[arg(long, default_value = "models/resnet50-imagenet")]
    model: PathBuf,
    /// The codec to start from, as `trainer fit-klt` or an earlier training wrote it; its rates are those
    /// of the result.
    #[arg(long)]
    from: PathBuf,
    /// Where checkpoint and log are kept.
    #[arg(long)]
    run: PathBuf,
    #[command(flatten)]
    pictures: PictureArgs,
    #[command(flatten)]
    network: NetworkArgs,
    /// Where the arithmetic runs.
    #[arg(long, default_value = "flex", value_enum)]
    backend: Backend,
    /// Run the network around the codec, which does not learn, in half precision. For GPUs: they do it several times as
    /// fast.
    #[arg(long)]
    half: bool,
    /// Minutes of training in this call.
    #[arg(long, default_value_t = 60.0)]
    minutes: f64,
    /// Steps after which the learning rate has fallen to a twentieth, over all calls.
    #[arg(long, default_value_t = 4000)]
    steps: usize,
    /// Stop after this step in this call, however much time is left.
    #[arg(long)]
    stop_after: Option<usize>,
    /// Pictures a step.
    #[arg(long, default_value_t = 16)]
    batch: usize,
    /// Learning rate of the attention and the refinement; the linear maps have shares of it.
    #[arg(long, default_value_t = 5e-4)]
    learning_rate: f64,
    /// Share of the learning rate that the analysis has.
    #[arg(long, default_value_t = 0.03)]
    analysis_share: f64,
    /// Share of the learning rate that the synthesis has.
    #[arg(long, default_value_t = 0.1)]
    synthesis_share: f64,
    /// Share of the pictures whose last channels are dropped, so that any prefix decodes.
    #[arg(long, default_value_t = 0.1)]
    tail_drop: f64,
    /// Minutes between checkpoints.
    #[arg(long, default_value_t = 5.0)]
    checkpoint_minutes: f64,
    /// Pictures held out, on which rates are measured.
    #[arg(long, default_value_t = 300)]
    held_out: usize,
    /// Pictures to which the tables are fitted.
    #[arg(long, default_value_t = 2000)]
    calibration: usize,
    /// Index of the rate that programs use by default.
    #[arg(long, default_value_t = 4)]
    default_rate: usize,
    /// Seed of everything random.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The codec's name; `aecnn-<split>` by default, `paper-<split>` for the paper's.
    #[arg(long)]
    name: Option<String>,
}

pub(crate) fn run(args: &TrainRateArgs) -> Result<()> {
    let device = args.backend.device();
    let precision = precision(args.half, &device)?;
    let tracked = device.clone().autodiff();
    let mut folder = ModelFolder::open(&args.model)?;
    let start = read_codec(&args.from)?;
    ensure!(
        start.model == folder.manifest.digest,
        "{} was made for another network than {}",
        args.from.display(),
        args.model.display()
    );
    std::fs::create_dir_all(&args.run)
        .with_context(|| format!("creating {}", args.run.display()))?;
    let pictures = Pictures::load(args, &folder)?;

    // Starting and exporting need no gradients.
    let plain = folder.network(&device)?;
    let curve = curve::Curve::measure_once(args, &folder, &plain, &start, &pictures, &device)?;
    let split = start.split;
    let calibration = pictures.whole(args.held_out, BATCH);
    let latents = export::latents(&folder, &plain, &start, calibration, &device)?;
    let components = components_of(&latents, start.positions());
    let mut trainer = Trainer {
        codec: RateCodec::from_codec(&start, &latents, &args.network, args.seed, &tracked)?,
        optimizer: AdamConfig::new().with_epsilon(1e-8).init(),
        prior: Prior::new(&start.rates, &components),
        step: 0,
    };
    checkpoint::resume(&args.run, &mut trainer, &tracked)?;

    let network = plain.clone().with_precision(precision);
    let teacher = step::Teacher {
        front: network.front(split),
        tail: network.tail(split),
        precision,
    };
    let tail = folder.tail_gradient(split, precision, &device)?;
    let [k, _, _] = start.latent_shape();
    let loss = step::Loss {
        steps: start.rates.iter().map(|rate| rate.step).collect(),
        reconstructions: start.rates.iter().map(|r| reconstruction(r, k)).collect(),
        rounding: start.rates[0].rounding,
        lambdas: curve.lambdas(),
        references: curve.divergences(),
        tail_drop: args.tail_drop,
    };
    train(
        args,
        &mut trainer,
        &teacher,
        &tail,
        &loss,
        &pictures,
        &tracked,
    )?;
    export::write(
        args,
        &mut folder,
        &plain,
        &start,
        &trainer.codec,
        &pictures,
        &device,
    )
}

/// What the starting codec restores a symbol as, in steps; a step where it sends none. Training goes round it: fitted
/// anew to least squares, it would take the variance away that the start gives back.
fn reconstruction(rate: &Rate, channels: usize) -> Vec<f32> {
    let mut steps: Vec<f32> = rate.reconstruction.iter().map(|r| r / rate.step).collect();
    steps.resize(channels, 1.0);
    steps
}

/// What training changes.
pub(super) struct Trainer {
    codec: RateCodec,
    optimizer: ModuleOptimizer,
    prior: Prior,
    step: usize,
}

fn train(
    args: &TrainRateArgs,
    trainer: &mut Trainer,
    teacher: &step::Teacher,
    tail: &TailGradient,
    loss: &step::Loss,
    pictures: &Pictures,
    device: &Device,
) -> Result<()> {
    let interval = Duration::from_secs_f64(60.0 * args.checkpoint_minutes);
    let mut saved = Instant::now();
    let mut log = checkpoint::Log::open(&args.run)?;
    let stop = Stop::install(Some(args.minutes))?;
    let last = args.stop_after.unwrap_or(args.steps).min(args.steps);
    thread::scope(|scope| -> Result<()> {
        // The next crops are made while a step runs; whoever no longer receives ends that.
        let (sender, batches) = sync_channel(AHEAD);
        let from = trainer.step;
        scope.spawn(move || {
            for step in from..last {
                let batch = pictures.batch(step, args.batch, args.seed, teacher.precision);
                if sender.send(batch).is_err() {
                    return;
                }
            }
        });
        while trainer.step < last && !stop.now() {
            let batch = batches.recv().context("no further pictures")??;
            let pending = step::forward(trainer, teacher, tail, loss, batch, device)?;
            // A GPU has all of the step to do before anybody waits for it.
            learn(args, trainer, &pending.loss);
            let outcome = pending.read(&mut trainer.prior)?;
            ensure!(
                outcome.value.is_finite(),
                "the loss is {} at step {}; a lower learning rate may help",
                outcome.value,
                trainer.step
            );
            log.add(trainer.step, &outcome)?;
            if saved.elapsed() > interval {
                checkpoint::save(&args.run, trainer)?;
                saved = Instant::now();
            }
        }
        drop(batches);
        Ok(())
    })?;
    checkpoint::save(&args.run, trainer)?;
    crate::say!(
        "{} of {} steps done; the same command goes on from {}",
        trainer.step,
        args.steps,
        args.run.display()
    );
    Ok(())
}

/// One step of the optimiser down the loss.
fn learn(args: &TrainRateArgs, trainer: &mut Trainer, loss: &Tensor<1>) {
    let mut gradients = loss.backward();
    let gradients = GradientsParams::from_module(&mut gradients, &trainer.codec);
    let rate = learning_rate(args, trainer.step);
    let codec = trainer.codec.clone();
    trainer.codec = trainer.optimizer.step(rate, codec, gradients);
    trainer.step += 1;
}

/// A short warm-up, then half a cosine to a twentieth.
fn learning_rate(args: &TrainRateArgs, step: usize) -> ModuleLearningRate {
    let progress = (step as f64 / args.steps.max(1) as f64).min(1.0);
    let fall = 0.05 + 0.95 * 0.5 * (1.0 + (std::f64::consts::PI * progress).cos());
    let warm_up = ((step + 1) as f64 / 30.0).min(1.0);
    let base = args.learning_rate * fall * warm_up;
    ModuleLrScheduler::new(base)
        .with_group(
            ParamGroup::from_path("encoder.weight"),
            base * args.analysis_share,
        )
        .with_group(
            ParamGroup::from_path("decoder.weight"),
            base * args.synthesis_share,
        )
        .with_group(ParamGroup::from_predicate("gain"), base * 2.0)
        .step()
}

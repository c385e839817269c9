//! One step of training: from pictures to the loss.

use aecnn::resnet::{Front, Tail};
use anyhow::{Context, Result};
use burn::tensor::activation::{log_softmax, sigmoid};
use burn::tensor::{Device, Tensor, TensorData};

use super::Trainer;
use super::pictures::Batch;
use crate::slope::SlopedTail;

/// How far from the rounding threshold, in steps, a value's cost still changes.
const SOFTNESS: f64 = 0.12;

/// The uncompressed network.
pub(super) struct Teacher {
    pub(super) front: Front,
    pub(super) tail: Tail,
}

/// What is minimised.
pub(super) struct Loss {
    /// The step of each rate.
    pub(super) steps: Vec<f32>,
    /// What one symbol of each channel is restored as at each rate, in steps.
    pub(super) reconstructions: Vec<Vec<f32>>,
    pub(super) rounding: f32,
    /// Nats a bit, for each rate.
    pub(super) lambdas: Vec<f64>,
    /// The divergence of each rate before training, in nats.
    pub(super) references: Vec<f64>,
    /// Share of pictures that lose their last channels.
    pub(super) tail_drop: f64,
}

/// A step's loss and what it was made of, means over the batch.
pub(super) struct Outcome {
    /// What has the loss's gradient; its value says nothing.
    pub(super) loss: Tensor<1>,
    /// Divergence relative to that before training.
    pub(super) divergence: f64,
    /// Bits a picture, relative to those before training where lambda is exact.
    pub(super) bits: Vec<f64>,
    pub(super) rates: Vec<usize>,
    pub(super) value: f64,
}

pub(super) fn forward(
    trainer: &mut Trainer,
    teacher: &Teacher,
    tail: &SlopedTail,
    loss: &Loss,
    batch: Batch,
    device: &Device,
) -> Result<Outcome> {
    let (input, seeds) = batch.into_input(&device.clone().inner());
    let n = seeds.len();
    let feature = teacher.front.forward(input);
    let wanted = log_softmax(teacher.tail.forward(feature.clone()), 1);

    let latent = trainer.codec.encoder.forward(Tensor::from_inner(feature));
    let [_, k, rows, columns] = latent.dims();
    let rates: Vec<usize> = seeds
        .iter()
        .map(|seed| (seed % loss.steps.len() as u64) as usize)
        .collect();
    let steps: Vec<f32> = rates.iter().map(|rate| loss.steps[*rate]).collect();
    let step = Tensor::<4>::from_data(TensorData::new(steps, [n, 1, 1, 1]), device);
    let reconstruction: Vec<f32> = rates
        .iter()
        .flat_map(|rate| loss.reconstructions[*rate].iter().copied())
        .collect();
    let reconstruction =
        Tensor::<4>::from_data(TensorData::new(reconstruction, [n, k, 1, 1]), device);
    let costs = trainer.prior.costs(&rates, device);

    // In steps, as the device quantises.
    let scaled = latent / step.clone();
    let values = scaled.clone().inner();
    let magnitude = values.clone().abs();
    let rounded = (magnitude + loss.rounding).floor();
    let symbols = values.clone().sign() * rounded;

    let kept = kept(&seeds, k, loss.tail_drop, device);
    let restored = Tensor::from_inner(symbols.clone()) * reconstruction;
    // Straight through: the restored value, with the gradient of the value itself.
    let through = scaled.clone() + (restored - scaled.clone()).detach();
    let feature = trainer
        .codec
        .decoder
        .forward(through * step.clone() * kept.clone(), &step);
    // The network does not learn: what is known of its answer is brought back to the feature at once.
    let (logits, trace) = tail.forward(feature.clone().inner());
    let logits = Tensor::from_inner(logits).require_grad();
    let answer = log_softmax(logits.clone(), 1);
    let wanted = Tensor::<2>::from_inner(wanted);
    let divergence: Tensor<1> = (wanted.clone().exp() * (wanted - answer))
        .sum_dim(1)
        .squeeze_dim(1);

    // What a symbol costs changes where rounding changes it; near there its cost is taken as what it is
    // on average.
    let t = scaled.abs();
    let threshold = 1.0 - f64::from(loss.rounding);
    let bits = costs.zero
        + costs.first * sigmoid((t.clone() - threshold) / SOFTNESS)
        + costs.further * (t - threshold - 0.5).clamp_min(0.0);
    let bits: Tensor<1> = (bits * kept).flatten::<2>(1, 3).sum_dim(1).squeeze_dim(1);

    let weights = |of: &dyn Fn(usize) -> f64| {
        let values: Vec<f32> = rates.iter().map(|rate| of(*rate) as f32).collect();
        Tensor::<1>::from_data(TensorData::new(values, [n]), device)
    };
    let relative = divergence * weights(&|rate| 1.0 / loss.references[rate]);
    let price = weights(&|rate| loss.lambdas[rate] / loss.references[rate]);
    let gradients = relative.clone().mean().backward();
    let slope = logits
        .grad(&gradients)
        .context("the divergence gave no gradient for the answer")?;
    let slope = Tensor::from_inner(tail.backward(trace, slope)?);
    let cost = (bits.clone() * price).mean();
    let total = (feature * slope).sum() + cost.clone();

    let read = |tensor: Tensor<1>| -> Result<Vec<f32>> { Ok(tensor.try_into_vec_as::<f32>()?) };
    let symbols = symbols.try_into_vec_as::<f32>()?;
    trainer.prior.update(&rates, &symbols, rows * columns);
    let divergence = read(relative)?;
    let divergence = divergence.iter().copied().map(f64::from).sum::<f64>() / n as f64;
    Ok(Outcome {
        value: divergence + f64::from(read(cost)?[0]),
        divergence,
        bits: read(bits)?.into_iter().map(f64::from).collect(),
        rates,
        loss: total,
    })
}

/// Ones `[n, k, 1, 1]`, and zeros for the last channels of some pictures.
fn kept(seeds: &[u64], k: usize, share: f64, device: &Device) -> Tensor<4> {
    let values: Vec<f32> = seeds
        .iter()
        .flat_map(|seed| {
            let mut random = fastrand::Rng::with_seed(seed.rotate_left(17));
            let keep = if random.f64() < share {
                random.usize((k / 8).max(1)..=k)
            } else {
                k
            };
            (0..k).map(move |channel| if channel < keep { 1.0 } else { 0.0 })
        })
        .collect();
    Tensor::from_data(TensorData::new(values, [seeds.len(), k, 1, 1]), device)
}

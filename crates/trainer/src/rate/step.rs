//! One step of training: from pictures to the loss.

use aecnn::resnet::{Front, Precision, Tail, TailGradient};
use anyhow::{Context, Result};
use burn::tensor::activation::{log_softmax, sigmoid};
use burn::tensor::{Device, FloatDType, Tensor, TensorData};

use super::Trainer;
use super::pictures::Batch;
use super::prior::Prior;

/// How far from the rounding threshold, in steps, a value's cost still changes.
const SOFTNESS: f64 = 0.12;

/// The uncompressed network.
pub(super) struct Teacher {
    pub(super) front: Front,
    pub(super) tail: Tail,
    /// In which it computes.
    pub(super) precision: Precision,
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

/// A step's loss and what it is made of, still on the device: to read any of it is to wait for the step.
pub(super) struct Pending {
    /// What has the loss's gradient; its value says nothing.
    pub(super) loss: Tensor<1>,
    rates: Vec<usize>,
    /// Of each picture, relative to that before training.
    divergence: Tensor<1>,
    /// Of each picture.
    bits: Tensor<1>,
    /// Mean price of the bits.
    cost: Tensor<1>,
    /// How many symbols of each picture and channel are other than zero, and the sum of their magnitudes: `[n, k]`.
    counts: [Tensor<2>; 2],
    positions: usize,
}

/// What a step's loss was made of, means over the batch.
pub(super) struct Outcome {
    /// Divergence relative to that before training.
    pub(super) divergence: f64,
    /// Bits of each picture.
    pub(super) bits: Vec<f64>,
    /// The rate of each picture.
    pub(super) rates: Vec<usize>,
    pub(super) value: f64,
}

impl Pending {
    /// Waits for the step; what its symbols were goes into the prior.
    pub(super) fn read(self, prior: &mut Prior) -> Result<Outcome> {
        let read = |tensor: Tensor<1>| -> Result<Vec<f32>> { Ok(tensor.try_into_vec_as::<f32>()?) };
        let [nonzero, magnitude] = self.counts.map(|counts| counts.flatten::<1>(0, 1));
        let counts = [read(nonzero)?, read(magnitude)?];
        prior.update(&self.rates, &counts, self.positions);
        let divergence = read(self.divergence)?;
        let n = divergence.len() as f64;
        let divergence = divergence.iter().copied().map(f64::from).sum::<f64>() / n;
        Ok(Outcome {
            value: divergence + f64::from(read(self.cost)?[0]),
            divergence,
            bits: read(self.bits)?.into_iter().map(f64::from).collect(),
            rates: self.rates,
        })
    }
}

pub(super) fn forward(
    trainer: &Trainer,
    teacher: &Teacher,
    tail: &TailGradient,
    loss: &Loss,
    batch: Batch,
    device: &Device,
) -> Result<Pending> {
    let (input, seeds) = batch.into_input(&device.clone().inner());
    let n = seeds.len();
    let feature = teacher.front.forward(input);
    let wanted = log_softmax(teacher.tail.forward(feature.clone()), 1);

    let feature = Tensor::from_inner(feature.cast(FloatDType::F32));
    let latent = trainer.codec.encoder.forward(feature);
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
    let symbols = values.sign() * rounded.clone();

    let kept = kept(&seeds, k, loss.tail_drop, device);
    let counts = [rounded.clone().clamp_max(1.0), rounded]
        .map(|counts| counts.flatten::<3>(2, 3).sum_dim(2).squeeze_dim(2));
    let restored = Tensor::from_inner(symbols) * reconstruction;
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
    let slope = Tensor::from_inner(trace.backward(slope));
    let cost = (bits.clone() * price).mean();
    let total = (feature * slope).sum() + cost.clone();

    Ok(Pending {
        loss: total,
        rates,
        divergence: relative.inner(),
        bits: bits.inner(),
        cost: cost.inner(),
        counts,
        positions: rows * columns,
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

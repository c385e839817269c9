//! The pictures that are trained on, in memory, and the crops that a step sees.

use aecnn::preprocess::{INPUT, Preprocessing, normalise};
use aecnn::resnet::Precision;
use anyhow::{Result, ensure};
use burn::tensor::{Device, Tensor, TensorData};
use half::f16;
use half::slice::HalfFloatSliceExt;
use rayon::prelude::*;

use super::TrainRateArgs;
use crate::data::{Loader, Picture, Window, resample};
use crate::model::ModelFolder;
use crate::progress::{bar, report_broken};

/// The least share of a picture's area that a crop shows.
const LEAST_AREA: f64 = 0.4;

/// Central squares of 224x224 pixels, as the network sees pictures.
pub(super) struct Pictures {
    preprocessing: Preprocessing,
    train: Vec<Vec<u8>>,
    pub(super) held_out: Vec<Picture>,
}

impl Pictures {
    pub(super) fn load(args: &TrainRateArgs, model: &ModelFolder) -> Result<Self> {
        let (pictures, held_out) =
            args.pictures
                .draw(&model.labels()?, args.seed, args.held_out, args.batch + 1)?;
        let loader = Loader {
            preprocessing: &model.manifest.preprocessing,
        };
        let progress = bar(pictures.len(), "reading pictures");
        let mut train = Vec::with_capacity(pictures.len());
        for some in pictures.chunks(64) {
            let (read, broken) = loader.read(some);
            report_broken(&progress, &broken);
            train.extend(read.into_iter().map(|(_, rgb)| rgb));
            progress.inc(some.len() as u64);
        }
        progress.finish_and_clear();
        ensure!(!train.is_empty(), "no picture could be read");
        Ok(Self {
            preprocessing: model.manifest.preprocessing.clone(),
            train,
            held_out,
        })
    }

    /// The number of pictures that are trained on.
    pub(super) fn trained_on(&self) -> usize {
        self.train.len()
    }

    /// The first `count` of the pictures that are trained on, whole and in batches of `size`.
    pub(super) fn whole(
        &self,
        count: usize,
        size: usize,
    ) -> impl ExactSizeIterator<Item = &[Vec<u8>]> {
        self.train[..count.min(self.train.len())].chunks(size)
    }

    /// The crops of a step: the same for the same step and seed, whatever came before.
    pub(super) fn batch(
        &self,
        step: usize,
        size: usize,
        seed: u64,
        precision: Precision,
    ) -> Result<Batch> {
        let shape = [size, 3, INPUT, INPUT];
        let (inputs, seeds) = match precision {
            Precision::Single | Precision::Coarse => {
                let whole = |input: &mut [f32], values: &[f32]| input.copy_from_slice(values);
                let (inputs, seeds) = self.crops(step, size, seed, whole)?;
                (TensorData::new(inputs, shape), seeds)
            }
            Precision::Half => {
                let halved =
                    |input: &mut [f16], values: &[f32]| input.convert_from_f32_slice(values);
                let (inputs, seeds) = self.crops(step, size, seed, halved)?;
                (TensorData::new(inputs, shape), seeds)
            }
        };
        Ok(Batch { inputs, seeds })
    }

    /// The crops' values, as `stored`, and a random number of each.
    fn crops<E: Copy + Default + Send + Sync>(
        &self,
        step: usize,
        size: usize,
        seed: u64,
        stored: impl Fn(&mut [E], &[f32]) + Sync,
    ) -> Result<(Vec<E>, Vec<u64>)> {
        let values = INPUT * INPUT * 3;
        let mut inputs = vec![E::default(); size * values];
        let seeds = inputs
            .par_chunks_exact_mut(values)
            .enumerate()
            .map(|(index, input)| {
                let at = step * size + index;
                let (epoch, place) = (at / self.train.len(), at % self.train.len());
                let mut random = fastrand::Rng::with_seed(
                    seed.wrapping_mul(0x9E37_79B9)
                        .wrapping_add((epoch as u64) << 32)
                        .wrapping_add(place as u64),
                );
                let picture = permuted(place, epoch, self.train.len(), seed);
                let rgb = crop(&self.train[picture], &mut random)?;
                stored(input, &normalise(&rgb, &self.preprocessing));
                Ok(random.u64(..))
            })
            .collect::<Result<Vec<_>>>()?;
        Ok((inputs, seeds))
    }
}

/// The pictures of one step.
pub(super) struct Batch {
    /// In the network's precision.
    inputs: TensorData,
    /// A random number for each picture, for what else is drawn.
    seeds: Vec<u64>,
}

impl Batch {
    /// The pictures `[n, 3, 224, 224]` in the precision that they were made in, and each one's random number.
    pub(super) fn into_input(self, device: &Device) -> (Tensor<4>, Vec<u64>) {
        let options = (device, self.inputs.dtype());
        (Tensor::from_data(self.inputs, options), self.seeds)
    }
}

/// Place `place` of the order of an epoch.
fn permuted(place: usize, epoch: usize, len: usize, seed: u64) -> usize {
    // A stride without a common factor visits every picture once.
    let mut random = fastrand::Rng::with_seed(seed ^ (epoch as u64).wrapping_mul(0xA076_1D64));
    let mut stride = random.usize(1..len.max(2)) | 1;
    while gcd(stride, len) != 1 {
        stride += 2;
    }
    let offset = random.usize(0..len);
    (place * (stride % len.max(1)) + offset) % len
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// A random part of a 224x224 picture, flipped half of the time, at 224x224.
fn crop(rgb: &[u8], random: &mut fastrand::Rng) -> Result<Vec<u8>> {
    let side = INPUT as f64;
    let area = LEAST_AREA + (1.0 - LEAST_AREA) * random.f64();
    let ratio = (0.8f64.ln() + (1.25f64.ln() - 0.8f64.ln()) * random.f64()).exp();
    let width = (side * (area * ratio).sqrt()).min(side);
    let height = (side * (area / ratio).sqrt()).min(side);
    let window = Window {
        left: (side - width) * random.f64(),
        top: (side - height) * random.f64(),
        width,
        height,
        flip: random.bool(),
    };
    resample(rgb, INPUT as u32, INPUT as u32, window, INPUT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_visits_every_picture_once() {
        for len in [1, 2, 3, 10, 97, 1000] {
            let mut seen: Vec<usize> = (0..len).map(|at| permuted(at, 3, len, 7)).collect();
            seen.sort_unstable();
            assert_eq!(seen, (0..len).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_crop_is_determined_by_its_seed() {
        let rgb: Vec<u8> = (0..3 * INPUT * INPUT)
            .map(|i| (i * 31 % 251) as u8)
            .collect();
        let of = |seed| crop(&rgb, &mut fastrand::Rng::with_seed(seed)).unwrap();
        assert_eq!(of(1), of(1));
        assert_ne!(of(1), of(2));
        assert_eq!(of(1).len(), rgb.len());
    }
}

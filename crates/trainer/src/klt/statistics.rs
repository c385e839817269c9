//! What the transform is fitted to: the feature's covariance and the network's sensitivity.

use std::collections::HashMap;
use std::path::Path;

use aecnn::codec::{CodecFile, Decoder, Encoder, dequantise, quantise};
use aecnn::resnet::{Precision, ResNet50};
use anyhow::{Context, Result, ensure};
use burn::tensor::activation::softmax;
use burn::tensor::{Device, Distribution, Tensor};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

use super::FitKltArgs;
use crate::data::{Loader, Picture};
use crate::model::ModelFolder;
use crate::progress::{bar, report_broken};

/// Pictures that go through the network at once.
const BATCH: usize = 8;

/// Second moments over all blocks of all pictures, and the blocks of some pictures themselves.
pub(super) struct Statistics {
    /// Values in a block.
    pub(super) values: usize,
    /// Pictures seen.
    pub(super) pictures: usize,
    /// Pictures whose gradients were taken.
    pub(super) gradient_pictures: usize,
    /// `[values]`.
    pub(super) mean: Vec<f64>,
    /// Covariance `[values, values]`.
    pub(super) covariance: Vec<f64>,
    /// Mean outer product of the gradients `[values, values]`.
    pub(super) sensitivity: Vec<f64>,
    /// Mean square of the gradient at each position of a picture's blocks `[positions]`.
    pub(super) position_sensitivity: Vec<f64>,
    /// Blocks `[positions, values]` of single pictures, to fit quantisers to.
    pub(super) samples: Vec<Vec<f32>>,
}

impl Statistics {
    /// Writes the statistics to a safetensors file.
    pub(super) fn save(&self, path: &Path) -> Result<()> {
        let wide = |values: &[f64]| -> Vec<u8> {
            values
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect()
        };
        let n = self.values;
        let samples: Vec<u8> = self
            .samples
            .iter()
            .flatten()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        let positions = self.samples.first().map_or(0, Vec::len) / n;
        let tensors = [
            ("mean", Dtype::F64, vec![n], wide(&self.mean)),
            ("covariance", Dtype::F64, vec![n, n], wide(&self.covariance)),
            (
                "sensitivity",
                Dtype::F64,
                vec![n, n],
                wide(&self.sensitivity),
            ),
            (
                "position_sensitivity",
                Dtype::F64,
                vec![positions],
                wide(&self.position_sensitivity),
            ),
            (
                "samples",
                Dtype::F32,
                vec![self.samples.len(), positions, n],
                samples,
            ),
        ];
        let views = tensors
            .iter()
            .map(|(name, dtype, shape, data)| {
                Ok((*name, TensorView::new(*dtype, shape.clone(), data)?))
            })
            .collect::<Result<Vec<_>>>()?;
        let counts = HashMap::from([
            ("pictures".to_owned(), self.pictures.to_string()),
            (
                "gradient_pictures".to_owned(),
                self.gradient_pictures.to_string(),
            ),
        ]);
        let bytes = safetensors::serialize(views, Some(counts))?;
        std::fs::write(path, bytes).with_context(|| format!("writing {}", path.display()))
    }

    /// Reads what [`Self::save`] wrote; blocks must have `values` values.
    pub(super) fn load(path: &Path, values: usize) -> Result<Self> {
        let bytes = std::fs::read(path).with_context(|| format!("reading {}", path.display()))?;
        let file = SafeTensors::deserialize(&bytes)
            .with_context(|| format!("{} holds no statistics", path.display()))?;
        let (_, header) = SafeTensors::read_metadata(&bytes)?;
        let count = |name: &str| -> Result<usize> {
            let counts = header.metadata().as_ref();
            let text = counts
                .and_then(|counts| counts.get(name))
                .with_context(|| format!("{} states no `{name}`", path.display()))?;
            Ok(text.parse()?)
        };
        let wide = |name: &str, shape: &[usize]| -> Result<Vec<f64>> {
            let view = file.tensor(name)?;
            ensure!(
                view.shape() == shape && view.dtype() == Dtype::F64,
                "`{name}` in {} has shape {:?}; this split and block need {shape:?}",
                path.display(),
                view.shape()
            );
            Ok(view
                .data()
                .chunks_exact(8)
                .map(|b| f64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]]))
                .collect())
        };
        let samples = file.tensor("samples")?;
        let [_, positions, _] = samples.shape()[..] else {
            anyhow::bail!(
                "`samples` in {} has shape {:?}",
                path.display(),
                samples.shape()
            );
        };
        Ok(Self {
            values,
            pictures: count("pictures")?,
            gradient_pictures: count("gradient_pictures")?,
            mean: wide("mean", &[values])?,
            covariance: wide("covariance", &[values, values])?,
            sensitivity: wide("sensitivity", &[values, values])?,
            position_sensitivity: wide("position_sensitivity", &[positions])?,
            samples: samples
                .data()
                .chunks_exact(4 * positions * values)
                .map(|picture| {
                    picture
                        .chunks_exact(4)
                        .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
                        .collect()
                })
                .collect(),
        })
    }

    pub(super) fn gather(
        args: &FitKltArgs,
        block: usize,
        pictures: &[Picture],
        model: &ModelFolder,
        plain: &ResNet50,
        device: &Device,
    ) -> Result<Self> {
        let tracked = device.clone().autodiff();
        tracked.seed(args.seed);
        let loader = Loader {
            preprocessing: &model.manifest.preprocessing,
        };
        let feature = model.manifest.variant.feature_shape(args.split);
        let values = feature.channels * block * block;
        let positions = feature.values() / values;
        let around = args
            .around
            .as_deref()
            .map(|path| Around::open(path, args, model, device))
            .transpose()?;
        let front = plain.front(args.split);
        let tail = model.tail_gradient(args.split, Precision::Single, device)?;
        // The blocks of a few hundred pictures are kept; the rest only counts in the moments.
        let keep = (256 << 20) / (4 * feature.values());

        let mut sum = vec![0.0; values];
        let mut outer = vec![0.0; values * values];
        let mut gradient_outer = vec![0.0; values * values];
        let mut position_sum = vec![0.0; positions];
        let (mut blocks, mut gradient_blocks) = (0usize, 0usize);
        let mut seen = 0;
        let mut samples = Vec::new();
        let progress = bar(pictures.len(), "features and gradients");
        for batch in pictures.chunks(BATCH) {
            let (read, broken) = loader.read(batch);
            report_broken(&progress, &broken);
            if read.is_empty() {
                continue;
            }
            let input = loader.input(read.iter().map(|(_, rgb)| rgb.as_slice()), device);
            let feature = front.forward(input);

            let x = gather_blocks(feature.clone(), block);
            let rows = x.dims()[0];
            add(&mut sum, &x.clone().sum_dim(0).try_into_vec_as::<f32>()?);
            add(
                &mut outer,
                &x.clone()
                    .transpose()
                    .matmul(x.clone())
                    .try_into_vec_as::<f32>()?,
            );
            blocks += rows;
            if samples.len() < keep {
                let all = x.try_into_vec_as::<f32>()?;
                samples.extend(all.chunks(rows / read.len() * values).map(<[f32]>::to_vec));
            }

            if seen < args.gradients {
                for _ in 0..args.probes {
                    let feature = match &around {
                        Some(around) => around.on_the_way(&feature)?,
                        None => feature.clone(),
                    };
                    let (logits, trace) = tail.forward(feature);
                    let logits = Tensor::from_inner(logits).require_grad();
                    let answer = probe(logits.clone(), args.temperature, &tracked);
                    let gradients = answer.backward();
                    let Some(slope) = logits.grad(&gradients) else {
                        anyhow::bail!("the probe gave no gradient for the answer");
                    };
                    let gradient = trace.backward(slope);
                    let g = gather_blocks(gradient, block);
                    gradient_blocks += g.dims()[0];
                    let squares = g.clone().powi_scalar(2).sum_dim(1);
                    let squares = squares.reshape([read.len(), positions]).sum_dim(0);
                    add(&mut position_sum, &squares.try_into_vec_as::<f32>()?);
                    let product = g.clone().transpose().matmul(g);
                    add(&mut gradient_outer, &product.try_into_vec_as::<f32>()?);
                }
            }
            seen += read.len();
            progress.inc(batch.len() as u64);
        }
        progress.finish_and_clear();
        ensure!(
            blocks > values,
            "{seen} pictures are too few for blocks of {values} values"
        );
        ensure!(
            gradient_blocks > 0,
            "--gradients and --probes must be at least 1"
        );

        let n = blocks as f64;
        let mean: Vec<f64> = sum.iter().map(|s| s / n).collect();
        let covariance = outer
            .iter()
            .enumerate()
            .map(|(i, o)| o / n - mean[i / values] * mean[i % values])
            .collect();
        let n = gradient_blocks as f64;
        let sensitivity = gradient_outer.iter().map(|o| o / n).collect();
        let position_sensitivity = position_sum
            .iter()
            .map(|sum| sum / n * positions as f64)
            .collect();
        Ok(Self {
            values,
            pictures: seen,
            gradient_pictures: seen.min(args.gradients.next_multiple_of(BATCH)),
            mean,
            covariance,
            sensitivity,
            position_sensitivity,
            samples,
        })
    }
}

/// The codec between whose answer and the uncompressed network's the sensitivity is wanted.
struct Around {
    file: CodecFile,
    rate: usize,
    encoder: Encoder,
    decoder: Decoder,
    device: Device,
}

impl Around {
    fn open(path: &Path, args: &FitKltArgs, model: &ModelFolder, device: &Device) -> Result<Self> {
        let bytes = std::fs::read(path).with_context(|| format!("reading {}", path.display()))?;
        let file = CodecFile::parse(&bytes).with_context(|| path.display().to_string())?;
        ensure!(
            file.split == args.split && file.model == model.manifest.digest,
            "{} is a codec of {} for another network or split; --around needs one of {} for this network",
            path.display(),
            file.split,
            args.split
        );
        ensure!(
            args.around_rate < file.rates.len(),
            "--around-rate {}: {} has {} rates",
            args.around_rate,
            path.display(),
            file.rates.len()
        );
        Ok(Self {
            rate: args.around_rate,
            encoder: Encoder::new(&file, device)?,
            decoder: Decoder::new(&file, device)?,
            file,
            device: device.clone(),
        })
    }

    /// A random point for each picture on the straight line from its feature to the decoded one.
    ///
    /// The divergence of the answer at the end of the line is the integral of the Fisher information along it,
    /// weighted by the way that is left: so is the density from which the points are drawn.
    fn on_the_way(&self, feature: &Tensor<4>) -> Result<Tensor<4>> {
        let rate = &self.file.rates[self.rate];
        let [channels, _, _] = self.file.latent_shape();
        let positions = self.file.positions();
        let latents = self.encoder.forward(feature.clone());
        let restored: Vec<f32> = latents
            .try_into_vec_as::<f32>()?
            .chunks(channels * positions)
            .flat_map(|latent| {
                dequantise(
                    &quantise(latent, rate, positions),
                    rate,
                    positions,
                    channels,
                )
            })
            .collect();
        let n = feature.dims()[0];
        let decoded = self.decoder.restore(restored, vec![rate.step; n]);
        let uniform =
            Tensor::<4>::random([n, 1, 1, 1], Distribution::Uniform(0.0, 1.0), &self.device);
        let share = uniform.sqrt().neg() + 1.0;
        Ok(feature.clone() + (decoded - feature.clone()) * share)
    }
}

/// A random direction of the answer, whose gradient is wanted.
///
/// With `p` the class probabilities and `r` standard normal, the gradient of
/// `sum(r * sqrt(p) * (z - sum(p * z)))` with respect to the logits `z` has the covariance
/// `diag(p) - p p^T`: the Fisher information of the answer. An error in the feature then costs
/// what it moves the answer by (Kullback-Leibler divergence), to second order. The probabilities
/// are softened by `temperature`: where the network is sure of itself, the plain ones would say that
/// nothing matters.
fn probe(logits: Tensor<2>, temperature: f64, device: &Device) -> Tensor<1> {
    let shape = logits.dims();
    let p = softmax(logits.clone().detach() / temperature, 1);
    let centred = logits.clone() - (p.clone() * logits).sum_dim(1);
    let direction = Tensor::<2>::random(shape, Distribution::Normal(0.0, 1.0), device);
    (direction * p.sqrt() * centred).sum()
}

/// `[n, channels, h, w]` to `[n * h/block * w/block, channels * block * block]`.
pub(crate) fn gather_blocks(feature: Tensor<4>, block: usize) -> Tensor<2> {
    let [n, channels, height, width] = feature.dims();
    let (rows, columns) = (height / block, width / block);
    feature
        .reshape([n, channels, rows, block, columns, block])
        .permute([0, 2, 4, 1, 3, 5])
        .reshape([n * rows * columns, channels * block * block])
}

/// Adds value by value.
pub(crate) fn add(total: &mut [f64], more: &[f32]) {
    for (total, more) in total.iter_mut().zip(more) {
        *total += f64::from(*more);
    }
}

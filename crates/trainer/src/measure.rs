//! A codec's way over pictures: from the feature to real bytes and back to the answer.

use aecnn::codec::{CodecFile, Decoder, Encoder, Rate, dequantise, quantise};
use aecnn::resnet::ResNet50;
use anyhow::Result;
use burn::tensor::{Device, Tensor};
use wire::HEADER_BYTES;

use crate::data::{Loader, Picture};
use crate::model::ModelFolder;
use crate::progress::{bar, report_broken};

/// Pictures that go through the network at once.
pub(crate) const BATCH: usize = 16;

/// The five classes of the highest logits, from the highest.
pub(crate) type Top5 = [usize; 5];

/// One picture's frame and what the server makes of it.
pub(crate) struct Coded {
    /// Bytes on the wire, header included.
    pub(crate) bytes: usize,
    pub(crate) top: Top5,
    pub(crate) logits: Vec<f32>,
}

/// Encodes one batch of features at one rate, decodes the payloads and finishes the network.
/// Answers come from the decoded bytes alone.
pub(crate) struct Codec<'a> {
    file: &'a CodecFile,
    encoder: Encoder,
    decoder: Decoder,
}

impl<'a> Codec<'a> {
    pub(crate) fn new(file: &'a CodecFile, device: &Device) -> Result<Self> {
        Ok(Self {
            file,
            encoder: Encoder::new(file, device)?,
            decoder: Decoder::new(file, device)?,
        })
    }

    /// The latents of a batch, one behind the other.
    pub(crate) fn latents(&self, feature: Tensor<4>) -> Result<Vec<f32>> {
        Ok(self.encoder.forward(feature).try_into_vec_as::<f32>()?)
    }

    /// Frames and answers of a batch's latents at `rate`.
    pub(crate) fn code(
        &self,
        latents: &[f32],
        rate: &Rate,
        tail: &aecnn::resnet::Tail,
    ) -> Result<Vec<Coded>> {
        let positions = self.file.positions();
        let [channels, _, _] = self.file.latent_shape();
        let geometry = self.file.geometry(rate.channels());
        let mut restored = Vec::with_capacity(latents.len());
        let mut bytes = Vec::new();
        for latent in latents.chunks(channels * positions) {
            let symbols = quantise(latent, rate, positions);
            let payload = rate.tables.encode(&symbols, geometry)?;
            bytes.push(HEADER_BYTES + payload.len());
            let symbols = rate.tables.decode(&payload, geometry)?;
            restored.extend(dequantise(&symbols, rate, positions, channels));
        }
        let steps = vec![rate.step; bytes.len()];
        let answers = rows(tail.forward(self.decoder.restore(restored, steps)))?;
        Ok(bytes
            .into_iter()
            .zip(answers)
            .map(|(bytes, logits)| Coded {
                bytes,
                top: top5(&logits),
                logits,
            })
            .collect())
    }
}

/// Each picture's logits.
pub(crate) fn rows(logits: Tensor<2>) -> Result<Vec<Vec<f32>>> {
    let [_, classes] = logits.dims();
    let values = logits.try_into_vec_as::<f32>()?;
    Ok(values.chunks(classes).map(<[f32]>::to_vec).collect())
}

/// The five best classes; of fewer, as many as there are.
pub(crate) fn top5(logits: &[f32]) -> Top5 {
    let mut order: Vec<usize> = (0..logits.len()).collect();
    order.sort_by(|a, b| logits[*b].total_cmp(&logits[*a]));
    std::array::from_fn(|rank| order.get(rank).copied().unwrap_or(usize::MAX))
}

/// The Kullback-Leibler divergence of the answer `b` from the answer `a`, in nats.
fn divergence(a: &[f32], b: &[f32]) -> f64 {
    let (a, b) = (log_softmax(a), log_softmax(b));
    a.iter().zip(&b).map(|(a, b)| a.exp() * (a - b)).sum()
}

fn log_softmax(logits: &[f32]) -> Vec<f64> {
    let max = f64::from(logits.iter().copied().fold(f32::MIN, f32::max));
    let sum: f64 = logits.iter().map(|v| (f64::from(*v) - max).exp()).sum();
    logits
        .iter()
        .map(|v| f64::from(*v) - max - sum.ln())
        .collect()
}

/// A rate on held-out pictures.
pub(crate) struct RateMeasure {
    pub(crate) mean_bytes: f64,
    /// Share of pictures whose top-1 class is the uncompressed network's.
    pub(crate) agreement: f64,
    /// Mean Kullback-Leibler divergence of the answer from the uncompressed network's, in nats.
    pub(crate) divergence: f64,
}

/// Measures every rate of a codec against the uncompressed network; needs no classes.
pub(crate) fn measure_rates(
    model: &ModelFolder,
    network: &ResNet50,
    file: &CodecFile,
    pictures: &[Picture],
    device: &Device,
) -> Result<Vec<RateMeasure>> {
    let loader = Loader {
        preprocessing: &model.manifest.preprocessing,
    };
    let codec = Codec::new(file, device)?;
    let (front, tail) = (network.front(file.split), network.tail(file.split));
    let mut totals = vec![(0usize, 0usize, 0.0); file.rates.len()];
    let mut n = 0;
    let progress = bar(pictures.len(), "held-out pictures");
    for batch in pictures.chunks(BATCH) {
        let (read, broken) = loader.read(batch);
        report_broken(&progress, &broken);
        if read.is_empty() {
            continue;
        }
        let input = loader.input(read.iter().map(|(_, rgb)| rgb.as_slice()), device);
        let feature = front.forward(input);
        let reference = rows(tail.forward(feature.clone()))?;
        let latents = codec.latents(feature)?;
        for (rate, (bytes, agreeing, nats)) in file.rates.iter().zip(&mut totals) {
            for (coded, reference) in codec.code(&latents, rate, &tail)?.iter().zip(&reference) {
                *bytes += coded.bytes;
                *agreeing += usize::from(coded.top[0] == top5(reference)[0]);
                *nats += divergence(reference, &coded.logits);
            }
        }
        n += read.len();
        progress.inc(batch.len() as u64);
    }
    progress.finish_and_clear();
    let n = n.max(1) as f64;
    Ok(totals
        .into_iter()
        .map(|(bytes, agreeing, nats)| RateMeasure {
            mean_bytes: bytes as f64 / n,
            agreement: agreeing as f64 / n,
            divergence: nats / n,
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn divergence_is_zero_only_for_the_same_answer() {
        let a = [1.0, 2.0, -3.0, 0.5, 0.0];
        let shifted = a.map(|v| v + 7.0);
        assert!(divergence(&a, &shifted).abs() < 1e-6);
        // 0.5 ln(0.5 / 0.75) + 0.5 ln(0.5 / 0.25)
        let expected = 0.143_841;
        assert!((divergence(&[0.0, 0.0], &[3f32.ln(), 0.0]) - expected).abs() < 1e-5);
    }

    #[test]
    fn the_best_classes_come_first() {
        assert_eq!(top5(&[0.1, 9.0, -2.0, 3.0, 4.0, 5.0]), [1, 5, 4, 3, 0]);
    }
}

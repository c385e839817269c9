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
}

/// Encodes one batch of features at one rate, decodes the payloads and finishes the network.
/// Answers come from the decoded bytes alone.
pub(crate) struct Codec<'a> {
    file: &'a CodecFile,
    encoder: &'a Encoder,
    decoder: Decoder,
    device: &'a Device,
}

impl<'a> Codec<'a> {
    pub(crate) fn new(file: &'a CodecFile, encoder: &'a Encoder, device: &'a Device) -> Self {
        Self {
            file,
            encoder,
            decoder: Decoder::new(file, device),
            device,
        }
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
        let mut restored = Vec::with_capacity(latents.len());
        let mut bytes = Vec::new();
        for latent in latents.chunks(channels * positions) {
            let symbols = quantise(latent, rate, positions);
            let payload = rate.tables.encode(&symbols, rate.channels(), positions)?;
            bytes.push(HEADER_BYTES + payload.len());
            let symbols = rate.tables.decode(&payload, rate.channels(), positions)?;
            restored.extend(dequantise(&symbols, rate, positions, channels));
        }
        let logits = tail.forward(self.decoder.restore(restored, self.device));
        Ok(bytes
            .into_iter()
            .zip(top5(logits)?)
            .map(|(bytes, top)| Coded { bytes, top })
            .collect())
    }
}

/// The five best classes of each row of logits.
pub(crate) fn top5(logits: Tensor<2>) -> Result<Vec<Top5>> {
    let [_, classes] = logits.dims();
    let values = logits.try_into_vec_as::<f32>()?;
    Ok(values
        .chunks(classes)
        .map(|row| {
            let mut order: Vec<usize> = (0..classes).collect();
            order.sort_by(|a, b| row[*b].total_cmp(&row[*a]));
            std::array::from_fn(|rank| order[rank])
        })
        .collect())
}

/// A rate on held-out pictures.
pub(crate) struct RateMeasure {
    pub(crate) mean_bytes: f64,
    /// Share of pictures whose top-1 class is the uncompressed network's.
    pub(crate) agreement: f64,
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
    let encoder = Encoder::new(file, device);
    let codec = Codec::new(file, &encoder, device);
    let (front, tail) = (network.front(file.split), network.tail(file.split));
    let mut totals = vec![(0usize, 0usize); file.rates.len()];
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
        let reference = top5(tail.forward(feature.clone()))?;
        let latents = codec.latents(feature)?;
        for (rate, (bytes, agreeing)) in file.rates.iter().zip(&mut totals) {
            for (coded, reference) in codec.code(&latents, rate, &tail)?.iter().zip(&reference) {
                *bytes += coded.bytes;
                *agreeing += usize::from(coded.top[0] == reference[0]);
            }
        }
        n += read.len();
        progress.inc(batch.len() as u64);
    }
    progress.finish_and_clear();
    let n = n.max(1) as f64;
    Ok(totals
        .into_iter()
        .map(|(bytes, agreeing)| RateMeasure {
            mean_bytes: bytes as f64 / n,
            agreement: agreeing as f64 / n,
        })
        .collect())
}

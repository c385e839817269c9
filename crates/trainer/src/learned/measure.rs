//! What a learned codec costs and what it loses: real payloads, and answers from what they decode to.

use aecnn::Split;
use aecnn::learned::{LearnedCodec, Quantiser};
use anyhow::{Result, ensure};
use burn::tensor::{Tensor, TensorData};
use feature_codec::{Counts, Geometry, Symbol, Tables};
use rayon::prelude::*;
use serde::Serialize;
use serde_json::Value;
use wire::HEADER_BYTES;

use super::codec::{Selection, SplitNet};
use super::features::Features;
use super::harness::{Harness, Parts};
use crate::data::Part;
use crate::evaluate::summary::{Counts as Answers, Method, Summary};
use crate::measure::{rows, top5};
use crate::say;

/// Pictures that are coded at once.
const BATCH: usize = 16;

/// A method's final figures.
#[derive(Debug, Serialize)]
pub(crate) struct MethodResult {
    /// With entropy coding, tables from the training pictures.
    pub(super) entropy_coded: Summary,
    /// The same symbols at their full width.
    pub(super) fixed_length: Summary,
    /// The network of step 1 on whole features.
    pub(super) uncompressed: Summary,
    pub(super) classes: usize,
    pub(super) header_bytes: usize,
    pub(super) latent_shape: [usize; 3],
    /// How it was trained.
    pub(super) setting: Value,
}

/// A step's figures on the pictures for validation.
#[derive(Debug, Serialize)]
pub(super) struct StepReport {
    pub(super) validation_top1: Option<f64>,
    pub(super) mean_bytes: Option<f64>,
}

/// What is measured: a network with its codec, its quantiser and where it is cut.
pub(super) struct Candidate<'a, C: LearnedCodec> {
    pub(super) net: &'a SplitNet<C>,
    pub(super) quantiser: Quantiser,
    pub(super) selection: &'a Selection,
    pub(super) split: Split,
}

impl<'a, C: LearnedCodec> Candidate<'a, C> {
    pub(super) const fn new(
        net: &'a SplitNet<C>,
        quantiser: Quantiser,
        selection: &'a Selection,
        split: Split,
    ) -> Self {
        Self {
            net,
            quantiser,
            selection,
            split,
        }
    }
}

/// One picture's way over the wire.
struct Sent {
    entropy_coded: usize,
    fixed_length: usize,
    logits: Vec<f32>,
}

impl Harness {
    /// Tables of how often each symbol occurs in the training pictures.
    fn tables<C: LearnedCodec>(&self, of: &Candidate<'_, C>, train: &Features) -> Result<Tables> {
        let [channels, rows, columns] = of.net.codec.latent_shape();
        let values = usize::from(of.quantiser.max().unsigned_abs()) + 1;
        let mut counts = vec![vec![0u64; values]; channels];
        for which in train.batches(BATCH) {
            let input = self.encoder_input(of, Part::Train, train, &which)?;
            let latent = of.net.codec.encode(input).try_into_vec_as::<f32>()?;
            let symbols = of.quantiser.symbols(&latent);
            for (at, symbols) in symbols.chunks(rows * columns).enumerate() {
                let counts = &mut counts[at % channels];
                for symbol in symbols {
                    counts[usize::from(symbol.unsigned_abs())] += 1;
                }
            }
        }
        let counts: Vec<Counts> = counts
            .into_iter()
            .map(|counts| Counts { min: 0, counts })
            .collect();
        Ok(Tables::from_counts(&counts)?)
    }

    /// What the encoder takes: of the front's own output, or of the cached features.
    fn encoder_input<C: LearnedCodec>(
        &self,
        of: &Candidate<'_, C>,
        part: Part,
        features: &Features,
        which: &[usize],
    ) -> Result<Tensor<4>> {
        match &of.net.front {
            Some(front) => Ok(front.forward(self.pictures(part, which)?)),
            None => {
                let (feature, _) = features.batch(which, &self.device);
                Ok(of.selection.of(feature))
            }
        }
    }

    /// Sends a batch: encode, quantise, code; decode the bytes, restore, answer.
    fn send<C: LearnedCodec>(
        &self,
        of: &Candidate<'_, C>,
        tables: &Tables,
        input: Tensor<4>,
    ) -> Result<Vec<Sent>> {
        let [channels, height, width] = of.net.codec.latent_shape();
        let positions = height * width;
        let geometry = Geometry {
            channels,
            rows: height,
            columns: width,
        };
        let latent = of.net.codec.encode(input).try_into_vec_as::<f32>()?;
        let symbols = of.quantiser.symbols(&latent);
        let coded = symbols
            .par_chunks(channels * positions)
            .map(|symbols| {
                let payload = tables.encode(symbols, geometry)?;
                Ok((payload.len(), tables.decode(&payload, geometry)?))
            })
            .collect::<Result<Vec<(usize, Vec<Symbol>)>>>()?;
        let decoded: Vec<f32> = coded
            .iter()
            .flat_map(|(_, symbols)| of.quantiser.values(symbols))
            .collect();
        let data = TensorData::new(decoded, [coded.len(), channels, height, width]);
        let latent = Tensor::from_data(data, &self.device);
        let answers = rows(of.net.tail.forward(of.net.codec.decode(latent)))?;
        let bits = channels * positions * usize::from(of.quantiser.bits());
        Ok(coded
            .iter()
            .zip(answers)
            .map(|((bytes, _), logits)| Sent {
                entropy_coded: HEADER_BYTES + bytes,
                fixed_length: HEADER_BYTES + bits.div_ceil(8),
                logits,
            })
            .collect())
    }

    /// A step's figures on the pictures for validation.
    pub(super) fn validate<C: LearnedCodec>(
        &self,
        of: &Candidate<'_, C>,
        parts: &Parts,
    ) -> Result<StepReport> {
        let features = &parts.validation;
        if features.len() == 0 {
            return Ok(StepReport {
                validation_top1: None,
                mean_bytes: None,
            });
        }
        let tables = self.tables(of, &parts.train)?;
        let (mut right, mut bytes) = (0usize, 0usize);
        for which in features.batches(BATCH) {
            let input = self.encoder_input(of, Part::Validation, features, &which)?;
            for (sent, at) in self.send(of, &tables, input)?.iter().zip(&which) {
                right += usize::from(top5(&sent.logits)[0] == features.classes[*at]);
                bytes += sent.entropy_coded;
            }
        }
        let n = features.len() as f64;
        Ok(StepReport {
            validation_top1: Some(right as f64 / n),
            mean_bytes: Some(bytes as f64 / n),
        })
    }

    /// The final figures on the pictures for the test, beside those of the uncompressed network.
    pub(super) fn test<C: LearnedCodec>(
        &self,
        name: &str,
        of: &Candidate<'_, C>,
        parts: &Parts,
        uncompressed: &aecnn::resnet::trainable::Tail,
        setting: Value,
    ) -> Result<MethodResult> {
        let features = &parts.test;
        ensure!(features.len() > 0, "there are no pictures to test");
        let tables = self.tables(of, &parts.train)?;
        let method = |name: String, rate: String| Method {
            name,
            rate,
            split: Some(of.split),
            channels: Some(of.net.codec.latent_shape()[0]),
            whole_feature_bytes: Some(of.split.whole_feature().fp32_bytes()),
            sent_feature_bytes: Some(features.shape.fp32_bytes()),
        };
        let bits = of.quantiser.bits();
        let mut coded = Answers::new(method(name.to_owned(), format!("{bits} bit, rANS")));
        let mut fixed = Answers::new(method(name.to_owned(), format!("{bits} bit")));
        let mut reference = Answers::new(Method::uncompressed());
        for which in features.batches(BATCH) {
            let (feature, classes) = features.batch(&which, &self.device);
            let wholes = rows(uncompressed.forward(feature))?;
            let input = self.encoder_input(of, Part::Test, features, &which)?;
            let sent = self.send(of, &tables, input)?;
            for ((sent, whole), class) in sent.iter().zip(&wholes).zip(classes) {
                let (top, whole) = (top5(&sent.logits), top5(whole));
                coded.add(sent.entropy_coded, &top, &whole, class);
                fixed.add(sent.fixed_length, &top, &whole, class);
                reference.add(0, &whole, &whole, class);
            }
        }
        let result = MethodResult {
            entropy_coded: coded.summary(),
            fixed_length: fixed.summary(),
            uncompressed: reference.summary(),
            classes: self.classes(),
            header_bytes: HEADER_BYTES,
            latent_shape: of.net.codec.latent_shape(),
            setting,
        };
        say!("test pictures:");
        crate::evaluate::summary::print(
            &result.uncompressed,
            &[&result.entropy_coded, &result.fixed_length],
        );
        Ok(result)
    }
}

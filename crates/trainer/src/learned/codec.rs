//! Training an encoder and a decoder around the quantiser, in steps that both methods share.

use aecnn::learned::{LearnedCodec, Quantiser};
use aecnn::resnet::trainable::{Front, ResNet50, Tail};
use anyhow::Result;
use burn::module::Module;
use burn::tensor::{Int, Tensor, TensorData};
use clap::{Args, ValueEnum};
use serde::Serialize;
use serde_json::{Value, json};

use super::features::Features;
use super::harness::{CommonArgs, Harness, Parts, digest, next, tracked};
use super::loss::{Behind, accuracy, cross_entropy, relative_error, targets};
use super::measure::{Candidate, MethodResult};
use super::network::percent;
use crate::data::{Batches, Part, View};
use crate::say;
use crate::train::{Group, Run, RunFolder, Settings, Step, collect};

/// How a codec is trained.
#[derive(Args, Debug, Clone)]
pub(crate) struct CodecArgs {
    /// Bits of the quantiser, 1 to 12.
    #[arg(long, default_value_t = 8)]
    pub(super) bits: u8,
    /// Epochs in which the codec learns to restore the feature, the network frozen: cheap, no tail is run.
    #[arg(long, default_value_t = 20.0)]
    pub(super) feature_epochs: f64,
    #[arg(long, default_value_t = 2e-3)]
    pub(super) feature_rate: f64,
    /// Epochs in which the codec learns from the answers, the network frozen.
    #[arg(long, default_value_t = 5.0)]
    pub(super) epochs: f64,
    #[arg(long, default_value_t = 1e-3)]
    pub(super) rate: f64,
    /// Weight of the feature's relative error beside the cross-entropy of the answers.
    #[arg(long, default_value_t = 1.0)]
    pub(super) feature_weight: f64,
    /// What learns in the last step.
    #[arg(long, value_enum, default_value_t = FineTune::All)]
    pub(super) fine_tune: FineTune,
    #[arg(long, default_value_t = 3.0)]
    pub(super) fine_tune_epochs: f64,
    /// The codec's and the classifier's rate in the last step; the rest of the network has a tenth of it.
    #[arg(long, default_value_t = 1e-4)]
    pub(super) fine_tune_rate: f64,
}

/// What learns in the last step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum FineTune {
    /// Nothing: there is no last step.
    None,
    /// Codec and tail, on the features of the front as it is. One front then serves every codec.
    Server,
    /// Everything from the pixels on.
    All,
}

/// The whole way: front, codec, tail. Without a front, features come from the cache.
#[derive(Module, Debug)]
pub(super) struct SplitNet<C: LearnedCodec> {
    pub(super) front: Option<Front>,
    pub(super) codec: C,
    pub(super) tail: Tail,
}

/// Which of the feature's channels the encoder takes.
#[derive(Debug, Clone)]
pub(super) enum Selection {
    All,
    /// These, in this order; the front computes no others.
    Kept(Vec<usize>),
}

impl Selection {
    pub(super) fn of(&self, feature: Tensor<4>) -> Tensor<4> {
        match self {
            Self::All => feature,
            Self::Kept(channels) => {
                let device = feature.device();
                feature.select(1, indices(channels, &device))
            }
        }
    }

    fn front(&self, front: Front, device: &burn::tensor::Device) -> Front {
        match self {
            Self::All => front,
            Self::Kept(channels) => front.keeping(&indices(channels, device)),
        }
    }
}

pub(super) fn indices(channels: &[usize], device: &burn::tensor::Device) -> Tensor<1, Int> {
    let values: Vec<i64> = channels.iter().map(|channel| *channel as i64).collect();
    Tensor::from_data(TensorData::new(values, [channels.len()]), device)
}

/// What every step on features goes by.
#[derive(Clone, Copy)]
struct Rules<'a> {
    quantiser: Quantiser,
    selection: &'a Selection,
    /// Weight of the feature's relative error beside the answers' loss.
    feature_weight: f64,
}

/// A method, ready to be trained.
pub(super) struct Method<'a, C: LearnedCodec> {
    pub(super) name: &'static str,
    pub(super) args: &'a CommonArgs,
    /// On the device with automatic differentiation, with the values to start from.
    pub(super) codec: C,
    pub(super) selection: Selection,
    /// The network of step 1.
    pub(super) network: &'a ResNet50,
    pub(super) parts: &'a Parts,
    /// What the method's own arguments were.
    pub(super) setting: Value,
}

impl Harness {
    /// Trains a method's codec, measures each step and, at the end, the test pictures. `None`: time is up.
    pub(super) fn train_codec<C: LearnedCodec>(
        &self,
        method: Method<'_, C>,
    ) -> Result<Option<MethodResult>> {
        let Method {
            name,
            args: common,
            codec,
            selection,
            network,
            parts,
            setting,
        } = method;
        let (split, args) = (common.split, &common.codec);
        let quantiser = Quantiser::new(args.bits)?;
        let tail = network.tail(split);
        let mut net = SplitNet {
            front: None,
            codec,
            tail: tracked(tail.clone()),
        };
        let mut setting = json!({
            "method": setting,
            "split": split,
            "bits": args.bits,
            "seed": self.args.seed,
            "batch": self.args.batch,
            "balance": self.args.balance,
            "pack": self.pack.digest,
            "network": digest(&collect(network)?),
        });
        let report = |step: &str, net: &SplitNet<C>, folder: &RunFolder| -> Result<()> {
            let report =
                self.validate(&Candidate::new(net, quantiser, &selection, split), parts)?;
            folder.write("result.json", &report)?;
            say!(
                "{step}: validation top-1 {}, {:.0} bytes a picture",
                percent(report.validation_top1),
                report.mean_bytes.unwrap_or_default()
            );
            Ok(())
        };

        let rules = Rules {
            quantiser,
            selection: &selection,
            feature_weight: args.feature_weight,
        };
        let trained = [Group::new("codec", 1.0)];
        let frozen = self.frozen(network, split)?;
        // Whether the answers count.
        let steps = [
            (
                false,
                "codec-features",
                args.feature_epochs,
                args.feature_rate,
            ),
            (true, "codec-answers", args.epochs, args.rate),
        ];
        for (salt, (answers, step, epochs, rate)) in (10..).zip(steps) {
            if epochs <= 0.0 {
                continue;
            }
            setting[step] = json!({
                "epochs": epochs,
                "rate": rate,
                "feature_weight": args.feature_weight,
            });
            let folder = RunFolder::open(&self.args.out.join(step), &setting)?;
            let order = self.order(&parts.train.classes, self.args.batch, salt);
            let settings = self.settings(step, order.steps(epochs), rate, trained.to_vec());
            let run = Run::begin(folder.clone(), settings, net)?;
            let outcome = run.train(&self.stop, |step, net| {
                let which = order.samples_of(step);
                let behind = frozen
                    .as_ref()
                    .map_or(Behind::Learning(&net.tail), Behind::Frozen);
                let behind = answers.then_some(behind);
                self.on_features(net, behind, rules, &parts.train, &which)
            })?;
            let Some(done) = outcome else {
                return Ok(None);
            };
            report(step, &done, &folder)?;
            net = tracked(done);
        }

        if args.fine_tune != FineTune::None && args.fine_tune_epochs > 0.0 {
            let step = "end-to-end";
            setting[step] = json!({
                "epochs": args.fine_tune_epochs,
                "rate": args.fine_tune_rate,
                "learns": args.fine_tune,
                "feature_weight": args.feature_weight,
            });
            let folder = RunFolder::open(&self.args.out.join(step), &setting)?;
            let order = self.order(&parts.train.classes, self.args.batch, 20);
            let steps = order.steps(args.fine_tune_epochs);
            let groups = vec![
                Group::new("", 0.1),
                Group::new("codec", 1.0),
                Group::new("tail.head", 1.0),
            ];
            let settings = self.settings(step, steps, args.fine_tune_rate, groups);
            if args.fine_tune == FineTune::All {
                let front = selection.front(network.front(split), &self.device);
                net.front = Some(tracked(front));
            }
            let Some(done) =
                self.end_to_end(net, folder.clone(), settings, &order, rules, parts)?
            else {
                return Ok(None);
            };
            report(step, &done, &folder)?;
            net = tracked(done);
        }

        let net = net.valid();
        let result = self.test(
            name,
            &Candidate::new(&net, quantiser, &selection, split),
            parts,
            &tail,
            setting,
        )?;
        let folder = self.args.out.join("result.json");
        for path in [Some(folder), common.json.clone()].into_iter().flatten() {
            let json = format!("{}\n", serde_json::to_string_pretty(&result)?);
            std::fs::write(&path, json)?;
            say!("written: {}", path.display());
        }
        Ok(Some(result))
    }

    fn end_to_end<C: LearnedCodec>(
        &self,
        net: SplitNet<C>,
        folder: RunFolder,
        settings: Settings,
        order: &crate::data::Order,
        rules: Rules<'_>,
        parts: &Parts,
    ) -> Result<Option<SplitNet<C>>> {
        let steps = settings.steps;
        let from_pixels = net.front.is_some();
        let run = Run::begin(folder, settings, net)?;
        if from_pixels {
            let pictures = self.pack.of(Part::Train);
            let seen = View::Random {
                seed: self.args.seed,
            };
            let first = run.next_step();
            let mut batches = Batches::start(
                self.pack.clone(),
                pictures,
                order.clone(),
                seen,
                first,
                steps,
            )?;
            run.train(&self.stop, |_, net| {
                let batch = next(&mut batches)?;
                let Some(front) = &net.front else {
                    anyhow::bail!("the front is missing");
                };
                let input = front.forward(self.input(&batch.pixels, &self.tracked));
                let latent = rules.quantiser.straight_through(net.codec.encode(input));
                let logits = net.tail.forward(net.codec.decode(latent));
                Ok(Step {
                    samples: batch.classes.len(),
                    measures: vec![("accuracy", accuracy(&logits, &batch.classes))],
                    loss: cross_entropy(logits, targets(&batch.classes, &self.tracked)),
                })
            })
        } else {
            run.train(&self.stop, |step, net| {
                let which = order.samples_of(step);
                let behind = Some(Behind::Learning(&net.tail));
                self.on_features(net, behind, rules, &parts.train, &which)
            })
        }
    }

    /// One step on cached features: from the answers of what is behind, or from the feature alone.
    fn on_features<C: LearnedCodec>(
        &self,
        net: &SplitNet<C>,
        behind: Option<Behind<'_>>,
        rules: Rules<'_>,
        features: &Features,
        which: &[usize],
    ) -> Result<Step> {
        let (feature, classes) = features.batch(which, &self.tracked);
        let latent = net.codec.encode(rules.selection.of(feature.clone()));
        let restored = net.codec.decode(rules.quantiser.straight_through(latent));
        let error = relative_error(restored.clone(), feature);
        let samples = which.len();
        let Some(behind) = behind else {
            return Ok(Step {
                loss: error,
                samples,
                measures: Vec::new(),
            });
        };
        let (answers, right) = behind.answer(restored, &classes, &self.tracked)?;
        let measures = vec![
            ("accuracy", right),
            (
                "feature_error",
                f64::from(error.clone().detach().try_into_scalar::<f32>()?),
            ),
        ];
        Ok(Step {
            loss: answers + error * rules.feature_weight as f32,
            samples,
            measures,
        })
    }
}

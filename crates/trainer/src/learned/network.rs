//! Step 1: ResNet-50 on the data set.

use aecnn::Split;
use aecnn::resnet::pool;
use aecnn::resnet::trainable::ResNet50;
use anyhow::Result;
use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::TensorData;
use clap::{Args, ValueEnum};
use serde::Serialize;

use super::features::Features;
use super::harness::{Harness, Parts, digest};
use super::loss::{accuracy, cross_entropy, targets};
use crate::data::{Batches, Part, View};
use crate::say;
use crate::train::{Group, Run, RunFolder, Step, collect, restore};

/// Rows of pooled features in a step of the classifier.
const HEAD_BATCH: usize = 128;

/// How the network is brought to the data set.
#[derive(Args, Debug, Clone)]
pub(crate) struct NetworkArgs {
    /// What learns in step 1, beside the classifier.
    #[arg(long, value_enum, default_value_t = Unfreeze::None)]
    pub(super) unfreeze: Unfreeze,
    /// Step 1: epochs of the classifier.
    #[arg(long, default_value_t = 40.0)]
    pub(super) head_epochs: f64,
    #[arg(long, default_value_t = 1e-3)]
    pub(super) head_rate: f64,
    /// Step 1 with --unfreeze all: epochs of the whole network, on augmented pictures.
    #[arg(long, default_value_t = 10.0)]
    pub(super) network_epochs: f64,
    #[arg(long, default_value_t = 1e-5)]
    pub(super) network_rate: f64,
}

/// What learns in step 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Unfreeze {
    /// Only the classifier.
    None,
    /// Everything.
    All,
}

#[derive(Module, Debug)]
struct Head {
    head: Linear,
}

#[derive(Serialize)]
struct Config {
    pack: String,
    weights: String,
    seed: u64,
    balance: bool,
    epochs: f64,
    rate: f64,
    batch: usize,
}

#[derive(Serialize)]
struct Report {
    /// Share of the pictures for validation, 0 to 1; none where there are no such pictures.
    validation_top1: Option<f64>,
}

impl Harness {
    /// The network on this data set, for evaluation, and the features at `split`. `None`: time is up.
    pub(super) fn network(&self, split: Split) -> Result<Option<(ResNet50, Parts)>> {
        let default = || self.args.out.join("network");
        let folder = self.args.network.clone().unwrap_or_else(default);
        let args = &self.args.network_args;
        let base = self.model.trainable(&self.device)?;
        let Some(at_split) = self.features(&base, split)? else {
            return Ok(None);
        };
        // The classifier sees what is left of the deepest feature.
        let Some(deep) = self.features(&base, Split::Stage4)? else {
            return Ok(None);
        };
        let config = |epochs, rate, batch| -> Result<Config> {
            Ok(Config {
                pack: self.pack.digest.clone(),
                weights: digest(&collect(&base)?),
                seed: self.args.seed,
                balance: self.args.balance,
                epochs,
                rate,
                batch,
            })
        };

        let run = RunFolder::open(
            &folder.join("classifier"),
            &config(args.head_epochs, args.head_rate, HEAD_BATCH)?,
        )?;
        let Some(head) = self.train_head(&run, &deep.train)? else {
            return Ok(None);
        };
        let network = base.clone().with_head(head.head);
        let top1 = self.feature_accuracy(&network, Split::Stage4, &deep.validation)?;
        run.write(
            "result.json",
            &Report {
                validation_top1: top1,
            },
        )?;
        say!("1 classifier: validation top-1 {}", percent(top1));
        if args.unfreeze == Unfreeze::None {
            return Ok(Some((network, at_split)));
        }
        drop(at_split);
        drop(deep);

        let run = RunFolder::open(
            &folder.join("whole"),
            &config(args.network_epochs, args.network_rate, self.args.batch)?,
        )?;
        let Some(network) = self.train_whole(&run, network)? else {
            return Ok(None);
        };
        let Some(at_split) = self.features(&network, split)? else {
            return Ok(None);
        };
        let top1 = self.feature_accuracy(&network, split, &at_split.validation)?;
        run.write(
            "result.json",
            &Report {
                validation_top1: top1,
            },
        )?;
        say!("1 whole network: validation top-1 {}", percent(top1));
        Ok(Some((network, at_split)))
    }

    fn train_head(&self, run: &RunFolder, deep: &Features) -> Result<Option<Head>> {
        let args = &self.args.network_args;
        let head = Head {
            head: LinearConfig::new(2048, self.classes()).init(&self.tracked),
        };
        // The classifier alone is a convex problem: zero is as good a start as any.
        let zero = |shape: &[usize]| TensorData::zeros::<f32, _>(shape.to_vec());
        let zeros = [
            ("head.weight".to_owned(), zero(&[2048, self.classes()])),
            ("head.bias".to_owned(), zero(&[self.classes()])),
        ];
        let head = restore(head, zeros.into())?;
        let order = self.order(&deep.classes, HEAD_BATCH, 1);
        let steps = order.steps(args.head_epochs);
        let settings = self.settings(
            "1 classifier",
            steps,
            args.head_rate,
            vec![Group::new("", 1.0)],
        );
        let run = Run::begin(run.clone(), settings, head)?;
        run.train(&self.stop, |step, head| {
            let which = order.samples_of(step);
            let (feature, classes) = deep.batch(&which, &self.tracked);
            let logits = head.head.forward(pool(feature));
            Ok(Step {
                samples: which.len(),
                measures: vec![("accuracy", accuracy(&logits, &classes))],
                loss: cross_entropy(logits, targets(&classes, &self.tracked)),
            })
        })
    }

    fn train_whole(&self, run: &RunFolder, network: ResNet50) -> Result<Option<ResNet50>> {
        let args = &self.args.network_args;
        let network = super::harness::tracked(network);
        let pictures = self.pack.of(Part::Train);
        let classes: Vec<usize> = pictures
            .iter()
            .map(|at| self.pack.pictures[*at].class)
            .collect();
        let order = self.order(&classes, self.args.batch, 2);
        let steps = order.steps(args.network_epochs);
        // The classifier has learned already; it may follow faster than the rest.
        let groups = vec![Group::new("", 1.0), Group::new("head", 10.0)];
        let settings = self.settings("1 whole network", steps, args.network_rate, groups);
        let run = Run::begin(run.clone(), settings, network)?;
        let seen = View::Random {
            seed: self.args.seed,
        };
        let pack = self.pack.clone();
        let mut batches = Batches::start(pack, pictures, order, seen, run.next_step(), steps)?;
        run.train(&self.stop, |_, network| {
            let batch = super::harness::next(&mut batches)?;
            let logits = network.forward(self.input(&batch.pixels, &self.tracked));
            Ok(Step {
                samples: batch.classes.len(),
                measures: vec![("accuracy", accuracy(&logits, &batch.classes))],
                loss: cross_entropy(logits, targets(&batch.classes, &self.tracked)),
            })
        })
    }

    /// Top-1 of the uncompressed network on cached features; `None` where there are none.
    pub(super) fn feature_accuracy(
        &self,
        network: &ResNet50,
        split: Split,
        features: &Features,
    ) -> Result<Option<f64>> {
        let tail = network.tail(split);
        Ok(features.accuracy(&self.device, |feature| tail.forward(feature)))
    }
}

/// A share for the terminal.
pub(super) fn percent(share: Option<f64>) -> String {
    share.map_or_else(
        || "not measured (no pictures for validation)".to_owned(),
        |share| format!("{:.1} %", 100.0 * share),
    )
}

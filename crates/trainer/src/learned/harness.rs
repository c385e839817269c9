//! What every learned method shares: arguments, data, the network, its features.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use aecnn::digest::sha256_hex_of;
use aecnn::resnet::TailGradient;
use aecnn::resnet::trainable::ResNet50;
use aecnn::{FeatureShape, Split};
use anyhow::{Context, Result, ensure};
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use clap::Args;
use rayon::prelude::*;

use super::features::Features;
use super::network::Unfreeze;
use crate::data::{Order, Pack, Part, View, input, view};
use crate::model::ModelFolder;
use crate::progress::bar;
use crate::train::{Backend, Group, Named, Settings, Stop, collect, precision};

/// Pictures that go through the network at once where nothing learns.
const BATCH: usize = 16;

/// The data, the network on it, and how both are trained.
#[derive(Args, Debug, Clone)]
pub(crate) struct DataArgs {
    /// Pictures: a pack that `trainer pack` wrote.
    #[arg(long)]
    pub(super) pack: PathBuf,
    /// The model folder with the pretrained ResNet-50.
    #[arg(long, default_value = "models/resnet50-imagenet")]
    pub(super) model: PathBuf,
    /// The run's folder: each step leaves a checkpoint, a log and its accuracy there. The same command goes on
    /// where it stopped.
    #[arg(long)]
    pub(super) out: PathBuf,
    /// The folder of step 1, the network on this data set; share it between runs. Default: `network` in --out.
    #[arg(long)]
    pub(super) network: Option<PathBuf>,
    /// Folder for the features of frozen fronts; share it between runs. Default: `cache` in --out.
    #[arg(long)]
    pub(super) cache: Option<PathBuf>,
    #[arg(long, value_enum, default_value_t = Backend::Flex)]
    pub(super) backend: Backend,
    /// Run the tail in half precision where it does not learn. For GPUs.
    #[arg(long)]
    pub(super) half: bool,
    #[arg(long, default_value_t = 1)]
    pub(super) seed: u64,
    /// Pictures in a step.
    #[arg(long, default_value_t = 32)]
    pub(super) batch: usize,
    /// Stop after so many minutes, with a checkpoint.
    #[arg(long)]
    pub(super) minutes: Option<f64>,
    #[arg(long, default_value_t = 5.0)]
    pub(super) checkpoint_minutes: f64,
    /// See every class equally often, however many pictures it has.
    #[arg(long)]
    pub(super) balance: bool,
    #[command(flatten)]
    pub(super) network_args: super::network::NetworkArgs,
}

/// What every method needs.
#[derive(Args, Debug, Clone)]
pub(crate) struct CommonArgs {
    #[command(flatten)]
    pub(super) data: DataArgs,
    /// Where the network is cut: stem, stage1, stage2, stage3 or stage4.
    #[arg(long)]
    pub(super) split: Split,
    #[command(flatten)]
    pub(super) codec: super::codec::CodecArgs,
    /// Also write the final result here.
    #[arg(long)]
    pub(super) json: Option<PathBuf>,
}

/// The data, the devices and the time.
pub(super) struct Harness {
    pub(super) args: DataArgs,
    pub(super) model: ModelFolder,
    pub(super) pack: Arc<Pack>,
    /// Where things are evaluated.
    pub(super) device: Device,
    /// The same with automatic differentiation.
    pub(super) tracked: Device,
    pub(super) stop: Stop,
}

/// Features of the three parts.
pub(super) struct Parts {
    pub(super) train: Features,
    pub(super) validation: Features,
    pub(super) test: Features,
}

impl Harness {
    pub(super) fn open(args: &DataArgs, stop: Stop) -> Result<Self> {
        ensure!(args.batch > 0, "--batch must be at least 1");
        let pack = Pack::open(&args.pack)?;
        ensure!(
            !pack.of(Part::Train).is_empty() && !pack.of(Part::Test).is_empty(),
            "{} needs pictures to train and to test",
            args.pack.display()
        );
        let device = args.backend.device();
        Ok(Self {
            model: ModelFolder::open(&args.model)?,
            pack: Arc::new(pack),
            tracked: device.clone().autodiff(),
            device,
            stop,
            args: args.clone(),
        })
    }

    pub(super) fn feature_shape(&self, split: Split) -> FeatureShape {
        self.model.manifest.variant.feature_shape(split)
    }

    pub(super) fn classes(&self) -> usize {
        self.pack.classes.len()
    }

    /// The order of training over so many samples. `salt` sets the steps' orders apart.
    pub(super) fn order(&self, classes: &[usize], batch: usize, salt: u64) -> Order {
        Order {
            seed: self.args.seed ^ (salt << 32),
            samples: classes.len(),
            batch: batch.min(classes.len()),
            weights: self.args.balance.then(|| crate::data::balanced(classes)),
        }
    }

    /// Settings of a run of so many steps.
    pub(super) fn settings(
        &self,
        name: &'static str,
        steps: u64,
        rate: f64,
        groups: Vec<Group>,
    ) -> Settings {
        Settings {
            name,
            steps,
            rate,
            warm_up: (steps / 20).min(100),
            groups,
            checkpoint_every: Duration::from_secs_f64(60.0 * self.args.checkpoint_minutes.max(0.0)),
            log_every: (steps / 50).clamp(1, 20),
        }
    }

    /// The features of all parts at `split`.
    pub(super) fn features(&self, network: &ResNet50, split: Split) -> Result<Option<Parts>> {
        let keys = self.cache_keys(network, split)?;
        let of = |part| self.features_of(network, split, part, &keys);
        let (Some(train), Some(validation), Some(test)) =
            (of(Part::Train)?, of(Part::Validation)?, of(Part::Test)?)
        else {
            return Ok(None);
        };
        Ok(Some(Parts {
            train,
            validation,
            test,
        }))
    }

    /// The features of one part at `split`, from the cache where they are there. `None`: time is up.
    fn features_of(
        &self,
        network: &ResNet50,
        split: Split,
        part: Part,
        keys: &[(Split, String)],
    ) -> Result<Option<Features>> {
        let pictures = self.pack.of(part);
        let classes: Vec<usize> = pictures
            .iter()
            .map(|at| self.pack.pictures[*at].class)
            .collect();
        let shape = self.feature_shape(split);
        let folder = self.cache_folder();
        std::fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
        let file =
            |split: Split, key: &str| folder.join(format!("{split}-{}-{key}.f16", part.name()));
        // The deepest features that are there; without any, the pictures.
        let mut nearest = None;
        for (at, key) in keys.iter().rev() {
            let shape = self.feature_shape(*at);
            if let Some(features) = Features::load(&file(*at, key), shape, classes.clone())? {
                nearest = Some((*at, features));
                break;
            }
        }
        let nearest = match nearest {
            Some((at, features)) if at == split => return Ok(Some(features)),
            nearest => nearest,
        };
        let front = network.front(split);
        let mut features = Features::new(shape);
        let progress = bar(pictures.len(), "features");
        let all: Vec<usize> = (0..pictures.len()).collect();
        for batch in all.chunks(BATCH) {
            if self.stop.now() {
                progress.finish_and_clear();
                return Ok(None);
            }
            let feature = match &nearest {
                Some((from, earlier)) => {
                    front.forward_from(*from, earlier.batch(batch, &self.device).0)
                }
                None => {
                    let pixels = self.centre(batch.iter().map(|at| pictures[*at]))?;
                    front.forward(self.input(&pixels, &self.device))
                }
            };
            let classes: Vec<usize> = batch.iter().map(|at| classes[*at]).collect();
            features.push(feature, &classes)?;
            progress.inc(batch.len() as u64);
        }
        progress.finish_and_clear();
        if let Some((at, key)) = keys.last() {
            features.save(&file(*at, key))?;
        }
        Ok(Some(features))
    }

    fn centre(&self, pictures: impl Iterator<Item = usize>) -> Result<Vec<Vec<u8>>> {
        let seen = View::Centre(self.model.manifest.preprocessing.clone());
        let pictures: Vec<usize> = pictures.collect();
        pictures
            .par_iter()
            .map(|at| view(&self.pack, *at, 0, &seen))
            .collect()
    }

    /// Pixels as the network's input.
    pub(super) fn input(&self, pixels: &[Vec<u8>], device: &Device) -> Tensor<4> {
        let pixels = pixels.iter().map(Vec::as_slice);
        input(pixels, &self.model.manifest.preprocessing, device)
    }

    /// The centres of some pictures of a part (numbers within it) as the network's input, on the plain device.
    pub(super) fn pictures(&self, part: Part, which: &[usize]) -> Result<Tensor<4>> {
        let all = self.pack.of(part);
        let pixels = self.centre(which.iter().map(|at| all[*at]))?;
        Ok(self.input(&pixels, &self.device))
    }

    /// The tail of step 1's network, for where it does not learn; none where step 1 changed more than the classifier.
    pub(super) fn frozen(&self, network: &ResNet50, split: Split) -> Result<Option<TailGradient>> {
        if self.args.network_args.unfreeze != Unfreeze::None {
            return Ok(None);
        }
        let precision = precision(self.args.half, &self.device)?;
        let tail = self.model.tail_gradient(split, precision, &self.device)?;
        Ok(Some(tail.with_head(network.head().clone())))
    }

    fn cache_folder(&self) -> PathBuf {
        let default = || self.args.out.join("cache");
        self.args.cache.clone().unwrap_or_else(default)
    }

    /// The splits up to this one, each with a key that follows from the pictures and the weights in front of it.
    fn cache_keys(&self, network: &ResNet50, split: Split) -> Result<Vec<(Split, String)>> {
        let crop = format!("{:?}", self.model.manifest.preprocessing);
        Split::ALL
            .into_iter()
            .filter(|at| *at <= split)
            .map(|at| {
                let weights = digest(&collect(&network.front(at))?);
                let pieces = [&self.pack.digest, &weights, &crop].map(String::as_bytes);
                let key = sha256_hex_of(pieces);
                Ok((at, key[..16].to_owned()))
            })
            .collect()
    }
}

/// The digest of parameters.
pub(super) fn digest(values: &Named) -> String {
    sha256_hex_of(
        values
            .iter()
            .flat_map(|(name, data)| [name.as_bytes(), data.as_bytes()]),
    )
}

/// A module from evaluation back to the device with automatic differentiation.
pub(super) fn tracked<M: Module>(module: M) -> M {
    module.train()
}

/// The next batch of training.
pub(super) fn next(batches: &mut crate::data::Batches) -> Result<crate::data::Batch> {
    batches.next().context("the decoding thread ended early")?
}

//! The whole network on this device: what offloading is compared with.

use std::future::Future;
use std::pin::Pin;

use aecnn::classes::{softmax, top_k};
use aecnn::manifest::{Manifest, ManifestError};
use aecnn::preprocess::Preprocessing;
use aecnn::resnet::{Front, ResNet50, part_names};
use aecnn::weights::Weights;
use aecnn::{Split, Variant};
use burn::tensor::{Device, Tensor};
use wire::Prediction;

use crate::clock::Stopwatch;
use crate::encode::{Picture, StepTimings, network_input, read_back, see};
use crate::error::DeviceError;
use crate::model::check_part;
use crate::strips::{self, Helpers, Purpose, Shared};

/// What is awaited between the network's stages.
pub type Between<'a> = &'a dyn Fn() -> Pin<Box<dyn Future<Output = ()> + 'a>>;

/// The cuts between the stages.
const CUTS: [Split; 4] = [Split::Stem, Split::Stage1, Split::Stage2, Split::Stage3];

/// ResNet-50 and the names of its classes.
#[derive(Debug)]
pub struct Whole {
    network: ResNet50,
    preprocessing: Preprocessing,
    labels: Vec<String>,
    variant: Variant,
    device: Device,
}

/// An answer of this device.
#[derive(Debug, Clone, PartialEq)]
pub struct Classified {
    /// The most probable classes, most probable first.
    pub top: Vec<Prediction>,
    /// How long each step took; `front` is the whole network.
    pub timings: StepTimings,
    /// Logits to labels, in milliseconds.
    pub answer_ms: f64,
}

impl Whole {
    /// Checks every file against the manifest's digests and puts the network on `device`.
    ///
    /// # Errors
    ///
    /// When a file is missing or damaged.
    pub fn new(
        manifest: &Manifest,
        parts: &[(String, Vec<u8>)],
        labels: &[u8],
        device: &Device,
    ) -> Result<Self, DeviceError> {
        let parts = part_names()
            .into_iter()
            .map(|name| check_part(manifest, name, parts).map(|bytes| (name, bytes)))
            .collect::<Result<Vec<_>, _>>()?;
        manifest.labels.check(labels)?;
        let labels = serde_json::from_slice(labels).map_err(ManifestError::from)?;
        Ok(Self {
            network: ResNet50::load(
                manifest.variant,
                manifest.classes,
                &Weights::read(&parts)?,
                device,
            )?,
            preprocessing: manifest.preprocessing.clone(),
            labels,
            variant: manifest.variant,
            device: device.clone(),
        })
    }

    /// The front of `split`; it shares the weights.
    #[must_use]
    pub fn front(&self, split: Split) -> Front {
        self.network.front(split)
    }

    /// Takes a picture all the way to its `most` most probable classes; with `helpers` the layers up to the deepest split whose
    /// front they have are shared with them. On the processor that keeps the thread; where something else is not to wait so
    /// long, `between` lets it have its turn.
    ///
    /// # Errors
    ///
    /// When the picture does not fit its size, or the backend fails.
    pub async fn classify(
        &self,
        picture: Picture<'_>,
        most: usize,
        between: Option<Between<'_>>,
        helpers: Option<&dyn Helpers>,
    ) -> Result<Classified, DeviceError> {
        let mut timings = StepTimings::default();
        let mut watch = Stopwatch::start();
        let seen = see(picture, &self.preprocessing)?;
        let input = network_input(&seen, &self.preprocessing, &self.device);
        timings.preprocess = watch.lap();
        let shared = helpers.and_then(|helpers| Some((deepest(helpers)?, helpers)));
        let (from, feature) = match shared {
            None => (None, input),
            Some((split, helpers)) => {
                let front = self.network.front(split);
                let shared = Shared {
                    front: &front,
                    split,
                    purpose: Purpose::Whole,
                    shape: self.variant.feature_shape(split),
                    device: &self.device,
                };
                let feature = strips::front(shared, &seen, input, helpers).await?;
                (Some(split), feature)
            }
        };
        let logits = match (between, from) {
            (None, None) => self.network.forward(feature),
            (None, Some(split)) => self.network.tail(split).forward(feature),
            (Some(between), from) => self.in_stages(from, feature, between).await,
        };
        let logits = read_back(logits).await?;
        timings.front = watch.lap();
        timings.total = timings.preprocess + timings.front;
        let probabilities = softmax(&logits)
            .ok_or_else(|| DeviceError::Readback("the network gave no numbers".to_owned()))?;
        let top = top_k(&probabilities, most)
            .into_iter()
            .map(|class| Prediction {
                class: u16::try_from(class.index).unwrap_or(u16::MAX),
                label: self.labels.get(class.index).cloned().unwrap_or_default(),
                probability: class.probability,
            })
            .collect();
        Ok(Classified {
            top,
            timings,
            answer_ms: watch.lap(),
        })
    }

    /// What enters behind `from`, or a picture's input, to the logits, stage after stage.
    async fn in_stages(
        &self,
        mut from: Option<Split>,
        mut feature: Tensor<4>,
        between: Between<'_>,
    ) -> Tensor<2> {
        for to in CUTS {
            if from.is_some_and(|from| to <= from) {
                continue;
            }
            feature = self.network.section(from, to).forward(feature);
            between().await;
            from = Some(to);
        }
        self.network.tail(CUTS[CUTS.len() - 1]).forward(feature)
    }
}

/// The deepest split up to which helpers have the network.
fn deepest(helpers: &dyn Helpers) -> Option<Split> {
    let mut cuts = CUTS.into_iter().rev();
    cuts.find(|split| helpers.count(*split, Purpose::Whole) > 0)
}

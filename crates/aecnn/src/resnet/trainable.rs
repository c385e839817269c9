//! The network as a module whose weights can be trained and whose channels can be pruned.
//!
//! The same layers as in the parent module, by burn's operations on every device: there the kernels
//! for the processor are faster, but give no gradients.

use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::{Device, Int, Tensor};

use super::tensors::{Stage, Stem};
use super::{STAGES, load_head, pool};
use crate::weights::{Weights, WeightsError};
use crate::{Split, Variant};

/// What runs on the device: everything up to and including the split.
#[derive(Module, Debug)]
pub struct Front {
    stem: Stem,
    stages: Vec<Stage>,
}

impl Front {
    /// `[n, 3, 224, 224]` to the feature `[n, channels, height, width]` of
    /// [`Variant::feature_shape`].
    #[must_use]
    pub fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        self.stages
            .iter()
            .fold(self.stem.forward(input), |x, stage| stage.forward(x))
    }

    /// The front with these of its output channels only, in this order. The filters that produce the others are
    /// gone, and their work with them.
    #[must_use]
    pub fn keeping(mut self, channels: &Tensor<1, Int>) -> Self {
        match self.stages.pop() {
            Some(last) => self.stages.push(last.keeping(channels)),
            None => self.stem = self.stem.keeping(channels),
        }
        self
    }

    /// The feature at `from`, one of this front's own splits, to the feature at its end.
    #[must_use]
    pub fn forward_from(&self, from: Split, feature: Tensor<4>) -> Tensor<4> {
        self.stages
            .iter()
            .skip(from.stages())
            .fold(feature, |x, stage| stage.forward(x))
    }
}

/// What runs on the edge server: everything behind the split.
#[derive(Module, Debug)]
pub struct Tail {
    stages: Vec<Stage>,
    head: Linear,
}

impl Tail {
    /// The feature `[n, channels, height, width]` of [`Variant::feature_shape`] to logits
    /// `[n, classes]`.
    #[must_use]
    pub fn forward(&self, feature: Tensor<4>) -> Tensor<2> {
        let x = self
            .stages
            .iter()
            .fold(feature, |x, stage| stage.forward(x));
        self.head.forward(pool(x))
    }
}

/// The whole network.
#[derive(Module, Debug)]
pub struct ResNet50 {
    stem: Stem,
    stages: Vec<Stage>,
    head: Linear,
}

impl ResNet50 {
    /// Builds the network from all of [`super::part_names`].
    ///
    /// # Errors
    ///
    /// When a tensor is missing, misshapen or unreadable.
    pub fn load(
        variant: Variant,
        classes: usize,
        weights: &Weights<'_>,
        device: &Device,
    ) -> Result<Self, WeightsError> {
        Ok(Self {
            stem: Stem::load(weights, device)?,
            stages: (0..STAGES)
                .map(|index| Stage::load(variant, index, weights, device))
                .collect::<Result<_, _>>()?,
            head: load_head(classes, weights, device)?,
        })
    }

    /// `[n, 3, 224, 224]` to logits `[n, classes]`.
    #[must_use]
    pub fn forward(&self, input: Tensor<4>) -> Tensor<2> {
        self.tail(Split::Stem).forward(self.stem.forward(input))
    }

    /// The network with another classifier: `[2048, classes]`.
    #[must_use]
    pub fn with_head(self, head: Linear) -> Self {
        Self { head, ..self }
    }

    /// The classifier behind the global average pooling.
    #[must_use]
    pub fn head(&self) -> &Linear {
        &self.head
    }

    /// The part of the network up to and including `split`; shares the weights.
    #[must_use]
    pub fn front(&self, split: Split) -> Front {
        Front {
            stem: self.stem.clone(),
            stages: self.stages[..split.stages()].to_vec(),
        }
    }

    /// The part of the network behind `split`; shares the weights.
    #[must_use]
    pub fn tail(&self, split: Split) -> Tail {
        Tail {
            stages: self.stages[split.stages()..].to_vec(),
            head: self.head.clone(),
        }
    }
}

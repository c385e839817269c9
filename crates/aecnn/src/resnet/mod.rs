//! ResNet-50 with batch normalisation folded into the convolutions, whole or cut at a [`Split`].
//!
//! In the paper's form (v1) stages 2 to 4 begin with 1x1 convolutions of stride 2, which read
//! only every second row and column. The networks here drop those pixels where they arise: the
//! last block of stages 1 to 3 computes its output at even positions only, and the next stage
//! runs at stride 1. The logits are the same, the work and the feature at the cut are less.

mod block;
mod stage;
mod stem;

pub use block::Bottleneck;
pub use stage::Stage;
pub use stem::Stem;

use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::{Device, Int, Tensor};

use crate::weights::{Weights, WeightsError, param};
use crate::{Split, Variant};

/// Classes of ImageNet-1k.
pub const CLASSES: usize = 1000;

/// The name of the part with the classifier's weights.
pub const HEAD: &str = "head";

/// The names of a model's parts in the order in which a picture passes through them.
#[must_use]
pub fn part_names() -> [&'static str; 6] {
    ["stem", "stage1", "stage2", "stage3", "stage4", HEAD]
}

/// The names of the parts that the front of `split` needs.
#[must_use]
pub fn front_parts(split: Split) -> Vec<&'static str> {
    part_names()[..=split.stages()].to_vec()
}

/// What runs on the device: everything up to and including the split.
#[derive(Module, Debug)]
pub struct Front {
    stem: Stem,
    stages: Vec<Stage>,
}

impl Front {
    /// Builds the front of `split` from the parts in [`front_parts`].
    ///
    /// # Errors
    ///
    /// When a tensor is missing, misshapen or unreadable.
    pub fn load(
        variant: Variant,
        split: Split,
        weights: &Weights<'_>,
        device: &Device,
    ) -> Result<Self, WeightsError> {
        Ok(Self {
            stem: Stem::load(weights, device)?,
            stages: (0..split.stages())
                .map(|index| Stage::load(variant, index, weights, device))
                .collect::<Result<_, _>>()?,
        })
    }

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
    pub fn keeping(mut self, channels: Tensor<1, Int>) -> Self {
        match self.stages.pop() {
            Some(last) => self.stages.push(last.keeping(&channels)),
            None => self.stem = self.stem.keeping(&channels),
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
    /// Builds the tail of `split` from the parts that its front does not need.
    ///
    /// # Errors
    ///
    /// When a tensor is missing, misshapen or unreadable.
    pub fn load(
        variant: Variant,
        split: Split,
        weights: &Weights<'_>,
        device: &Device,
    ) -> Result<Self, WeightsError> {
        Ok(Self {
            stages: (split.stages()..4)
                .map(|index| Stage::load(variant, index, weights, device))
                .collect::<Result<_, _>>()?,
            head: load_head(weights, device)?,
        })
    }

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

/// Global average pooling: `[n, channels, height, width]` to `[n, channels]`.
#[must_use]
pub fn pool(feature: Tensor<4>) -> Tensor<2> {
    feature.flatten::<3>(2, 3).mean_dim(2).squeeze_dim(2)
}

/// The whole network.
#[derive(Module, Debug)]
pub struct ResNet50 {
    stem: Stem,
    stages: Vec<Stage>,
    head: Linear,
}

impl ResNet50 {
    /// Builds the network from all of [`part_names`].
    ///
    /// # Errors
    ///
    /// When a tensor is missing, misshapen or unreadable.
    pub fn load(
        variant: Variant,
        weights: &Weights<'_>,
        device: &Device,
    ) -> Result<Self, WeightsError> {
        let Front { stem, stages } = Front::load(variant, Split::Stage4, weights, device)?;
        Ok(Self {
            stem,
            stages,
            head: load_head(weights, device)?,
        })
    }

    /// `[n, 3, 224, 224]` to logits `[n, 1000]`.
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

fn load_head(weights: &Weights<'_>, device: &Device) -> Result<Linear, WeightsError> {
    // Stored as `[classes, features]`, as everywhere in the field; burn multiplies from the right.
    let weight = weights
        .tensor::<2>("head.weight", [CLASSES, 2048], device)?
        .transpose();
    let bias = weights.tensor("head.bias", [CLASSES], device)?;
    Ok(Linear {
        weight: param(weight),
        bias: Some(param(bias)),
    })
}

//! ResNet-50 with batch normalisation folded into the convolutions, whole or cut at a [`Split`].
//!
//! In the paper's form (v1) stages 2 to 4 begin with 1x1 convolutions of stride 2, which read
//! only every second row and column. The networks here drop those pixels where they arise: the
//! last block of stages 1 to 3 computes its output at even positions only, and the next stage
//! runs at stride 1. The logits are the same, the work and the feature at the cut are less.

mod body;
mod gradient;
#[cfg(feature = "cpu")]
pub(crate) mod kernels;
mod layers;
mod plan;
mod precision;
mod tensors;
pub mod trainable;

use std::ops::Range;

use burn::nn::Linear;
use burn::tensor::{Device, Tensor};

use self::body::Body;
pub use self::gradient::{TailGradient, Trace};
pub use self::precision::Precision;
pub use self::tensors::pool;
use crate::weights::{Weights, WeightsError, param};
use crate::{Split, Variant};

/// Classes of ImageNet-1k.
pub const CLASSES: usize = 1000;

/// Stages of ResNet-50, the stem apart.
const STAGES: usize = 4;

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
#[derive(Debug, Clone)]
pub struct Front {
    body: Body,
}

impl Front {
    /// Builds the front of `split` from the parts in [`front_parts`], in `precision`: it takes a picture in
    /// [`Precision::forth`].
    ///
    /// # Errors
    ///
    /// When a tensor is missing, misshapen or unreadable.
    pub fn load(
        variant: Variant,
        split: Split,
        weights: &Weights<'_>,
        precision: Precision,
        device: &Device,
    ) -> Result<Self, WeightsError> {
        let stages = 0..split.stages();
        Ok(Self {
            body: Body::load(true, stages, variant, weights, precision, device)?,
        })
    }

    /// `[n, 3, 224, 224]` to the feature `[n, channels, height, width]` of
    /// [`Variant::feature_shape`].
    #[must_use]
    pub fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        self.body.forward(input)
    }

    /// Rows `rows` of the feature of one picture `[1, 3, 224, 224]`. On the processor it takes about as much less time
    /// as there are fewer of them; what they share with others beside them is computed again.
    ///
    /// # Panics
    ///
    /// When there are several pictures, or no such rows.
    #[must_use]
    pub fn rows(&self, input: Tensor<4>, rows: Range<usize>) -> Tensor<4> {
        self.body.rows(input, rows)
    }
}

/// What runs on the edge server: everything behind the split.
#[derive(Debug, Clone)]
pub struct Tail {
    body: Body,
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
        classes: usize,
        weights: &Weights<'_>,
        device: &Device,
    ) -> Result<Self, WeightsError> {
        let (stages, precision) = (split.stages()..STAGES, Precision::Single);
        Ok(Self {
            body: Body::load(false, stages, variant, weights, precision, device)?,
            head: load_head(classes, weights, device)?,
        })
    }

    /// The feature `[n, channels, height, width]` of [`Variant::feature_shape`] to logits
    /// `[n, classes]`.
    #[must_use]
    pub fn forward(&self, feature: Tensor<4>) -> Tensor<2> {
        self.head.forward(self.body.pooled(feature))
    }
}

/// The layers between two places where the network can be cut.
#[derive(Debug, Clone)]
pub struct Section {
    body: Body,
}

impl Section {
    /// A picture `[n, 3, 224, 224]`, or the feature at the section's beginning, to the feature at
    /// its end, `[n, channels, height, width]` of [`Variant::feature_shape`].
    #[must_use]
    pub fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        self.body.forward(input)
    }
}

/// The whole network.
#[derive(Debug, Clone)]
pub struct ResNet50 {
    body: Body,
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
        classes: usize,
        weights: &Weights<'_>,
        device: &Device,
    ) -> Result<Self, WeightsError> {
        let precision = Precision::Single;
        Ok(Self {
            body: Body::load(true, 0..STAGES, variant, weights, precision, device)?,
            head: load_head(classes, weights, device)?,
        })
    }

    /// `[n, 3, 224, 224]` to logits `[n, classes]`.
    #[must_use]
    pub fn forward(&self, input: Tensor<4>) -> Tensor<2> {
        self.head.forward(self.body.pooled(input))
    }

    /// The network in this precision: fronts take a picture, and tails a feature, in [`Precision::forth`]. On the
    /// processor nothing changes.
    #[must_use]
    pub fn with_precision(self, precision: Precision) -> Self {
        Self {
            body: self.body.with_precision(precision),
            head: self.head,
        }
    }

    /// The part of the network up to and including `split`; shares the weights.
    #[must_use]
    pub fn front(&self, split: Split) -> Front {
        Front {
            body: self.body.front(split.stages()),
        }
    }

    /// The layers behind `from`, or from the picture on where there is none, up to and including
    /// `to`; shares the weights. Without layers where `to` does not lie behind `from`.
    #[must_use]
    pub fn section(&self, from: Option<Split>, to: Split) -> Section {
        let body = match from {
            None => self.body.front(to.stages()),
            Some(from) => {
                let stages = to.stages().saturating_sub(from.stages());
                self.body.tail(from.stages()).front(stages)
            }
        };
        Section { body }
    }

    /// The part of the network behind `split`; shares the weights.
    #[must_use]
    pub fn tail(&self, split: Split) -> Tail {
        Tail {
            body: self.body.tail(split.stages()),
            head: self.head.clone(),
        }
    }
}

fn load_head(
    classes: usize,
    weights: &Weights<'_>,
    device: &Device,
) -> Result<Linear, WeightsError> {
    // Stored as `[classes, features]`, as everywhere in the field; burn multiplies from the right.
    let weight = weights
        .tensor::<2>("head.weight", [classes, 2048], device)?
        .transpose();
    let bias = weights.tensor("head.bias", [classes], device)?;
    Ok(Linear {
        weight: param(weight),
        bias: Some(param(bias)),
    })
}

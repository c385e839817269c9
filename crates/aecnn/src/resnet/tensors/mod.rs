//! The layers by burn's operations, on any of its devices, with gradients where they are wanted.

mod block;
mod stage;
mod stem;

use std::ops::Range;

use burn::tensor::{Device, FloatDType, Tensor};

pub(super) use self::stage::Stage;
pub(super) use self::stem::Stem;
use crate::Variant;
use crate::resnet::precision::Precision;
use crate::weights::{Weights, WeightsError};

/// The layers in this form.
pub(super) type Layers = crate::resnet::layers::Layers<Stem, Stage>;

impl Layers {
    pub(super) fn load(
        stem: bool,
        stages: Range<usize>,
        variant: Variant,
        weights: &Weights<'_>,
        device: &Device,
    ) -> Result<Self, WeightsError> {
        Ok(Self {
            stem: stem.then(|| Stem::load(weights, device)).transpose()?,
            stages: stages
                .map(|index| Stage::load(variant, index, weights, device))
                .collect::<Result<_, _>>()?,
        })
    }

    /// With weights in this precision.
    pub(super) fn with_precision(self, precision: Precision) -> Self {
        Self {
            stem: self.stem.map(|stem| precision.of(stem)),
            stages: (self.stages.into_iter())
                .map(|stage| precision.of(stage))
                .collect(),
        }
    }

    /// What comes in must be in the weights' precision, and so is what comes out.
    pub(super) fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        let first = match &self.stem {
            Some(stem) => stem.forward(input),
            None => input,
        };
        self.stages.iter().fold(first, |x, stage| stage.forward(x))
    }

    pub(super) fn pooled(&self, input: Tensor<4>) -> Tensor<2> {
        // Sums of many values: never in less than single precision.
        pool(self.forward(input).cast(FloatDType::F32))
    }
}

/// Global average pooling: `[n, channels, height, width]` to `[n, channels]`.
#[must_use]
pub fn pool(feature: Tensor<4>) -> Tensor<2> {
    feature.flatten::<3>(2, 3).mean_dim(2).squeeze_dim(2)
}

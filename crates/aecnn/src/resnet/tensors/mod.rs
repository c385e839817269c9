//! The layers by burn's operations, on any of its devices, with gradients where they are wanted.

mod block;
mod stage;
mod stem;

use std::ops::Range;

use burn::tensor::{Device, Tensor};

pub(super) use self::stage::Stage;
pub(super) use self::stem::Stem;
use crate::Variant;
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

    pub(super) fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        let first = match &self.stem {
            Some(stem) => stem.forward(input),
            None => input,
        };
        self.stages.iter().fold(first, |x, stage| stage.forward(x))
    }

    pub(super) fn pooled(&self, input: Tensor<4>) -> Tensor<2> {
        pool(self.forward(input))
    }
}

/// Global average pooling: `[n, channels, height, width]` to `[n, channels]`.
#[must_use]
pub fn pool(feature: Tensor<4>) -> Tensor<2> {
    feature.flatten::<3>(2, 3).mean_dim(2).squeeze_dim(2)
}

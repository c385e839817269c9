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

/// Stem and stages, or some of them; copies share the weights.
#[derive(Debug, Clone)]
pub(super) struct Layers {
    stem: Option<Stem>,
    stages: Vec<Stage>,
}

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

    pub(super) fn front(&self, stages: usize) -> Self {
        Self {
            stem: self.stem.clone(),
            stages: self.stages[..stages].to_vec(),
        }
    }

    pub(super) fn tail(&self, stages: usize) -> Self {
        Self {
            stem: None,
            stages: self.stages[stages..].to_vec(),
        }
    }

    pub(super) fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        let first = match &self.stem {
            Some(stem) => stem.forward(input),
            None => input,
        };
        self.stages.iter().fold(first, |x, stage| stage.forward(x))
    }

    pub(super) fn pooled(&self, input: Tensor<4>) -> Tensor<2> {
        let last = self.forward(input);
        last.flatten::<3>(2, 3).mean_dim(2).squeeze_dim(2)
    }
}

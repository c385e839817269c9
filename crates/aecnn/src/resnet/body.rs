//! Stem and stages, or some of them, by the means that fit the device.

use std::ops::Range;

use burn::tensor::{Device, Tensor, s};

#[cfg(feature = "cpu")]
use super::kernels;
use super::precision::Precision;
use super::tensors;
use crate::Variant;
use crate::weights::{Weights, WeightsError};

/// The layers between the picture and the global average.
#[derive(Debug, Clone)]
pub(super) enum Body {
    /// By burn's operations, on any device.
    Tensors(Box<tensors::Layers>),
    /// By kernels for the processor.
    #[cfg(feature = "cpu")]
    Kernels(kernels::Layers),
}

impl Body {
    /// The stem if `stem`, and the stages (0 to 3) of `stages`; in `precision`, where the device has it.
    pub(super) fn load(
        stem: bool,
        stages: Range<usize>,
        variant: Variant,
        weights: &Weights<'_>,
        precision: Precision,
        device: &Device,
    ) -> Result<Self, WeightsError> {
        #[cfg(feature = "cpu")]
        if kernels::serve(device) {
            return kernels::Layers::load(stem, stages, variant, weights, precision)
                .map(Self::Kernels);
        }
        let layers = tensors::Layers::load(stem, stages, variant, weights, device)?;
        Ok(Self::Tensors(Box::new(layers.with_precision(precision))))
    }

    /// In this precision, where it is by burn's operations.
    pub(super) fn with_precision(self, precision: Precision) -> Self {
        match self {
            Self::Tensors(layers) => Self::Tensors(Box::new(layers.with_precision(precision))),
            #[cfg(feature = "cpu")]
            kernels @ Self::Kernels(_) => kernels,
        }
    }

    /// The stem and the first `stages` stages.
    pub(super) fn front(&self, stages: usize) -> Self {
        match self {
            Self::Tensors(layers) => Self::Tensors(Box::new(layers.front(stages))),
            #[cfg(feature = "cpu")]
            Self::Kernels(layers) => Self::Kernels(layers.front(stages)),
        }
    }

    /// The stages behind the first `stages`.
    pub(super) fn tail(&self, stages: usize) -> Self {
        match self {
            Self::Tensors(layers) => Self::Tensors(Box::new(layers.tail(stages))),
            #[cfg(feature = "cpu")]
            Self::Kernels(layers) => Self::Kernels(layers.tail(stages)),
        }
    }

    /// `[n, channels, height, width]` to what comes out of the last layer, in the same order.
    pub(super) fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        match self {
            Self::Tensors(layers) => layers.forward(input),
            #[cfg(feature = "cpu")]
            Self::Kernels(layers) => layers.forward(input),
        }
    }

    /// As [`Self::forward`] for one picture, but only these rows.
    pub(super) fn rows(&self, input: Tensor<4>, rows: Range<usize>) -> Tensor<4> {
        match self {
            Self::Tensors(layers) => layers.forward(input).slice(s![.., .., rows]),
            #[cfg(feature = "cpu")]
            Self::Kernels(layers) => layers.rows(input, rows),
        }
    }

    /// As [`Self::forward`], and the global average of each channel: `[n, channels]`.
    pub(super) fn pooled(&self, input: Tensor<4>) -> Tensor<2> {
        match self {
            Self::Tensors(layers) => layers.pooled(input),
            #[cfg(feature = "cpu")]
            Self::Kernels(layers) => layers.pooled(input),
        }
    }
}

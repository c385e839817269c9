//! The tail, with the gradient of what is made of its answer with respect to the feature. Its own weights stay as
//! they are: what learns lies in front of it.

#[cfg(feature = "cpu")]
mod kernels;
mod tensors;

use burn::nn::Linear;
use burn::tensor::{Device, Tensor};

#[cfg(feature = "cpu")]
use super::kernels::serve;
use super::precision::Precision;
use crate::weights::{Weights, WeightsError};
use crate::{Split, Variant};

/// Everything behind a split, forth and back.
#[derive(Debug, Clone)]
pub struct TailGradient {
    form: Form,
}

#[derive(Debug, Clone)]
enum Form {
    /// By burn's operations, on any device.
    Tensors(tensors::TailGradient),
    /// By kernels for the processor.
    #[cfg(feature = "cpu")]
    Kernels(kernels::TailGradient),
}

/// The way back, with what it needs of the way forth.
#[derive(Debug)]
pub struct Trace {
    form: TraceForm,
}

#[derive(Debug)]
enum TraceForm {
    Tensors(tensors::Trace),
    #[cfg(feature = "cpu")]
    Kernels(kernels::Trace),
}

impl TailGradient {
    /// Builds the tail of `split` from the parts that its front does not need. `precision` is for graphics devices.
    ///
    /// # Errors
    ///
    /// When a tensor is missing, misshapen or unreadable.
    pub fn load(
        variant: Variant,
        split: Split,
        classes: usize,
        weights: &Weights<'_>,
        precision: Precision,
        device: &Device,
    ) -> Result<Self, WeightsError> {
        #[cfg(feature = "cpu")]
        if serve(device) {
            let form = Form::Kernels(kernels::TailGradient::load(
                variant, split, classes, weights,
            )?);
            return Ok(Self { form });
        }
        let tail =
            tensors::TailGradient::load(variant, split, classes, weights, precision, device)?;
        Ok(Self {
            form: Form::Tensors(tail),
        })
    }

    /// The same with another classifier `[2048, classes]`.
    #[must_use]
    pub fn with_head(mut self, head: Linear) -> Self {
        match &mut self.form {
            Form::Tensors(tail) => tail.head = head,
            #[cfg(feature = "cpu")]
            Form::Kernels(tail) => tail.head = head,
        }
        self
    }

    /// The feature `[n, channels, height, width]` to logits `[n, classes]`; neither is tracked.
    #[must_use]
    pub fn forward(&self, feature: Tensor<4>) -> (Tensor<2>, Trace) {
        match &self.form {
            Form::Tensors(tail) => {
                let (logits, trace) = tail.forward(feature);
                let form = TraceForm::Tensors(trace);
                (logits, Trace { form })
            }
            #[cfg(feature = "cpu")]
            Form::Kernels(tail) => {
                let (logits, trace) = tail.forward(feature);
                let form = TraceForm::Kernels(trace);
                (logits, Trace { form })
            }
        }
    }
}

impl Trace {
    /// The gradient with respect to the logits `[n, classes]` to that with respect to the feature.
    #[must_use]
    pub fn backward(self, gradient: Tensor<2>) -> Tensor<4> {
        match self.form {
            TraceForm::Tensors(trace) => trace.backward(gradient),
            #[cfg(feature = "cpu")]
            TraceForm::Kernels(trace) => trace.backward(gradient),
        }
    }
}

//! The network behind the split, and how what is made of its answer changes with the feature.

use aecnn::Split;
use aecnn::resnet::{self, TailGradient};
use anyhow::{Context, Result};
use burn::tensor::{Device, Tensor};

use crate::model::ModelFolder;

/// The tail, forth and back; its weights stay as they are. On the processor by kernels that take a
/// fraction of the time of burn's operations, elsewhere by those.
pub(crate) enum SlopedTail {
    Kernels(Box<TailGradient>),
    Operations(Box<resnet::Tail>),
}

/// What the way back needs of the way forth.
pub(crate) enum Trace {
    Kernels(resnet::Trace),
    /// The feature, and the logits that were made of it.
    Operations(Box<(Tensor<4>, Tensor<2>)>),
}

impl SlopedTail {
    /// The tail of `split` on `device`.
    pub(crate) fn load(folder: &ModelFolder, split: Split, device: &Device) -> Result<Self> {
        if *device == Device::flex() {
            let tail = folder.tail_gradient(split)?;
            return Ok(Self::Kernels(Box::new(tail)));
        }
        let network = folder.network(&device.clone().autodiff())?;
        Ok(Self::Operations(Box::new(network.tail(split))))
    }

    /// The feature to logits `[n, 1000]`; neither is tracked.
    pub(crate) fn forward(&self, feature: Tensor<4>) -> (Tensor<2>, Trace) {
        match self {
            Self::Kernels(tail) => {
                let (logits, trace) = tail.forward(feature);
                (logits, Trace::Kernels(trace))
            }
            Self::Operations(tail) => {
                let feature = Tensor::from_inner(feature).require_grad();
                let logits = tail.forward(feature.clone());
                let untracked = logits.clone().inner();
                (untracked, Trace::Operations(Box::new((feature, logits))))
            }
        }
    }

    /// The gradient with respect to the logits to that with respect to the feature.
    pub(crate) fn backward(&self, trace: Trace, gradient: Tensor<2>) -> Result<Tensor<4>> {
        match (self, trace) {
            (Self::Kernels(tail), Trace::Kernels(trace)) => Ok(tail.backward(&trace, gradient)),
            (_, Trace::Operations(of)) => {
                let (feature, logits) = *of;
                let gradients = (logits * Tensor::from_inner(gradient)).sum().backward();
                feature
                    .grad(&gradients)
                    .context("the network gave no gradient for its feature")
            }
            (Self::Operations(_), Trace::Kernels(_)) => {
                anyhow::bail!("a trace of another tail")
            }
        }
    }
}

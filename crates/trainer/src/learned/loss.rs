//! What training makes small.

use aecnn::resnet::TailGradient;
use aecnn::resnet::trainable::Tail;
use anyhow::{Context, Result};
use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Int, Tensor, TensorData};

/// Class numbers as a tensor `[n]`.
pub(super) fn targets(classes: &[usize], device: &Device) -> Tensor<1, Int> {
    let values: Vec<i64> = classes.iter().map(|class| *class as i64).collect();
    Tensor::from_data(TensorData::new(values, [classes.len()]), device)
}

/// Mean cross-entropy of logits `[n, classes]`, in nats.
pub(super) fn cross_entropy(logits: Tensor<2>, targets: Tensor<1, Int>) -> Tensor<1> {
    log_softmax(logits, 1)
        .gather(1, targets.unsqueeze_dim(1))
        .mean()
        .neg()
}

/// The network behind the split.
#[derive(Clone, Copy)]
pub(super) enum Behind<'a> {
    /// As a module, whose weights may learn.
    Learning(&'a Tail),
    /// Its weights stay: what is known of the answer is brought back to the feature at once.
    Frozen(&'a TailGradient),
}

impl Behind<'_> {
    /// Mean cross-entropy of the answers to features, and the share of right answers.
    pub(super) fn answer(
        self,
        feature: Tensor<4>,
        classes: &[usize],
        device: &Device,
    ) -> Result<(Tensor<1>, f64)> {
        let targets = targets(classes, device);
        match self {
            Self::Learning(tail) => {
                let logits = tail.forward(feature);
                let right = accuracy(&logits, classes);
                Ok((cross_entropy(logits, targets), right))
            }
            Self::Frozen(tail) => {
                let mut right = 0.0;
                let loss = behind_frozen(tail, feature, |logits| {
                    right = accuracy(&logits, classes);
                    cross_entropy(logits, targets)
                })?;
                Ok((loss, right))
            }
        }
    }
}

/// A loss of the answers to features, with its gradient brought back to these; the network stays as it is.
pub(super) fn behind_frozen(
    tail: &TailGradient,
    feature: Tensor<4>,
    loss: impl FnOnce(Tensor<2>) -> Tensor<1>,
) -> Result<Tensor<1>> {
    let (logits, trace) = tail.forward(feature.clone().inner());
    let logits = Tensor::from_inner(logits).require_grad();
    let loss = loss(logits.clone());
    let gradient = logits
        .grad(&loss.backward())
        .context("the loss gave no gradient for the answer")?;
    let slope = Tensor::from_inner(trace.backward(gradient));
    let along = (feature * slope).sum();
    // The loss's value, with the slope's gradient.
    Ok(along.clone() + (loss - along).detach())
}

/// Squared error of a restored feature, as a share of the feature's own variation in the batch.
pub(super) fn relative_error(restored: Tensor<4>, feature: Tensor<4>) -> Tensor<1> {
    let mean = feature.clone().mean_dim(0);
    let power = (feature.clone() - mean).square().mean().detach() + 1e-6;
    (restored - feature).square().mean() / power
}

/// Share of the rows whose highest logit is the right class.
pub(super) fn accuracy(logits: &Tensor<2>, classes: &[usize]) -> f64 {
    let Ok(best) = logits.clone().detach().argmax(1).try_into_vec_as::<i64>() else {
        return f64::NAN;
    };
    let right = best
        .iter()
        .zip(classes)
        .filter(|(best, class)| **best == **class as i64)
        .count();
    right as f64 / classes.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cross_entropy_is_that_of_the_right_class() {
        let device = Device::flex();
        let logits = Tensor::<2>::from_floats([[0.0, 3f32.ln()], [0.0, 0.0]], &device);
        // -ln(3/4) and -ln(1/2).
        let value = cross_entropy(logits.clone(), targets(&[1, 0], &device)).into_scalar::<f32>();
        assert!((value - 0.490_415).abs() < 1e-5, "{value}");
        assert_eq!(accuracy(&logits, &[1, 1]), 0.5);
    }

    #[test]
    fn the_mean_feature_has_relative_error_one() {
        let device = Device::flex();
        let feature = Tensor::<1>::from_floats([1.0, 3.0], &device).reshape([2, 1, 1, 1]);
        let mean = Tensor::<4>::full([2, 1, 1, 1], 2.0, &device);
        let error = relative_error(mean, feature.clone()).into_scalar::<f32>();
        assert!((error - 1.0).abs() < 1e-4, "{error}");
        assert_eq!(
            relative_error(feature.clone(), feature).into_scalar::<f32>(),
            0.0
        );
    }
}

//! Merging a batch norm into the convolution in front of it.

use super::source::{Array, Layer};

/// The convolution that does what `layer`'s convolution and norm do: its kernel and bias.
///
/// With `s = gamma / sqrt(variance + epsilon)`: the kernel times `s`, and
/// `(bias - mean) * s + beta`. In double precision, so that folding adds no error of its own.
pub(super) fn fold(layer: &Layer) -> (Array, Vec<f32>) {
    let norm = &layer.norm;
    let scale: Vec<f64> = norm
        .gamma
        .iter()
        .zip(&norm.variance)
        .map(|(gamma, variance)| {
            f64::from(*gamma) / (f64::from(*variance) + f64::from(norm.epsilon)).sqrt()
        })
        .collect();
    let per_channel = layer.kernel.values.len() / scale.len();
    let values = layer
        .kernel
        .values
        .chunks(per_channel)
        .zip(&scale)
        .flat_map(|(kernel, scale)| kernel.iter().map(move |w| (f64::from(*w) * scale) as f32))
        .collect();
    let bias = scale
        .iter()
        .enumerate()
        .map(|(channel, scale)| {
            let bias = layer.bias.as_ref().map_or(0.0, |bias| bias[channel]);
            ((f64::from(bias) - f64::from(norm.mean[channel])) * scale
                + f64::from(norm.beta[channel])) as f32
        })
        .collect();
    let shape = layer.kernel.shape.clone();
    (Array { shape, values }, bias)
}

#[cfg(test)]
mod tests {
    use super::super::source::BatchNorm;
    use super::*;

    #[test]
    fn folding_keeps_the_output() {
        let layer = Layer {
            kernel: Array {
                shape: vec![2, 1, 1, 1],
                values: vec![3.0, -2.0],
            },
            bias: Some(vec![1.0, 0.5]),
            norm: BatchNorm {
                gamma: vec![2.0, 0.5],
                beta: vec![0.25, -1.0],
                mean: vec![4.0, 1.0],
                variance: vec![3.999, 0.249],
                epsilon: 0.001,
            },
        };
        let (kernel, bias) = fold(&layer);
        for (channel, input) in [(0, 1.5f32), (1, -7.0)] {
            let norm = &layer.norm;
            let conv = layer.kernel.values[channel] * input + layer.bias.as_ref().unwrap()[channel];
            let normed = norm.gamma[channel] * (conv - norm.mean[channel])
                / (norm.variance[channel] + norm.epsilon).sqrt()
                + norm.beta[channel];
            let folded = kernel.values[channel] * input + bias[channel];
            assert!((normed - folded).abs() < 1e-5, "{normed} {folded}");
        }
    }
}

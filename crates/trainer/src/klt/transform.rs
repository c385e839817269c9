//! From second moments to the transform.

use aecnn::FeatureShape;
use aecnn::codec::{Network, NetworkConfig, Transform};
use anyhow::{Result, anyhow, ensure};
use faer::{Mat, Side};

use super::statistics::Statistics;

/// What counts for more than squared error says.
#[derive(Debug, Clone, Copy)]
pub(super) struct Emphasis {
    /// The power of a position's sensitivity in its gain; see [`gain`].
    pub(super) positions: f64,
    /// The power of the variance that is made up for; see [`restore_variance`].
    pub(super) variance: f64,
}

/// The most by which a value of the block is scaled.
const MOST: f64 = 3.0;

/// The leading `k` components of the sensitivity-weighted KLT; see the module's documentation.
///
/// `ridge` times the sensitivity's mean eigenvalue is added to its diagonal, so that no direction
/// is taken for wholly meaningless. The sensitivity is scaled to the mean eigenvalue 1, which
/// gives steps their unit.
pub(super) fn fit(
    statistics: &Statistics,
    feature: FeatureShape,
    block: usize,
    k: usize,
    ridge: f64,
    emphasis: Emphasis,
) -> Result<Transform> {
    let n = statistics.values;
    ensure!(
        (1..=n).contains(&k),
        "--channels must be 1 to {n} at this split, not {k}"
    );
    let covariance = symmetric(n, &statistics.covariance);
    let mut sensitivity = symmetric(n, &statistics.sensitivity);
    let mean: f64 = (0..n).map(|i| sensitivity[(i, i)]).sum::<f64>() / n as f64;
    ensure!(
        mean > 0.0,
        "the network's answer does not depend on the feature"
    );
    sensitivity *= faer::Scale(1.0 / (mean * (1.0 + ridge)));
    for i in 0..n {
        sensitivity[(i, i)] += ridge / (1.0 + ridge);
    }

    let (root, inverse_root) = roots(&sensitivity)?;
    let weighted = &root * &covariance * &root;
    let eigen = weighted
        .self_adjoint_eigen(Side::Lower)
        .map_err(|error| anyhow!("the eigenvectors of the weighted covariance: {error:?}"))?;
    // Eigenvalues come in ascending order.
    let leading = Mat::from_fn(n, k, |i, j| eigen.U()[(i, n - 1 - j)]);
    let analysis = leading.transpose() * &root;
    let mut synthesis = &inverse_root * &leading;
    let values = eigen.S().column_vector();
    let variances: Vec<f64> = (0..k).map(|j| values[n - 1 - j]).collect();
    restore_variance(&mut synthesis, &variances, &covariance, emphasis.variance);

    let row_major = |rows: usize, at: &dyn Fn(usize, usize) -> f64| -> Vec<f32> {
        (0..rows)
            .flat_map(|r| (0..n).map(move |c| (r, c)))
            .map(|(r, c)| at(r, c) as f32)
            .collect()
    };
    let analysis_bias = (0..k)
        .map(|component| {
            let mean = &statistics.mean;
            -(0..n)
                .map(|i| analysis[(component, i)] * mean[i])
                .sum::<f64>() as f32
        })
        .collect();
    Ok(Transform {
        feature,
        block,
        analysis: row_major(k, &|r, c| analysis[(r, c)]),
        analysis_bias,
        synthesis: row_major(k, &|r, c| synthesis[(c, r)]),
        mean: statistics.mean.iter().map(|m| *m as f32).collect(),
        network: gain(&statistics.position_sensitivity, k, emphasis.positions),
    })
}

/// Scales each value of the block by the `power`-th power of the root of its variance over what the components
/// restore of it.
fn restore_variance(
    synthesis: &mut Mat<f64>,
    variances: &[f64],
    covariance: &Mat<f64>,
    power: f64,
) {
    for i in 0..synthesis.nrows() {
        let components = variances.iter().enumerate();
        let restored: f64 = components
            .map(|(j, variance)| synthesis[(i, j)].powi(2) * variance)
            .sum();
        let ratio = covariance[(i, i)] / restored;
        // A value that never varies has nothing to restore.
        if ratio.is_finite() && ratio > 0.0 {
            let scale = ratio.powf(power / 2.0).min(MOST);
            for j in 0..synthesis.ncols() {
                synthesis[(i, j)] *= scale;
            }
        }
    }
}

/// Gains by position, the same for all channels: the `power`-th power of the root of the position's sensitivity
/// over the mean one.
fn gain(sensitivity: &[f64], k: usize, power: f64) -> Network {
    if power == 0.0 {
        return Network::default();
    }
    let mean = sensitivity.iter().sum::<f64>() / sensitivity.len() as f64;
    let logarithms: Vec<f32> = sensitivity
        .iter()
        .map(|value| (0.5 * power * (value / mean).ln()) as f32)
        .collect();
    let all = logarithms.repeat(k);
    Network {
        config: NetworkConfig {
            gain: true,
            ..NetworkConfig::default()
        },
        tensors: ["analysis.gain", "synthesis.gain"]
            .map(|name| (name.to_owned(), all.clone()))
            .into(),
    }
}

/// The symmetric square root of a positive definite matrix, and its inverse.
fn roots(matrix: &Mat<f64>) -> Result<(Mat<f64>, Mat<f64>)> {
    let n = matrix.nrows();
    let eigen = matrix
        .self_adjoint_eigen(Side::Lower)
        .map_err(|error| anyhow!("the eigenvectors of the sensitivity: {error:?}"))?;
    let values = eigen.S().column_vector();
    let scaled = |power: f64| {
        Mat::from_fn(n, n, |i, j| {
            eigen.U()[(i, j)] * values[j].max(f64::MIN_POSITIVE).powf(power)
        }) * eigen.U().transpose()
    };
    Ok((scaled(0.5), scaled(-0.5)))
}

fn symmetric(n: usize, values: &[f64]) -> Mat<f64> {
    Mat::from_fn(n, n, |i, j| 0.5 * (values[i * n + j] + values[j * n + i]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_components_restore_the_block_and_importance_falls() {
        // A covariance and a sensitivity that prefer different directions.
        let n = 4;
        let covariance: Vec<f64> = (0..n * n)
            .map(|at| {
                let (i, j) = (at / n, at % n);
                if i == j { 4.0 / (i + 1) as f64 } else { 0.3 }
            })
            .collect();
        let sensitivity: Vec<f64> = (0..n * n)
            .map(|at| {
                let (i, j) = (at / n, at % n);
                if i == j { (i + 1) as f64 } else { -0.2 }
            })
            .collect();
        let statistics = Statistics {
            values: n,
            pictures: 1,
            gradient_pictures: 1,
            mean: vec![1.0, -2.0, 0.5, 0.0],
            covariance,
            sensitivity,
            position_sensitivity: vec![1.0],
            samples: Vec::new(),
        };
        let shape = FeatureShape {
            channels: 4,
            height: 1,
            width: 1,
        };
        let transform = fit(
            &statistics,
            shape,
            1,
            n,
            0.01,
            Emphasis {
                positions: 0.0,
                variance: 1.0,
            },
        )
        .unwrap();
        let x = [0.3f32, 1.0, -4.0, 2.0];
        let y: Vec<f32> = (0..n)
            .map(|c| {
                transform.analysis_bias[c]
                    + (0..n)
                        .map(|i| transform.analysis[c * n + i] * x[i])
                        .sum::<f32>()
            })
            .collect();
        for (i, value) in x.iter().enumerate() {
            let restored = transform.mean[i]
                + (0..n)
                    .map(|c| transform.synthesis[c * n + i] * y[c])
                    .sum::<f32>();
            assert!((restored - value).abs() < 1e-4, "{restored} {value}");
        }
        // Variances of the components: the covariance seen through the analysis.
        let variance = |c: usize| -> f64 {
            (0..n * n)
                .map(|at| {
                    let (i, j) = (at / n, at % n);
                    let row = &transform.analysis[c * n..(c + 1) * n];
                    f64::from(row[i]) * statistics.covariance[at] * f64::from(row[j])
                })
                .sum()
        };
        assert!((1..n).all(|c| variance(c) <= variance(c - 1)));
    }
}

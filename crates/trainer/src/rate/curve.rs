//! Rate and divergence of the codec that training starts from: they set the price of a bit.

use anyhow::{Context, Result};
use burn::tensor::Device;
use serde::{Deserialize, Serialize};

use aecnn::codec::CodecFile;
use aecnn::resnet::ResNet50;

use super::TrainRateArgs;
use super::pictures::Pictures;
use crate::measure::measure_rates;
use crate::model::ModelFolder;

/// Bytes and nats of each rate, from the fewest bytes.
#[derive(Serialize, Deserialize)]
pub(super) struct Curve {
    points: Vec<Point>,
}

#[derive(Serialize, Deserialize, Clone, Copy)]
struct Point {
    bytes: f64,
    divergence: f64,
}

impl Curve {
    /// Measures on the held-out pictures, or reads what an earlier call measured.
    pub(super) fn measure_once(
        args: &TrainRateArgs,
        folder: &ModelFolder,
        network: &ResNet50,
        start: &CodecFile,
        pictures: &Pictures,
        device: &Device,
    ) -> Result<Self> {
        let path = args.run.join("start.json");
        if !path.exists() {
            let measured = measure_rates(folder, network, start, &pictures.held_out, device)?;
            let points = measured
                .iter()
                .map(|rate| Point {
                    bytes: rate.mean_bytes,
                    divergence: rate.divergence.max(1e-4),
                })
                .collect();
            std::fs::write(&path, serde_json::to_vec_pretty(&Self { points })?)
                .with_context(|| format!("writing {}", path.display()))?;
        }
        // Read even what was just written: a later call computes with the very same numbers.
        let json = std::fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
        serde_json::from_slice(&json).with_context(|| format!("reading {}", path.display()))
    }

    pub(super) fn divergences(&self) -> Vec<f64> {
        self.points.iter().map(|point| point.divergence).collect()
    }

    /// Nats that a bit is worth at each rate: the slope of the curve, taken as straight between neighbours
    /// where both axes are logarithmic.
    pub(super) fn lambdas(&self) -> Vec<f64> {
        let slope =
            |a: Point, b: Point| (a.divergence / b.divergence).ln() / (b.bytes / a.bytes).ln();
        let last = self.points.len() - 1;
        self.points
            .iter()
            .enumerate()
            .map(|(at, point)| {
                let (a, b) = (at.saturating_sub(1), (at + 1).min(last));
                let exponent = if a < b {
                    slope(self.points[a], self.points[b])
                } else {
                    1.0
                };
                exponent.max(0.1) * point.divergence / (8.0 * point.bytes)
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_price_of_a_bit_is_the_slope() {
        // divergence = 100 / bytes: the slope is -100 / bytes^2 nats a byte.
        let curve = Curve {
            points: [500.0, 1000.0, 2000.0]
                .map(|bytes| Point {
                    bytes,
                    divergence: 100.0 / bytes,
                })
                .to_vec(),
        };
        let wanted = 100.0 / 1e6 / 8.0;
        assert!((curve.lambdas()[1] - wanted).abs() < 1e-12);
    }
}

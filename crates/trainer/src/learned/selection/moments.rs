//! What latents and features have in common, and the linear decoder of least squares that follows from it.

use aecnn::learned::ChannelAttention;
use anyhow::{Result, anyhow};
use burn::tensor::Tensor;
use faer::linalg::solvers::Solve;
use faer::{Mat, Side};

use super::View;
use crate::data::Picture;
use crate::klt::{add, gather_blocks};
use crate::learned::codec::indices;
use crate::measure::BATCH;
use crate::progress::bar;

/// Added to the diagonal of the latents' second moments, as a share of its mean.
const RIDGE: f64 = 1e-6;
/// What a decoder is fitted to.
pub(super) struct Moments {
    /// Values in a block of the feature.
    values: usize,
    /// Blocks seen.
    blocks: usize,
    latent_sum: Vec<f64>,
    feature_sum: Vec<f64>,
    /// Sum of outer products of latents `[k, k]`.
    latent_outer: Vec<f64>,
    /// Sum of outer products of latent and block `[k, values]`.
    cross: Vec<f64>,
    /// Each picture's latent `[k, rows, columns]`.
    pub(super) latents: Vec<Vec<f32>>,
}

impl Moments {
    pub(super) fn gather(
        view: &View<'_>,
        attention: &ChannelAttention,
        kept: &[usize],
        block: usize,
        pictures: &[Picture],
    ) -> Result<Self> {
        let k = kept.len();
        let which = indices(kept, view.device);
        let progress = bar(pictures.len(), "latents");
        let mut all: Option<Self> = None;
        for batch in pictures.chunks(BATCH) {
            let feature = view.features(batch)?;
            let [n, channels, height, width] = feature.dims();
            let values = channels * block * block;
            let moments = all.get_or_insert_with(|| Self {
                values,
                blocks: 0,
                latent_sum: vec![0.0; k],
                feature_sum: vec![0.0; values],
                latent_outer: vec![0.0; k * k],
                cross: vec![0.0; k * values],
                latents: Vec::new(),
            });
            let attended = attention.forward(feature.clone().select(1, which.clone()));
            let latent = gather_blocks(attended, block)
                .reshape([-1, k as i32, (block * block) as i32])
                .mean_dim(2)
                .squeeze_dim::<2>(2);
            let x = gather_blocks(feature, block);
            let read = |tensor: Tensor<2>| tensor.try_into_vec_as::<f32>();
            add(&mut moments.latent_sum, &read(latent.clone().sum_dim(0))?);
            add(&mut moments.feature_sum, &read(x.clone().sum_dim(0))?);
            let across = latent.clone().transpose();
            add(
                &mut moments.latent_outer,
                &read(across.clone().matmul(latent.clone()))?,
            );
            add(&mut moments.cross, &read(across.matmul(x))?);
            moments.blocks += latent.dims()[0];
            let positions = (height / block) * (width / block);
            let by_channel = latent.reshape([n, positions, k]).swap_dims(1, 2);
            let by_channel = by_channel.try_into_vec_as::<f32>()?;
            let latents = by_channel.chunks(k * positions);
            moments.latents.extend(latents.map(<[f32]>::to_vec));
            progress.inc(batch.len() as u64);
        }
        progress.finish_and_clear();
        all.ok_or_else(|| anyhow!("--calibration must be at least 1"))
    }

    /// The linear map from latent to block `[k, values]` of least squared error, and what is added to it.
    pub(super) fn least_squares(&self) -> Result<(Vec<f32>, Vec<f32>)> {
        let (k, n) = (self.latent_sum.len(), self.blocks as f64);
        let z = |i: usize| self.latent_sum[i] / n;
        let x = |j: usize| self.feature_sum[j] / n;
        let mut moments = Mat::from_fn(k, k, |i, j| self.latent_outer[i * k + j] / n - z(i) * z(j));
        let trace: f64 = (0..k).map(|i| moments[(i, i)]).sum();
        for i in 0..k {
            moments[(i, i)] += RIDGE * trace / k as f64 + f64::MIN_POSITIVE;
        }
        let cross = Mat::from_fn(k, self.values, |i, j| {
            self.cross[i * self.values + j] / n - z(i) * x(j)
        });
        let map = moments
            .llt(Side::Lower)
            .map_err(|error| anyhow!("the decoder's least squares: {error:?}"))?
            .solve(&cross);
        let rest = (0..self.values)
            .map(|j| (x(j) - (0..k).map(|i| map[(i, j)] * z(i)).sum::<f64>()) as f32)
            .collect();
        let map = (0..k)
            .flat_map(|i| (0..self.values).map(move |j| (i, j)))
            .map(|at| map[at] as f32)
            .collect();
        Ok((map, rest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn least_squares_finds_the_linear_map() {
        let latents = [[0.0, 1.0], [1.0, 0.5], [2.0, -1.0], [-1.0, 3.0]];
        let blocks = latents.map(|[a, b]: [f64; 2]| [2.0 * a + 1.0, a - b, 0.5 * b - 3.0]);
        let outer = |rows: &dyn Fn(usize) -> Vec<f64>| -> Vec<f64> {
            let mut sum = vec![0.0; 2 * rows(0).len()];
            for (at, latent) in latents.iter().enumerate() {
                let row = rows(at);
                for (i, z) in latent.iter().enumerate() {
                    for (j, x) in row.iter().enumerate() {
                        sum[i * row.len() + j] += z * x;
                    }
                }
            }
            sum
        };
        let moments = Moments {
            values: 3,
            blocks: 4,
            latent_sum: (0..2).map(|i| latents.iter().map(|z| z[i]).sum()).collect(),
            feature_sum: (0..3).map(|j| blocks.iter().map(|x| x[j]).sum()).collect(),
            latent_outer: outer(&|at| latents[at].to_vec()),
            cross: outer(&|at| blocks[at].to_vec()),
            latents: Vec::new(),
        };
        let (map, rest) = moments.least_squares().unwrap();
        for (got, wanted) in map.iter().zip([2.0, 1.0, 0.0, 0.0, -1.0, 0.5]) {
            assert!((got - wanted).abs() < 1e-4, "{map:?}");
        }
        for (got, wanted) in rest.iter().zip([1.0, 0.0, -3.0]) {
            assert!((got - wanted).abs() < 1e-4, "{rest:?}");
        }
    }
}

//! Steps and tables for wanted sizes.

use aecnn::codec::{Rate, Transform};
use anyhow::{Context as _, Result, ensure};
use feature_codec::{ChannelCounts, Context, Geometry, Symbol, Tables, contexts};
use rayon::prelude::*;

use super::contexts::channel_counts;
use super::statistics::Statistics;

/// Components that are other than zero less often than this are not sent.
const RAREST: f64 = 2e-4;

/// How much more varied than by least squares a channel is restored.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Vigour {
    /// From least squares (0) to the channel's own variance (1), as a power of the ratio of the two.
    pub(crate) channels: f64,
    /// A factor on all channels.
    pub(crate) scale: f64,
}

impl Vigour {
    /// Least squares.
    pub(crate) const NONE: Self = Self {
        channels: 0.0,
        scale: 1.0,
    };
    /// The most that a channel is restored beyond least squares.
    const MOST: f64 = 3.0;
}

/// One rate for each wanted mean payload, from the smallest.
pub(super) fn fit(
    statistics: &Statistics,
    transform: &Transform,
    wanted_bytes: &[f64],
    rounding: f32,
    vigour: Vigour,
) -> Result<Vec<Rate>> {
    let Transform { feature, block, .. } = transform;
    let grid = [feature.height / block, feature.width / block];
    let latents = latents(statistics, transform);
    of_latents(&latents, grid, wanted_bytes, rounding, vigour)
}

/// One rate for each wanted mean payload, from the smallest, by the latents `[k, rows, columns]` of some pictures.
pub(crate) fn of_latents(
    latents: &[Vec<f32>],
    grid: [usize; 2],
    wanted_bytes: &[f64],
    rounding: f32,
    vigour: Vigour,
) -> Result<Vec<Rate>> {
    ensure!(
        (0.0..=0.5).contains(&rounding),
        "--rounding must be 0 to 0.5, not {rounding}"
    );
    let components = components_of(latents, grid[0] * grid[1]);
    let mut wanted = wanted_bytes.to_vec();
    wanted.sort_by(f64::total_cmp);
    wanted
        .into_iter()
        .map(|bytes| {
            let step = step_for(&components, grid[0] * grid[1], bytes, rounding);
            let name = format!("{bytes:.0}B");
            let quantiser = Quantiser {
                step,
                rounding,
                vigour,
            };
            rate(latents, &components, grid, name, quantiser)
                .with_context(|| format!("the rate of {bytes} bytes"))
        })
        .collect()
}

/// The latents `[k, positions]` of the sampled pictures.
fn latents(statistics: &Statistics, transform: &Transform) -> Vec<Vec<f32>> {
    let n = statistics.values;
    let gain = transform.network.tensors.get("analysis.gain");
    let gain = gain.map_or(&[][..], Vec::as_slice);
    let component = |channel: usize, row: &[f32], bias: &f32, picture: &[f32]| -> Vec<f32> {
        let positions = picture.len() / n;
        let values = picture
            .chunks(n)
            .map(|x| bias + row.iter().zip(x).map(|(a, x)| a * x).sum::<f32>());
        match gain.get(channel * positions..(channel + 1) * positions) {
            Some(gain) => values.zip(gain).map(|(y, gain)| y * gain.exp()).collect(),
            None => values.collect(),
        }
    };
    statistics
        .samples
        .par_iter()
        .map(|picture| {
            transform
                .analysis
                .chunks(n)
                .zip(&transform.analysis_bias)
                .enumerate()
                .flat_map(|(channel, (row, bias))| component(channel, row, bias, picture))
                .collect()
        })
        .collect()
}

/// Each channel's values over all pictures, whose latents are `[k, positions]`.
pub(crate) fn components_of(latents: &[Vec<f32>], positions: usize) -> Vec<Vec<f32>> {
    let k = latents.first().map_or(0, Vec::len) / positions;
    (0..k)
        .into_par_iter()
        .map(|channel| {
            let of = channel * positions..(channel + 1) * positions;
            latents
                .iter()
                .flat_map(|latent| latent[of.clone()].iter().copied())
                .collect()
        })
        .collect()
}

fn symbol(value: f32, step: f32, rounding: f32) -> Symbol {
    let steps = value / step;
    (steps.abs() + rounding).floor().copysign(steps) as Symbol
}

fn counts(component: &[f32], step: f32, rounding: f32) -> Vec<u64> {
    let symbols: Vec<Symbol> = component
        .iter()
        .map(|value| symbol(*value, step, rounding))
        .collect();
    let min = symbols.iter().copied().min().unwrap_or(0);
    let max = symbols.iter().copied().max().unwrap_or(0);
    let mut counts = vec![0; (i32::from(max) - i32::from(min) + 1) as usize];
    for symbol in symbols {
        counts[(i32::from(symbol) - i32::from(min)) as usize] += 1;
    }
    counts
}

/// Bits a symbol of this distribution takes at best.
fn entropy(counts: &[u64]) -> f64 {
    let total: u64 = counts.iter().sum();
    counts
        .iter()
        .filter(|count| **count > 0)
        .map(|count| {
            let p = *count as f64 / total as f64;
            -p * p.log2()
        })
        .sum()
}

/// The step whose symbols take `bytes` a picture, by bisection: a larger step takes less.
fn step_for(components: &[Vec<f32>], positions: usize, bytes: f64, rounding: f32) -> f32 {
    let size = |step: f32| -> f64 {
        let bits: f64 = components
            .par_iter()
            .map(|component| entropy(&counts(component, step, rounding)))
            .sum();
        bits * positions as f64 / 8.0
    };
    let (mut low, mut high) = (1e-3f32, 1e4f32);
    for _ in 0..24 {
        let middle = (low * high).sqrt();
        if size(middle) > bytes {
            low = middle;
        } else {
            high = middle;
        }
    }
    (low * high).sqrt()
}

/// How values become symbols and what symbols are restored as.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Quantiser {
    pub(crate) step: f32,
    pub(crate) rounding: f32,
    pub(crate) vigour: Vigour,
}

/// The rate of this quantiser: which channels it sends, their tables and what their symbols are restored as, by
/// the latents `[k, rows, columns]` of some pictures and the same by channel ([`components_of`]).
pub(crate) fn rate(
    latents: &[Vec<f32>],
    components: &[Vec<f32>],
    [rows, columns]: [usize; 2],
    name: String,
    quantiser: Quantiser,
) -> Result<Rate> {
    let Quantiser { step, rounding, .. } = quantiser;
    let sent = |component: &Vec<f32>| {
        let symbols = component.iter().map(|value| symbol(*value, step, rounding));
        let others = symbols.filter(|symbol| *symbol != 0).count();
        others as f64 > RAREST * component.len() as f64
    };
    let channels = components
        .iter()
        .rposition(sent)
        .context("the step is so large that nothing would be sent")?
        + 1;
    let reconstruction = components[..channels]
        .iter()
        .map(|component| reconstruction(component, quantiser))
        .collect();
    let geometry = Geometry {
        channels,
        rows,
        columns,
    };
    let pictures: Vec<Vec<(Symbol, Context)>> = latents
        .par_iter()
        .map(|latent| {
            let symbols: Vec<Symbol> = latent[..channels * rows * columns]
                .iter()
                .map(|value| symbol(*value, step, rounding))
                .collect();
            let around = contexts(&symbols, geometry);
            symbols.iter().copied().zip(around).collect()
        })
        .collect();
    let counts: Vec<ChannelCounts> = (0..channels)
        .into_par_iter()
        .map(|channel| {
            let of = channel * rows * columns..(channel + 1) * rows * columns;
            let all = pictures.iter().flat_map(|picture| &picture[of.clone()]);
            channel_counts(&all.copied().collect::<Vec<_>>())
        })
        .collect();
    Ok(Rate {
        name,
        step,
        rounding,
        reconstruction,
        tables: Tables::from_counts(&counts)?,
    })
}

/// What one step is restored as: the value of least squared error, and more as far as the vigour goes.
fn reconstruction(component: &[f32], quantiser: Quantiser) -> f32 {
    let Quantiser {
        step,
        rounding,
        vigour,
    } = quantiser;
    let (mut product, mut square, mut power) = (0.0, 0.0, 0.0);
    for value in component {
        let symbol = f64::from(symbol(*value, step, rounding));
        let value = f64::from(*value);
        product += value * symbol;
        square += symbol * symbol;
        power += value * value;
    }
    if square == 0.0 {
        return step;
    }
    let least_squares = product / square;
    let ratio = (power / square).sqrt() / least_squares;
    let more = vigour.scale * ratio.powf(vigour.channels);
    (least_squares * more.min(Vigour::MOST)) as f32
}

//! Latents to symbols and back.

use feature_codec::Symbol;

use super::Rate;

/// Quantises a latent with the rate's step.
///
/// `latent` holds channels of `positions` values each; the rate's first channels are taken, in
/// the same layout. The rounding is towards zero by the rate's dead zone: a value of `x` steps
/// becomes `sign(x) * floor(|x| + rounding)`. Values that are not numbers become 0, and
/// magnitudes stop at the symbols' range.
#[must_use]
pub fn quantise(latent: &[f32], rate: &Rate, positions: usize) -> Vec<Symbol> {
    let scale = rate.step.recip();
    latent
        .iter()
        .take(rate.channels() * positions)
        .map(|value| {
            let steps = value * scale;
            let magnitude = (steps.abs() + rate.rounding).floor();
            // A cast from float saturates, and turns NaN into 0.
            magnitude.copysign(steps) as Symbol
        })
        .collect()
}

/// The latent that symbols stand for: `channels` channels of `positions` values, and zeros for
/// those that were not sent, up to `latent_channels`.
#[must_use]
pub fn dequantise(
    symbols: &[Symbol],
    rate: &Rate,
    positions: usize,
    latent_channels: usize,
) -> Vec<f32> {
    let mut latent = vec![0.0; latent_channels * positions];
    let channels = symbols
        .chunks(positions)
        .zip(&rate.reconstruction)
        .zip(latent.chunks_mut(positions));
    for ((symbols, step), latent) in channels {
        for (value, symbol) in latent.iter_mut().zip(symbols) {
            *value = f32::from(*symbol) * step;
        }
    }
    latent
}

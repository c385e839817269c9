//! In fixed point: numbers of which a word holds several ([`Numbers`]), multiplied word by word and summed in 32 bits. One
//! instruction does two or four times the products of one in single precision.
//!
//! What a pixel reads has a scale of its own, and so has each output channel's weights ([`Panels`]). A pixel that reads
//! anything that is not finite becomes NaN in all its channels.
//!
//! [`Panels`]: super::Panels

use super::numbers::{Numbers, Scale};
use super::{BLOCK, Convolve, Finish, Panels, Pixel, VECTORS, by_panel};
use crate::arch::Instructions;

/// Words of inputs that are kept, as much as stays in the second cache.
const MOST_WORDS: usize = 64 << 10;

/// With fewer channels an input pixel's extent is not kept for all that read it.
const FEW_CHANNELS: usize = 16;

#[inline(always)]
pub(super) fn run<S: Instructions, N: Numbers, const TILE: usize>(simd: S, convolve: Convolve<'_>) {
    let many = convolve.rows > 1 && convolve.channels >= FEW_CHANNELS;
    let extents = many.then(|| Extents::<N>::new(simd, &convolve));
    let Convolve {
        input,
        rows,
        row_step,
        row_length,
        panels,
        bias,
        residual,
        relu,
        pixels,
        scratch,
        output,
        ..
    } = convolve;
    let row_words = row_length.div_ceil(N::IN_WORD);
    let read = rows * row_words;
    let tiles = (MOST_WORDS / read / TILE).clamp(1, BLOCK / TILE);
    let spare = S::I32_LANES;
    let (own, kept) = two_of(scratch, TILE * read + spare, tiles * read * TILE);
    let finish = Finish { residual, relu };
    for pixels in pixels.chunks(tiles * TILE) {
        let mut scales = [Scale::default(); BLOCK];
        let of_tiles = pixels.chunks(TILE).zip(kept.chunks_exact_mut(read * TILE));
        for ((pixels, kept), scales) in of_tiles.zip(scales.chunks_mut(TILE)) {
            for (index, (pixel, scale)) in pixels.iter().zip(scales).enumerate() {
                let starts = (0..rows).map(|row| pixel.input + row * row_step);
                let extent = match &extents {
                    Some(extents) => extents.of(starts.clone(), row_length),
                    None => {
                        let row = |start| &input[start..][..row_length];
                        N::extent(simd, starts.clone().map(row))
                    }
                };
                let (by, of_pixel) = N::scale(simd, extent);
                *scale = of_pixel;
                for (row, start) in starts.enumerate() {
                    // In this order: each writes beyond its end, where the next begins.
                    let own = &mut own[index * read + row * row_words..];
                    N::narrow(simd, &input[start..], row_length, by, own);
                }
            }
            simd.interleave::<TILE>(&own[..TILE * read], kept);
        }
        let kept = Kept {
            words: kept,
            scales: &scales,
        };
        multiply::<S, N, TILE>(simd, kept, panels, bias, finish, pixels, output);
    }
}

/// The extents of input pixels, for several output pixels read each of them.
struct Extents<N: Numbers> {
    first: usize,
    channels: usize,
    extents: Vec<N::Extent>,
}

impl<N: Numbers> Extents<N> {
    /// Of all that the convolution's pixels read.
    #[inline(always)]
    fn new<S: Instructions>(simd: S, convolve: &Convolve<'_>) -> Self {
        let starts = convolve.pixels.iter().map(|pixel| pixel.input);
        let first = starts.clone().min().unwrap_or_default();
        let end = starts.max().unwrap_or_default()
            + (convolve.rows - 1) * convolve.row_step
            + convolve.row_length;
        let channels = convolve.channels;
        let mut extents = Vec::with_capacity((end - first) / channels);
        for values in convolve.input[first..end].chunks_exact(channels) {
            extents.push(N::extent(simd, std::iter::once(values)));
        }
        Self {
            first,
            channels,
            extents,
        }
    }

    /// Of `length` values from each of `starts` on.
    #[inline(always)]
    fn of(&self, starts: impl Iterator<Item = usize>, length: usize) -> N::Extent {
        let mut extent = N::Extent::default();
        for start in starts {
            let pixels = &self.extents[(start - self.first) / self.channels..];
            for of_pixel in &pixels[..length / self.channels] {
                extent = N::join(extent, *of_pixel);
            }
        }
        extent
    }
}

/// What pixels read, in fixed point.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kept<'a> {
    /// For each tile of pixels that are computed together and each word that they read: the tile's words.
    pub(crate) words: &'a [i32],
    /// What the numbers of each pixel mean.
    pub(crate) scales: &'a [Scale],
}

/// Brings values to fixed point, and puts their words beside those of the other pixels of their tile, of which this is
/// `index` of `together`. `own` has place for the words.
#[inline(always)]
pub(crate) fn keep<S: Instructions, N: Numbers>(
    simd: S,
    values: &[f32],
    [index, together]: [usize; 2],
    own: &mut [i32],
    kept: &mut [i32],
) -> Scale {
    let (by, scale) = N::scale(simd, N::extent(simd, std::iter::once(values)));
    N::narrow(simd, values, values.len(), by, own);
    let length = own.len() * together;
    let tile = &mut kept[index / together * length..][..length];
    for (to, word) in tile.chunks_exact_mut(together).zip(own) {
        to[index % together] = *word;
    }
    scale
}

/// The convolution of pixels whose inputs are `kept`.
#[cfg_attr(target_arch = "wasm32", inline(never))]
#[cfg_attr(not(target_arch = "wasm32"), inline(always))]
pub(crate) fn multiply<S: Instructions, N: Numbers, const TILE: usize>(
    simd: S,
    kept: Kept<'_>,
    panels: &Panels,
    bias: &[f32],
    finish: Finish<'_>,
    pixels: &[Pixel],
    output: &mut [f32],
) {
    let weights: &[[S::i32s; VECTORS]] = S::as_simd_i32s(panels.words()).0.as_chunks().0;
    let (steps, biases) = (by_panel::<S>(panels.steps()), by_panel::<S>(bias));
    let weights_sums = by_panel::<S>(panels.sums());
    let read = weights.len() / biases.len();
    let mut channel = 0;
    let of_panels = weights.chunks_exact(read).zip(steps).zip(biases);
    for (panel, ((weights, steps), bias)) in of_panels.enumerate() {
        let tiles = pixels.chunks(TILE).zip(kept.scales.chunks(TILE));
        for ((tile, scales), words) in tiles.zip(kept.words.chunks_exact(read * TILE)) {
            let sums = sums::<S, N, TILE>(simd, words, weights);
            for ((pixel, sums), scale) in tile.iter().zip(sums).zip(scales) {
                let mut results = *bias;
                if N::SHIFTED {
                    let zero = simd.splat_f32s(scale.zero);
                    for (result, weights_sum) in results.iter_mut().zip(weights_sums[panel]) {
                        *result = simd.mul_add_e_f32s(zero, weights_sum, *result);
                    }
                }
                let step = simd.splat_f32s(scale.step);
                for ((result, sum), weights_step) in results.iter_mut().zip(sums).zip(steps) {
                    let step = simd.mul_f32s(step, *weights_step);
                    *result = simd.mul_add_e_f32s(simd.to_float(sum), step, *result);
                }
                finish.write(simd, results, *pixel, channel, output);
            }
        }
        channel += VECTORS * S::F32_LANES;
    }
}

/// The words of pixels times those of their weights, in units of the two steps.
#[allow(
    clippy::needless_range_loop,
    reason = "with iterators the sums stay in memory, which takes twice the time"
)]
#[inline(always)]
fn sums<S: Instructions, N: Numbers, const TILE: usize>(
    simd: S,
    words: &[i32],
    weights: &[[S::i32s; VECTORS]],
) -> [[S::i32s; VECTORS]; TILE] {
    let mut sums = [[simd.splat_i32s(0); VECTORS]; TILE];
    for (words, weights) in words.as_chunks::<TILE>().0.iter().zip(weights) {
        for i in 0..TILE {
            let word = simd.splat_i32s(words[i]);
            for v in 0..VECTORS {
                sums[i][v] = N::add_dot(simd, sums[i][v], word, weights[v]);
            }
        }
    }
    sums
}

/// As many numbers as `first`, and behind them as many as `second`.
fn two_of(scratch: &mut Vec<i32>, first: usize, second: usize) -> (&mut [i32], &mut [i32]) {
    if scratch.len() < first + second {
        scratch.resize(first + second, 0);
    }
    let (one, rest) = scratch.split_at_mut(first);
    (one, &mut rest[..second])
}

//! In fixed point: 16-bit numbers, multiplied in pairs and summed in 32 bits. One instruction
//! does twice the products of one in single precision.
//!
//! What a pixel reads has a step of its own, and so has each output channel's weights ([`Panels`]). By them
//! both are made as long, as vectors, as they can be: what comes of two vectors is at most the product of their
//! lengths, which 32 bits must hold. The result is that of single precision up to some ten-thousandths of
//! that product. A pixel that reads anything that is not finite, or whose square is not, becomes NaN in
//! all its channels.
//!
//! [`Panels`]: super::Panels

use pulp::Simd;

use super::{BLOCK, Convolve, Finish, Panels, Pixel, VECTORS, by_panel};
use crate::arch::Instructions;

/// Pairs of inputs that are kept, as much as stays in the second cache.
const MOST_PAIRS: usize = 64 << 10;

/// The length of what a pixel reads, in its steps: no number can then be beyond 16 bits.
const LENGTH: f32 = 32_000.0;

/// The length of an output channel's weights, in their steps. Numbers are rounded by at most a half, so that even of
/// 2^16 of them two vectors have less than 2^31 as their product.
pub(super) const WEIGHTS_LENGTH: f32 = 66_000.0;

/// Vectors that are not longer are as good as zero: the square of their length may not be told.
const LEAST: f32 = 1e-18;

#[inline(always)]
pub(super) fn run<S: Instructions, const TILE: usize>(simd: S, convolve: Convolve<'_>) {
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
    } = convolve;
    let read = rows * row_length.div_ceil(2);
    let tiles = (MOST_PAIRS / read / TILE).clamp(1, BLOCK / TILE);
    let (one, kept) = two_of(scratch, read, tiles * read * TILE);
    let finish = Finish { residual, relu };
    for pixels in pixels.chunks(tiles * TILE) {
        let mut worth = [0.0; BLOCK];
        for ((index, pixel), worth) in pixels.iter().enumerate().zip(&mut worth) {
            let row = |row: usize| &input[pixel.input + row * row_step..][..row_length];
            *worth = keep(simd, (0..rows).map(row), one);
            place(one, [index, TILE], kept);
        }
        let kept = Kept {
            pairs: kept,
            worth: &worth,
        };
        multiply::<S, TILE>(simd, kept, panels, bias, finish, pixels, output);
    }
}

/// What pixels read, in fixed point.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kept<'a> {
    /// For each tile of pixels that are computed together and each pair that they read: the tile's pairs.
    pub(crate) pairs: &'a [i32],
    /// What a step of each pixel is worth.
    pub(crate) worth: &'a [f32],
}

/// Brings what a pixel reads, of which each row has as many values, to fixed point; and tells what a step is worth.
#[inline(always)]
pub(crate) fn keep<'a, S: Instructions>(
    simd: S,
    rows: impl ExactSizeIterator<Item = &'a [f32]> + Clone,
    kept: &mut [i32],
) -> f32 {
    let row_pairs = kept.len() / rows.len();
    let mut squares = [simd.splat_f32s(0.0); 2];
    for row in rows.clone() {
        squares = add_squares(simd, squares, row);
    }
    let [a, b] = squares;
    let (by, worth) = steps(simd.reduce_sum_f32s(simd.add_f32s(a, b)));
    for (row, kept) in rows.zip(kept.chunks_exact_mut(row_pairs)) {
        narrow(simd, row, by, kept);
    }
    worth
}

/// Puts the pairs of pixel `index` beside those of the other pixels of its tile, `together` in all.
#[inline(always)]
pub(crate) fn place(one: &[i32], [index, together]: [usize; 2], kept: &mut [i32]) {
    let length = one.len() * together;
    let tile = &mut kept[index / together * length..][..length];
    for (to, pair) in tile.chunks_exact_mut(together).zip(one) {
        to[index % together] = *pair;
    }
}

/// The convolution of pixels whose inputs are `kept`.
#[inline(always)]
pub(crate) fn multiply<S: Instructions, const TILE: usize>(
    simd: S,
    kept: Kept<'_>,
    panels: &Panels,
    bias: &[f32],
    finish: Finish<'_>,
    pixels: &[Pixel],
    output: &mut [f32],
) {
    let weights: &[[S::i32s; VECTORS]] = S::as_simd_i32s(panels.pairs()).0.as_chunks().0;
    let (weight_steps, biases) = (by_panel::<S>(panels.steps()), by_panel::<S>(bias));
    let read = weights.len() / biases.len();
    let mut channel = 0;
    let of_panels = weights.chunks_exact(read).zip(weight_steps).zip(biases);
    for ((weights, weight_steps), bias) in of_panels {
        let tiles = pixels.chunks(TILE).zip(kept.worth.chunks(TILE));
        for ((tile, worth), pairs) in tiles.zip(kept.pairs.chunks_exact(read * TILE)) {
            let sums = sums::<S, TILE>(simd, pairs, weights);
            for ((pixel, sums), worth) in tile.iter().zip(sums).zip(worth) {
                let worth = simd.splat_f32s(*worth);
                let sums = std::array::from_fn(|v| {
                    let step = simd.mul_f32s(worth, weight_steps[v]);
                    simd.mul_add_e_f32s(simd.to_float(sums[v]), step, bias[v])
                });
                finish.write(simd, sums, *pixel, channel, output);
            }
        }
        channel += VECTORS * S::F32_LANES;
    }
}

/// A pixel's inputs times their weights, in units of the two steps.
#[allow(
    clippy::needless_range_loop,
    reason = "with iterators the sums stay in memory, which takes twice the time"
)]
#[inline(always)]
fn sums<S: Instructions, const TILE: usize>(
    simd: S,
    pairs: &[i32],
    weights: &[[S::i32s; VECTORS]],
) -> [[S::i32s; VECTORS]; TILE] {
    let mut sums = [[simd.splat_i32s(0); VECTORS]; TILE];
    for (pairs, weights) in pairs.as_chunks::<TILE>().0.iter().zip(weights) {
        for i in 0..TILE {
            let pair = simd.splat_i32s(pairs[i]);
            for v in 0..VECTORS {
                sums[i][v] = simd.add_i32s(sums[i][v], simd.dot(pair, weights[v]));
            }
        }
    }
    sums
}

/// Adds the squares of values.
#[inline(always)]
fn add_squares<S: Simd>(simd: S, [mut a, mut b]: [S::f32s; 2], values: &[f32]) -> [S::f32s; 2] {
    let add = |to, values| simd.mul_add_e_f32s(values, values, to);
    let (vectors, rest) = S::as_simd_f32s(values);
    let (twos, one) = vectors.as_chunks();
    for [one, two] in twos {
        (a, b) = (add(a, *one), add(b, *two));
    }
    if let [one] = one {
        a = add(a, *one);
    }
    if !rest.is_empty() {
        b = add(b, simd.partial_load_f32s(rest));
    }
    [a, b]
}

/// From the square of the length of what a pixel reads: by what it is multiplied, and what a step of
/// the result is worth; NaN if not everything is finite.
#[inline(always)]
fn steps(squares: f32) -> (f32, f32) {
    match squares.is_finite() {
        true => {
            let length = squares.sqrt().max(LEAST);
            (LENGTH / length, length / LENGTH)
        }
        false => (0.0, f32::NAN),
    }
}

/// Values times `by` as pairs; one that is left over is beside a zero.
#[inline(always)]
fn narrow<S: Instructions>(simd: S, values: &[f32], by: f32, to: &mut [i32]) {
    let by = simd.splat_f32s(by);
    let narrow = |[a, b]: [S::f32s; 2]| simd.narrow(simd.mul_f32s(a, by), simd.mul_f32s(b, by));
    let (vectors, rest) = S::as_simd_f32s(values);
    let (twos, one) = vectors.as_chunks();
    let (to_twos, to_rest) = to.split_at_mut(twos.len() * S::I32_LANES);
    for (to, two) in S::as_mut_simd_i32s(to_twos).0.iter_mut().zip(twos) {
        *to = narrow(*two);
    }
    if !to_rest.is_empty() {
        let rest = simd.partial_load_f32s(rest);
        let last = match one {
            [one] => [*one, rest],
            _ => [rest, simd.splat_f32s(0.0)],
        };
        simd.partial_store_i32s(to_rest, narrow(last));
    }
}

/// As many numbers as `first`, and behind them as many as `second`.
fn two_of(scratch: &mut Vec<i32>, first: usize, second: usize) -> (&mut [i32], &mut [i32]) {
    if scratch.len() < first + second {
        scratch.resize(first + second, 0);
    }
    let (one, rest) = scratch.split_at_mut(first);
    (one, &mut rest[..second])
}

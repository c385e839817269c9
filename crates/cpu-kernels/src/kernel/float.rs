//! In single precision.

use pulp::Simd;

use super::{BLOCK, Convolve, Finish, VECTORS, by_panel};

#[inline(always)]
pub(super) fn run<S: Simd, const TILE: usize>(simd: S, convolve: &mut Convolve<'_>) {
    let Convolve {
        residual,
        relu,
        pixels,
        ..
    } = *convolve;
    let read = convolve.rows * convolve.row_length;
    let panels = by_panel::<S>(convolve.panels.floats());
    let finish = Finish { residual, relu };
    for block in pixels.chunks(BLOCK) {
        let mut channel = 0;
        for (weights, bias) in panels.chunks_exact(read).zip(by_panel::<S>(convolve.bias)) {
            for tile in block.chunks(TILE) {
                let last = tile.len() - 1;
                let starts = std::array::from_fn(|i| tile[i.min(last)].input);
                let sums = sums::<S, TILE>(simd, convolve, starts, weights, *bias);
                for (pixel, sums) in tile.iter().zip(sums) {
                    finish.write(simd, sums, *pixel, channel, convolve.output);
                }
            }
            channel += VECTORS * S::F32_LANES;
        }
    }
}

/// The bias, and each value read times its weights.
#[allow(
    clippy::needless_range_loop,
    reason = "with iterators the sums stay in memory, which takes twice the time"
)]
#[inline(always)]
fn sums<S: Simd, const TILE: usize>(
    simd: S,
    convolve: &Convolve<'_>,
    starts: [usize; TILE],
    weights: &[[S::f32s; VECTORS]],
    bias: [S::f32s; VECTORS],
) -> [[S::f32s; VECTORS]; TILE] {
    let mut sums = [bias; TILE];
    let length = convolve.row_length;
    for row in 0..convolve.rows {
        let inputs: [&[f32]; TILE] = std::array::from_fn(|i| {
            &convolve.input[starts[i] + row * convolve.row_step..][..length]
        });
        let weights = &weights[row * length..][..length];
        for at in 0..length {
            let weights = weights[at];
            for i in 0..TILE {
                let value = simd.splat_f32s(inputs[i][at]);
                for v in 0..VECTORS {
                    sums[i][v] = simd.mul_add_e_f32s(value, weights[v], sums[i][v]);
                }
            }
        }
    }
    sums
}

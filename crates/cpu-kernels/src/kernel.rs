//! The innermost loops: pixels by channels, in registers.

use pulp::{Simd, WithSimd};

/// Vectors of output channels that are computed together. Weights are packed in panels of so
/// many vectors.
pub(crate) const VECTORS: usize = 2;

/// Pixels that are computed together where there are 16 registers, of which one holds the input and
/// two the weights: with more, values no longer fit. Browsers use some themselves.
const TILE: usize = if cfg!(target_arch = "wasm32") { 4 } else { 6 };

/// Pixels that are computed together where there are 32 registers, as with vectors of 16 values.
/// Of the 49 or 196 pixels of the last stages few are then left over.
const LARGE_TILE: usize = 10;

/// Pixels that are taken through all output channels before the next: their inputs stay in the
/// second cache.
const BLOCK: usize = 96;

/// A pixel of the output: where its values begin, in each buffer.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Pixel {
    /// The first value that the kernel reads.
    pub(crate) input: usize,
    /// The first value of what is added.
    pub(crate) residual: usize,
    /// Where the result goes.
    pub(crate) output: usize,
}

/// A convolution of some pixels.
pub(crate) struct Convolve<'a> {
    /// The input, with its border.
    pub(crate) input: &'a [f32],
    /// Rows of the kernel.
    pub(crate) rows: usize,
    /// From one row of the kernel to the next in the input.
    pub(crate) row_step: usize,
    /// Values that a row of the kernel reads.
    pub(crate) row_length: usize,
    /// Weights: for each panel of output channels and each value read, the panel's weights.
    pub(crate) panels: &'a [f32],
    /// One value an output channel.
    pub(crate) bias: &'a [f32],
    /// What is added to the result.
    pub(crate) residual: Option<&'a [f32]>,
    /// Whether negative results become zero.
    pub(crate) relu: bool,
    /// The pixels.
    pub(crate) pixels: &'a [Pixel],
    /// Where results go.
    pub(crate) output: &'a mut [f32],
}

impl WithSimd for Convolve<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        if S::F32_LANES < 16 {
            self.run::<S, TILE>(simd);
        } else {
            self.run::<S, LARGE_TILE>(simd);
        }
    }
}

impl Convolve<'_> {
    #[inline(always)]
    fn run<S: Simd, const TILE: usize>(self, simd: S) {
        let read = self.rows * self.row_length;
        if read == 0 {
            return;
        }
        let panels = vectors::<S>(self.panels);
        let biases = vectors::<S>(self.bias);
        let zero = simd.splat_f32s(0.0);
        for block in self.pixels.chunks(BLOCK) {
            let mut channel = 0;
            for (weights, bias) in panels.chunks_exact(read).zip(biases) {
                for tile in block.chunks(TILE) {
                    let last = tile.len() - 1;
                    let starts = std::array::from_fn(|i| tile[i.min(last)].input);
                    let sums = self.sums::<S, TILE>(simd, starts, weights, *bias);
                    for (pixel, mut sums) in tile.iter().zip(sums) {
                        if let Some(residual) = self.residual {
                            let more =
                                &residual[pixel.residual + channel..][..VECTORS * S::F32_LANES];
                            for (sum, more) in sums.iter_mut().zip(S::as_simd_f32s(more).0) {
                                *sum = simd.add_f32s(*sum, *more);
                            }
                        }
                        let output =
                            &mut self.output[pixel.output + channel..][..VECTORS * S::F32_LANES];
                        for (to, sum) in S::as_mut_simd_f32s(output).0.iter_mut().zip(sums) {
                            *to = if self.relu {
                                simd.max_f32s(sum, zero)
                            } else {
                                sum
                            };
                        }
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
        &self,
        simd: S,
        starts: [usize; TILE],
        weights: &[[S::f32s; VECTORS]],
        bias: [S::f32s; VECTORS],
    ) -> [[S::f32s; VECTORS]; TILE] {
        let mut sums = [bias; TILE];
        let length = self.row_length;
        for row in 0..self.rows {
            let inputs: [&[f32]; TILE] =
                std::array::from_fn(|i| &self.input[starts[i] + row * self.row_step..][..length]);
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
}

#[inline(always)]
fn vectors<S: Simd>(values: &[f32]) -> &[[S::f32s; VECTORS]] {
    S::as_simd_f32s(values).0.as_chunks().0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A kernel of 2 rows that read 3 values each, at 8 pixels of a row of 30 values; 64 output
    /// channels, packed for `S`. The same whole numbers for each `S`, so sums are exact.
    fn convolve<S: Simd>(simd: S) -> Vec<f32> {
        const CHANNELS: usize = 64;
        let panel = VECTORS * S::F32_LANES;
        let weight = |channel: usize, read: usize| ((channel * 7 + read * 3) % 11) as f32 - 5.0;
        let panels: Vec<f32> = (0..CHANNELS / panel)
            .flat_map(|index| (0..6).map(move |read| (index, read)))
            .flat_map(|(index, read)| {
                (0..panel).map(move |lane| weight(index * panel + lane, read))
            })
            .collect();
        let values = |length: usize| (0..length).map(|i| (i % 13) as f32).collect::<Vec<_>>();
        let pixels: Vec<Pixel> = (0..8)
            .map(|i| Pixel {
                input: 3 * i,
                residual: CHANNELS * (7 - i),
                output: CHANNELS * i,
            })
            .collect();
        let mut output = vec![0.0; 8 * CHANNELS];
        Convolve {
            input: &values(60),
            rows: 2,
            row_step: 30,
            row_length: 3,
            panels: &panels,
            bias: &values(CHANNELS),
            residual: Some(&values(8 * CHANNELS)),
            relu: true,
            pixels: &pixels,
            output: &mut output,
        }
        .with_simd(simd);
        output
    }

    #[test]
    fn instruction_sets_agree() {
        struct Best;
        impl WithSimd for Best {
            type Output = Vec<f32>;
            #[inline(always)]
            fn with_simd<S: Simd>(self, simd: S) -> Vec<f32> {
                convolve(simd)
            }
        }
        let scalar = convolve(pulp::Scalar);
        assert!(
            scalar.contains(&0.0) && scalar.iter().any(|v| *v > 50.0),
            "{scalar:?}"
        );
        assert_eq!(crate::arch::dispatch(Best), scalar);
        #[cfg(target_arch = "x86_64")]
        if let Some(simd) = pulp::x86::V3::try_new() {
            assert_eq!(Simd::vectorize(simd, Best), scalar);
        }
    }
}

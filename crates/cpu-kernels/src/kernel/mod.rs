//! The innermost loops: pixels by channels, in registers.

mod fixed;
mod float;
mod numbers;
mod panels;

use std::cell::RefCell;

use pulp::Simd;

use crate::arch::{Instructions, Kernel};

pub(crate) use fixed::{Kept, keep};
pub(crate) use numbers::{Fours, Pairs, Scale};
pub(crate) use panels::{Format, Layout, Panels};

/// Vectors of output channels that are computed together. Weights are packed in panels of so
/// many vectors.
const VECTORS: usize = 2;

/// Pixels that are computed together where there are 16 registers, of which one holds the input and
/// two the weights: with more, values no longer fit. Browsers use some themselves.
const TILE: usize = if cfg!(target_arch = "wasm32") { 4 } else { 6 };

/// Pixels that are computed together where there are 32 registers, as with vectors of 16 values.
/// Of the 49 or 196 pixels of the last stages few are then left over.
const LARGE_TILE: usize = 10;

/// Pixels that are taken through all output channels before the next: their inputs stay in the
/// second cache.
pub(crate) const BLOCK: usize = 96;

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
    /// Values of a pixel of the input. Rows of the kernel begin with whole pixels.
    pub(crate) channels: usize,
    /// Rows of the kernel.
    pub(crate) rows: usize,
    /// From one row of the kernel to the next in the input.
    pub(crate) row_step: usize,
    /// Values that a row of the kernel reads.
    pub(crate) row_length: usize,
    /// Weights.
    pub(crate) panels: &'a Panels,
    /// One value an output channel.
    pub(crate) bias: &'a [f32],
    /// What is added to the result.
    pub(crate) residual: Option<&'a [f32]>,
    /// Whether negative results become zero.
    pub(crate) relu: bool,
    /// The pixels.
    pub(crate) pixels: &'a [Pixel],
    /// Where the pixels' inputs may be kept in another form.
    pub(crate) scratch: &'a mut Vec<i32>,
    /// Where results go.
    pub(crate) output: &'a mut [f32],
}

impl Kernel for Convolve<'_> {
    type Output = ();

    #[inline(always)]
    fn with<S: Instructions>(mut self, simd: S) {
        if self.rows * self.row_length == 0 {
            return;
        }
        match (self.panels.format(), S::F32_LANES < 16) {
            (Format::Fours, true) => fixed::run::<S, Fours, TILE>(simd, self),
            (Format::Fours, false) => fixed::run::<S, Fours, LARGE_TILE>(simd, self),
            (Format::Pairs, true) => fixed::run::<S, Pairs, TILE>(simd, self),
            (Format::Pairs, false) => fixed::run::<S, Pairs, LARGE_TILE>(simd, self),
            (Format::Floats, true) => float::run::<S, TILE>(simd, &mut self),
            (Format::Floats, false) => float::run::<S, LARGE_TILE>(simd, &mut self),
        }
    }
}

/// A convolution of some pixels, each by one position, whose inputs have been brought to [`Pairs`] before.
pub(crate) struct Multiply<'a> {
    pub(crate) kept: Kept<'a>,
    pub(crate) panels: &'a Panels,
    pub(crate) bias: &'a [f32],
    pub(crate) pixels: &'a [Pixel],
    pub(crate) output: &'a mut [f32],
}

impl Kernel for Multiply<'_> {
    type Output = ();

    #[inline(always)]
    fn with<S: Instructions>(self, simd: S) {
        let Self {
            kept,
            panels,
            bias,
            pixels,
            output,
        } = self;
        let finish = Finish::default();
        if S::F32_LANES < 16 {
            fixed::multiply::<S, Pairs, TILE>(simd, kept, panels, bias, finish, pixels, output);
        } else {
            fixed::multiply::<S, Pairs, LARGE_TILE>(
                simd, kept, panels, bias, finish, pixels, output,
            );
        }
    }
}

/// Pixels that are computed together.
pub(crate) const fn together<S: Simd>() -> usize {
    match S::F32_LANES < 16 {
        true => TILE,
        false => LARGE_TILE,
    }
}

/// What happens to a result before it is written.
#[derive(Debug, Clone, Copy, Default)]
struct Finish<'a> {
    residual: Option<&'a [f32]>,
    relu: bool,
}

impl Finish<'_> {
    /// Writes the sums of a pixel, from output channel `channel` on.
    #[inline(always)]
    fn write<S: Simd>(
        self,
        simd: S,
        mut sums: [S::f32s; VECTORS],
        pixel: Pixel,
        channel: usize,
        output: &mut [f32],
    ) {
        if let Some(residual) = self.residual {
            let more = &residual[pixel.residual + channel..][..VECTORS * S::F32_LANES];
            for (sum, more) in sums.iter_mut().zip(S::as_simd_f32s(more).0) {
                *sum = simd.add_f32s(*sum, *more);
            }
        }
        let zero = simd.splat_f32s(0.0);
        let output = &mut output[pixel.output + channel..][..VECTORS * S::F32_LANES];
        for (to, sum) in S::as_mut_simd_f32s(output).0.iter_mut().zip(sums) {
            *to = match self.relu {
                true => simd.max_f32s(sum, zero),
                false => sum,
            };
        }
    }
}

/// Memory that is kept from one convolution for the next.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    pub(crate) floats: Vec<f32>,
    pub(crate) words: Vec<i32>,
    pub(crate) scales: Vec<Scale>,
}

/// Does `work` with this thread's.
pub(crate) fn with_scratch<T>(work: impl FnOnce(&mut Scratch) -> T) -> T {
    thread_local! {
        static SCRATCH: RefCell<Scratch> = RefCell::default();
    }
    SCRATCH.with_borrow_mut(work)
}

/// Of values for each output channel, those of each panel.
#[inline(always)]
fn by_panel<S: Simd>(values: &[f32]) -> &[[S::f32s; VECTORS]] {
    S::as_simd_f32s(values).0.as_chunks().0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::noise::noise;

    const CHANNELS: usize = 64;

    /// A kernel of 2 rows that read `row_length` values each, at 8 pixels of which each begins 3 values behind the
    /// one before.
    fn convolve<S: Instructions>(simd: S, row_length: usize, format: Format) -> Vec<f32> {
        let row_step = row_length + 3 * 8;
        let weights = noise(CHANNELS * 2 * row_length, 1);
        let panels = Panels::new(
            &weights,
            [CHANNELS, 1, 2, row_length],
            Layout::with::<S>(format),
        );
        let pixels: Vec<Pixel> = (0..8)
            .map(|i| Pixel {
                input: 3 * i,
                residual: CHANNELS * (7 - i),
                output: CHANNELS * i,
            })
            .collect();
        let mut output = vec![0.0; 8 * CHANNELS];
        Convolve {
            input: &noise(2 * row_step, 2),
            channels: 1,
            rows: 2,
            row_step,
            row_length,
            panels: &panels,
            bias: &noise(CHANNELS, 3),
            residual: Some(&noise(8 * CHANNELS, 4)),
            relu: true,
            pixels: &pixels,
            scratch: &mut Vec::new(),
            output: &mut output,
        }
        .with(simd);
        output
    }

    #[derive(Debug, Clone, Copy)]
    struct Best(usize, Format);

    impl Kernel for Best {
        type Output = Vec<f32>;
        #[inline(always)]
        fn with<S: Instructions>(self, simd: S) -> Vec<f32> {
            convolve(simd, self.0, self.1)
        }
    }

    fn near(a: &[f32], b: &[f32], by: f32) -> bool {
        a.iter().zip(b).all(|(a, b)| (a - b).abs() < by)
    }

    #[test]
    fn instruction_sets_agree() {
        for row_length in [1, 3, 21, 64, 100] {
            let exact = convolve(pulp::Scalar, row_length, Format::Floats);
            assert!(exact.contains(&0.0) && exact.iter().any(|v| *v > 1.0));
            for (format, within) in [
                (Format::Floats, 1e-4),
                (Format::Pairs, 5e-3),
                (Format::Fours, 0.3),
            ] {
                let scalar = convolve(pulp::Scalar, row_length, format);
                assert!(near(&scalar, &exact, within), "{format:?} {row_length}");
                let best = crate::arch::dispatch(Best(row_length, format));
                assert!(near(&best, &scalar, 1e-4), "{format:?} {row_length}");
                #[cfg(target_arch = "x86_64")]
                if let Some(simd) = pulp::x86::V3::try_new() {
                    let third = simd.run(Best(row_length, format));
                    assert!(near(&third, &scalar, 1e-4), "{format:?} {row_length}");
                }
            }
        }
    }
}

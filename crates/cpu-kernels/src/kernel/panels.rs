//! Weights as the kernels read them.

use pulp::bytemuck;

use super::VECTORS;
use super::fixed::WEIGHTS_LENGTH;
use crate::arch::{Instructions, Kernel, dispatch};

/// How the weights lie for an instruction set.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Layout {
    /// Output channels that are computed together.
    panel: usize,
    /// Whether they are pairs of 16-bit numbers.
    pairs: bool,
}

impl Layout {
    pub(crate) const fn of<S: Instructions>() -> Self {
        Self {
            panel: VECTORS * S::F32_LANES,
            pairs: S::PAIRS,
        }
    }

    /// For the best instructions that this processor has.
    pub(crate) fn best() -> Self {
        struct Best;
        impl Kernel for Best {
            type Output = Layout;
            #[inline(always)]
            fn with<S: Instructions>(self, _: S) -> Layout {
                Layout::of::<S>()
            }
        }
        dispatch(Best)
    }
}

/// For each panel of output channels and each value, or pair of values, that is read: the panel's
/// weights.
#[derive(Debug)]
pub(crate) struct Panels {
    /// Bits of single precision, or pairs of 16-bit numbers.
    words: Vec<u32>,
    /// With pairs, what one step of each output channel's weights is worth; else nothing.
    steps: Vec<f32>,
}

impl Panels {
    /// From weights `[out, in, rows, columns]`, of which `[rows, columns, in]` is the order in which they are read.
    pub(crate) fn new(weights: &[f32], shape: [usize; 4], layout: Layout) -> Self {
        let [out, channels, rows, columns] = shape;
        let Layout { panel, pairs } = layout;
        let taps = rows * columns;
        let row_length = columns * channels;
        let row_words = if pairs {
            row_length.div_ceil(2)
        } else {
            row_length
        };
        let read = rows * row_words;
        let mut words = vec![0; out * read];
        let mut steps = Vec::with_capacity(if pairs { out } else { 0 });
        for (channel_out, weights) in weights.chunks_exact((taps * channels).max(1)).enumerate() {
            let (start, lane) = (channel_out / panel * panel * read, channel_out % panel);
            let by = if pairs { scale(weights) } else { 1.0 };
            for (at, weight) in weights.iter().enumerate() {
                let (channel, tap) = (at / taps, at % taps);
                let (row, position) = (tap / columns, tap % columns * channels + channel);
                let word = |position| start + (row * row_words + position) * panel + lane;
                match pairs {
                    true => {
                        let number = (weight * by).round() as i16 as u16;
                        words[word(position / 2)] |= u32::from(number) << (16 * (position % 2));
                    }
                    false => words[word(position)] = weight.to_bits(),
                }
            }
            if pairs {
                steps.push(1.0 / by);
            }
        }
        Self { words, steps }
    }

    pub(super) fn floats(&self) -> &[f32] {
        bytemuck::cast_slice(&self.words)
    }

    pub(super) fn pairs(&self) -> &[i32] {
        bytemuck::cast_slice(&self.words)
    }

    pub(super) fn steps(&self) -> &[f32] {
        &self.steps
    }
}

/// By what the weights of an output channel are multiplied before they are rounded.
fn scale(weights: &[f32]) -> f32 {
    let (largest, squares) = weights
        .iter()
        .fold((0.0f32, 0.0), |(largest, squares), weight| {
            (largest.max(weight.abs()), squares + weight * weight)
        });
    (f32::from(i16::MAX) / largest).min(WEIGHTS_LENGTH / squares.sqrt())
}

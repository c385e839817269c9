//! Weights as the kernels read them.

use pulp::bytemuck;

use super::VECTORS;
use super::numbers::{Fours, Numbers, Pairs};
use crate::Products;
use crate::arch::{Instructions, Kernel, dispatch};

/// In which numbers the weights are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// Single precision.
    Floats,
    /// [`Pairs`].
    Pairs,
    /// [`Fours`].
    Fours,
}

impl Format {
    /// How many a word of 32 bits holds.
    const fn in_word(self) -> usize {
        match self {
            Self::Floats => 1,
            Self::Pairs => Pairs::IN_WORD,
            Self::Fours => Fours::IN_WORD,
        }
    }
}

/// How the weights lie for an instruction set.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Layout {
    /// Output channels that are computed together.
    panel: usize,
    format: Format,
}

impl Layout {
    pub(crate) const fn of<S: Instructions>(products: Products) -> Self {
        let format = match products {
            Products::Coarse if S::FOURS => Format::Fours,
            _ if S::PAIRS => Format::Pairs,
            _ => Format::Floats,
        };
        Self::with::<S>(format)
    }

    pub(super) const fn with<S: Instructions>(format: Format) -> Self {
        Self {
            panel: VECTORS * S::F32_LANES,
            format,
        }
    }

    /// For the best instructions that this processor has.
    pub(crate) fn best(products: Products) -> Self {
        struct Best(Products);
        impl Kernel for Best {
            type Output = Layout;
            #[inline(always)]
            fn with<S: Instructions>(self, _: S) -> Layout {
                Layout::of::<S>(self.0)
            }
        }
        dispatch(Best(products))
    }

    pub(crate) const fn format(self) -> Format {
        self.format
    }
}

/// For each panel of output channels and each word that is read: the panel's weights.
#[derive(Debug)]
pub(crate) struct Panels {
    format: Format,
    words: Vec<u32>,
    /// In fixed point, what one step of each output channel's weights is worth; else nothing.
    steps: Vec<f32>,
    /// In [`Fours`], whose zero may mean something else, the sum of each output channel's weights; else nothing.
    sums: Vec<f32>,
}

impl Panels {
    /// From weights `[out, in, rows, columns]`, of which `[rows, columns, in]` is the order in which they are read.
    pub(crate) fn new(weights: &[f32], shape: [usize; 4], layout: Layout) -> Self {
        let [out, channels, rows, columns] = shape;
        let Layout { panel, format } = layout;
        let taps = rows * columns;
        let row_length = columns * channels;
        let in_word = format.in_word();
        let row_words = row_length.div_ceil(in_word);
        let read = rows * row_words;
        let mut words = vec![0; out * read];
        let (mut steps, mut sums) = (Vec::new(), Vec::new());
        for (channel_out, weights) in weights.chunks_exact((taps * channels).max(1)).enumerate() {
            let (start, lane) = (channel_out / panel * panel * read, channel_out % panel);
            let by = match format {
                Format::Floats => 1.0,
                Format::Pairs => Pairs::weights_by(weights),
                Format::Fours => Fours::weights_by(weights),
            };
            let number = |weight: f32| (weight * by).round();
            for (at, weight) in weights.iter().enumerate() {
                let (channel, tap) = (at / taps, at % taps);
                let (row, position) = (tap / columns, tap % columns * channels + channel);
                let word = start + (row * row_words + position / in_word) * panel + lane;
                let bits = match format {
                    Format::Floats => weight.to_bits(),
                    Format::Pairs => u32::from(number(*weight) as i16 as u16),
                    Format::Fours => u32::from(number(*weight) as i8 as u8),
                };
                words[word] |= bits << (u32::BITS as usize / in_word * (position % in_word));
            }
            if format != Format::Floats {
                steps.push(1.0 / by);
            }
            if format == Format::Fours {
                let sum: i32 = weights.iter().map(|weight| number(*weight) as i32).sum();
                sums.push(sum as f32 / by);
            }
        }
        Self {
            format,
            words,
            steps,
            sums,
        }
    }

    pub(super) fn format(&self) -> Format {
        self.format
    }

    pub(super) fn floats(&self) -> &[f32] {
        bytemuck::cast_slice(&self.words)
    }

    pub(super) fn words(&self) -> &[i32] {
        bytemuck::cast_slice(&self.words)
    }

    pub(super) fn steps(&self) -> &[f32] {
        &self.steps
    }

    pub(super) fn sums(&self) -> &[f32] {
        &self.sums
    }
}

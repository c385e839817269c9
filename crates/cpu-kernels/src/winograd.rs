//! 3x3 convolutions of stride 1 by Winograd's minimal filtering (Lavin and Gray, "Fast Algorithms
//! for Convolutional Neural Networks", arXiv 1509.09308): a tile of outputs costs fewer
//! multiplications, for which tiles of input and output are transformed by additions.
//!
//! What is not finite spreads to all outputs of its tile.

mod tile;

use crate::arch::{Instructions, Kernel, dispatch};
use crate::kernel::{
    BLOCK, Convolve, Kept, Layout, Multiply, Pairs, Panels, Pixel, Scale, Scratch, keep, together,
    with_scratch,
};
use crate::parallel::{for_each_part, rows_of_part};
use crate::{Activation, After, Products};
use tile::{A, KERNEL, M, TAPS, Tiles};

/// Bytes of transformed tiles that are worked on together, as much as stays near the processor.
const SCRATCH: usize = 2 << 20;

/// A part of the work is at least so many tiles, if it can.
const MIN_TILES: usize = 24;

/// The transformed weights of a convolution: for each of `A * A` positions those of a 1x1
/// convolution.
#[derive(Debug)]
pub(crate) struct Filters {
    panels: Vec<Panels>,
    /// Nothing, for as many channels as come in or go out.
    zeros: Vec<f32>,
}

impl Filters {
    /// From weights `[out, in, 3, 3]`.
    pub(crate) fn new(weights: &[f32], [channels_in, channels_out]: [usize; 2]) -> Self {
        let shape = [channels_out, channels_in, 1, 1];
        let layout = Layout::best(Products::Fine);
        let panels = (0..A * A)
            .map(|position| {
                let (rows, columns) = (KERNEL[position / A], KERNEL[position % A]);
                let kernels = weights.chunks_exact(TAPS * TAPS);
                let transformed: Vec<f32> = kernels
                    .map(|kernel| {
                        let rows = kernel.chunks_exact(TAPS).zip(rows);
                        rows.map(|(row, by)| {
                            by * row.iter().zip(columns).map(|(w, by)| w * by).sum::<f32>()
                        })
                        .sum()
                    })
                    .collect();
                Panels::new(&transformed, shape, layout)
            })
            .collect();
        Self {
            panels,
            zeros: vec![0.0; channels_in.max(channels_out)],
        }
    }

    /// The convolution of `input` into `output`, of the same height and width.
    pub(crate) fn forward(
        &self,
        input: &Activation,
        bias: &[f32],
        after: After<'_>,
        output: &mut Activation,
    ) {
        let (height, width) = (output.height, output.width);
        let (across, down) = (width.div_ceil(M), height.div_ceil(M));
        let tile = A * A * (input.channels + output.channels) * size_of::<f32>();
        let most = (SCRATCH / tile / across.max(1)).max(1);
        let rows = rows_of_part(down, across, MIN_TILES).min(most);
        let (row_length, picture_length) = (output.row_length(), output.picture_length());
        let above = after.pad * row_length;
        for picture in 0..output.pictures {
            let inside = &mut output.values[picture * picture_length + above..];
            for_each_part(
                &mut inside[..height * row_length],
                rows * M * row_length,
                |index, part| {
                    let tiles = Tiles {
                        input,
                        after,
                        picture,
                        first: index * rows * M,
                        size: [part.len() / row_length, width],
                        row_length,
                    };
                    with_scratch(|scratch| {
                        dispatch(Part {
                            filters: self,
                            tiles,
                            bias,
                            scratch,
                            output: part,
                        });
                    });
                },
            );
        }
    }

    /// The products of tiles that are brought to fixed point: for each position and tile the output's channels.
    #[inline(always)]
    fn multiply_fixed<'a, S: Instructions>(
        &self,
        simd: S,
        tiles: Tiles<'_>,
        channels_out: usize,
        scratch: &'a mut Scratch,
    ) -> &'a [f32] {
        let channels_in = tiles.input.channels;
        let (count, read, together) = (tiles.count(), channels_in / 2, together::<S>());
        let of_position = count.next_multiple_of(together) * read;
        let Scratch {
            floats,
            words,
            scales,
        } = scratch;
        floats.resize(A * A * (channels_in + count * channels_out), 0.0);
        words.resize(read + A * A * of_position, 0);
        scales.resize(A * A * count, Scale::default());
        let (transformed, products) = floats.split_at_mut(A * A * channels_in);
        let (own, words) = words.split_at_mut(read);
        for tile in 0..count {
            tiles.read(simd, tile, &self.zeros[..channels_in], transformed);
            for (position, values) in transformed.chunks_exact(channels_in).enumerate() {
                let words = &mut words[position * of_position..];
                scales[position * count + tile] =
                    keep::<S, Pairs>(simd, values, [tile, together], own, words);
            }
        }
        let pixels = pixels(count, [0, channels_out]);
        let block = BLOCK / together * together;
        for (position, panels) in self.panels.iter().enumerate() {
            let output = &mut products[position * count * channels_out..];
            for (index, pixels) in pixels.chunks(block).enumerate() {
                let first = index * block;
                let kept = Kept {
                    words: &words[position * of_position + first * read..],
                    scales: &scales[position * count + first..],
                };
                let bias = &self.zeros[..channels_out];
                simd.run(Multiply {
                    kept,
                    panels,
                    bias,
                    pixels,
                    output,
                });
            }
        }
        products
    }

    /// The same in single precision.
    #[inline(always)]
    fn multiply_float<'a, S: Instructions>(
        &self,
        simd: S,
        tiles: Tiles<'_>,
        channels_out: usize,
        scratch: &'a mut Scratch,
    ) -> &'a [f32] {
        let channels_in = tiles.input.channels;
        let count = tiles.count();
        let Scratch { floats, words, .. } = scratch;
        floats.resize(
            A * A * (channels_in + count * (channels_in + channels_out)),
            0.0,
        );
        let (transformed, rest) = floats.split_at_mut(A * A * channels_in);
        let (inputs, products) = rest.split_at_mut(A * A * count * channels_in);
        for tile in 0..count {
            tiles.read(simd, tile, &self.zeros[..channels_in], transformed);
            for (position, values) in transformed.chunks_exact(channels_in).enumerate() {
                inputs[(position * count + tile) * channels_in..][..channels_in]
                    .copy_from_slice(values);
            }
        }
        let pixels = pixels(count, [channels_in, channels_out]);
        let inputs = inputs.chunks_exact(count * channels_in);
        let outputs = products.chunks_exact_mut(count * channels_out);
        for ((panels, input), output) in self.panels.iter().zip(inputs).zip(outputs) {
            simd.run(Convolve {
                input,
                channels: channels_in,
                rows: 1,
                row_step: 0,
                row_length: channels_in,
                panels,
                bias: &self.zeros[..channels_out],
                residual: None,
                relu: false,
                pixels: &pixels,
                scratch: words,
                output,
            });
        }
        products
    }
}

/// Pixels one behind the other, of which each has so many values before and behind.
fn pixels(count: usize, [input, output]: [usize; 2]) -> Vec<Pixel> {
    let pixel = |at: usize| Pixel {
        input: at * input,
        residual: 0,
        output: at * output,
    };
    (0..count).map(pixel).collect()
}

/// The convolution of some tiles.
struct Part<'a> {
    filters: &'a Filters,
    tiles: Tiles<'a>,
    bias: &'a [f32],
    scratch: &'a mut Scratch,
    /// Rows of the output.
    output: &'a mut [f32],
}

impl Kernel for Part<'_> {
    type Output = ();

    #[inline(always)]
    fn with<S: Instructions>(self, simd: S) {
        let Self {
            filters,
            tiles,
            bias,
            scratch,
            output,
        } = self;
        let (count, channels) = (tiles.count(), bias.len());
        let products = match S::PAIRS {
            true => filters.multiply_fixed(simd, tiles, channels, scratch),
            false => filters.multiply_float(simd, tiles, channels, scratch),
        };
        for tile in 0..count {
            let of_tile = std::array::from_fn(|position| {
                &products[(position * count + tile) * channels..][..channels]
            });
            tiles.write(simd, tile, of_tile, bias, output);
        }
    }
}

//! 3x3 convolutions of stride 1 by Winograd's minimal filtering (Lavin and Gray, "Fast Algorithms
//! for Convolutional Neural Networks", arXiv 1509.09308): a tile of outputs costs fewer
//! multiplications, for which tiles of input and output are transformed by additions.
//!
//! What is not finite spreads to all outputs of its tile.

use std::cell::RefCell;
use std::marker::PhantomData;

use pulp::{Simd, WithSimd};

use crate::arch::{dispatch, lanes};
use crate::conv::pack;
use crate::kernel::{Convolve, Pixel, VECTORS};
use crate::parallel::{for_each_part, rows_of_part};
use crate::{Activation, After};

/// Values of a kernel's row.
const TAPS: usize = 3;

/// Bytes of transformed tiles that are worked on together, as much as stays near the processor.
const SCRATCH: usize = 2 << 20;

/// A part of the work is at least so many tiles, if it can.
const MIN_TILES: usize = 24;

/// F(M x M, 3 x 3): how `A = M + 2` values in a row are transformed, each way.
pub(crate) trait Form<const M: usize, const A: usize> {
    /// G: from a kernel's row.
    const KERNEL: [[f32; TAPS]; A];

    /// The transpose of B: of a row of input.
    fn input<S: Simd>(simd: S, row: [S::f32s; A]) -> [S::f32s; A];

    /// The transpose of A: to a row of output.
    fn output<S: Simd>(simd: S, row: [S::f32s; A]) -> [S::f32s; M];
}

/// 2 x 2 outputs from 4 x 4 inputs, by 16 multiplications instead of 36.
#[derive(Debug)]
pub(crate) struct Two;

impl Form<2, 4> for Two {
    const KERNEL: [[f32; TAPS]; 4] = [
        [1.0, 0.0, 0.0],
        [0.5, 0.5, 0.5],
        [0.5, -0.5, 0.5],
        [0.0, 0.0, 1.0],
    ];

    #[inline(always)]
    fn input<S: Simd>(simd: S, [a, b, c, d]: [S::f32s; 4]) -> [S::f32s; 4] {
        [
            simd.sub_f32s(a, c),
            simd.add_f32s(b, c),
            simd.sub_f32s(c, b),
            simd.sub_f32s(b, d),
        ]
    }

    #[inline(always)]
    fn output<S: Simd>(simd: S, [a, b, c, d]: [S::f32s; 4]) -> [S::f32s; 2] {
        [
            simd.add_f32s(a, simd.add_f32s(b, c)),
            simd.sub_f32s(simd.sub_f32s(b, c), d),
        ]
    }
}

/// 4 x 4 outputs from 6 x 6 inputs, by 36 multiplications instead of 144.
#[derive(Debug)]
pub(crate) struct Four;

impl Form<4, 6> for Four {
    const KERNEL: [[f32; TAPS]; 6] = [
        [1.0 / 4.0, 0.0, 0.0],
        [-1.0 / 6.0, -1.0 / 6.0, -1.0 / 6.0],
        [-1.0 / 6.0, 1.0 / 6.0, -1.0 / 6.0],
        [1.0 / 24.0, 1.0 / 12.0, 1.0 / 6.0],
        [1.0 / 24.0, -1.0 / 12.0, 1.0 / 6.0],
        [0.0, 0.0, 1.0],
    ];

    #[inline(always)]
    fn input<S: Simd>(simd: S, [a, b, c, d, e, f]: [S::f32s; 6]) -> [S::f32s; 6] {
        let (two, four, five) = (
            simd.splat_f32s(2.0),
            simd.splat_f32s(4.0),
            simd.splat_f32s(5.0),
        );
        let times = |n, x, plus| simd.mul_add_e_f32s(n, x, plus);
        let minus = |x, y| simd.sub_f32s(x, y);
        let (even, odd) = (
            minus(e, simd.mul_f32s(four, c)),
            minus(d, simd.mul_f32s(four, b)),
        );
        let (even_2, odd_2) = (minus(e, c), simd.mul_f32s(two, minus(d, b)));
        [
            times(four, a, minus(e, simd.mul_f32s(five, c))),
            simd.add_f32s(even, odd),
            minus(even, odd),
            simd.add_f32s(even_2, odd_2),
            minus(even_2, odd_2),
            times(four, b, minus(f, simd.mul_f32s(five, d))),
        ]
    }

    #[inline(always)]
    fn output<S: Simd>(simd: S, [a, b, c, d, e, f]: [S::f32s; 6]) -> [S::f32s; 4] {
        let times = |n, x, plus| simd.mul_add_e_f32s(simd.splat_f32s(n), x, plus);
        let (sum, difference) = (simd.add_f32s(b, c), simd.sub_f32s(b, c));
        let (sum_2, difference_2) = (simd.add_f32s(d, e), simd.sub_f32s(d, e));
        [
            simd.add_f32s(a, simd.add_f32s(sum, sum_2)),
            times(2.0, difference_2, difference),
            times(4.0, sum_2, sum),
            times(8.0, difference_2, simd.add_f32s(difference, f)),
        ]
    }
}

/// The transformed weights of a convolution: for each of `A * A` positions panels as for a 1x1
/// convolution.
#[derive(Debug)]
pub(crate) struct Filters<F, const M: usize, const A: usize> {
    panels: Vec<f32>,
    /// What the products begin with; the bias comes after the transform.
    zeros: Vec<f32>,
    form: PhantomData<F>,
}

impl<F: Form<M, A> + Sync, const M: usize, const A: usize> Filters<F, M, A> {
    /// From weights `[out, in, 3, 3]`.
    pub(crate) fn new(weights: &[f32], [channels_in, channels_out]: [usize; 2]) -> Self {
        let panel = VECTORS * lanes();
        let shape = [channels_out, channels_in, 1, 1];
        let panels = (0..A * A)
            .flat_map(|position| {
                let (rows, columns) = (F::KERNEL[position / A], F::KERNEL[position % A]);
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
                pack(&transformed, shape, panel)
            })
            .collect();
        Self {
            panels,
            zeros: vec![0.0; channels_out],
            form: PhantomData,
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
                    SCRATCHES.with_borrow_mut(|scratch| {
                        dispatch(Rows {
                            filters: self,
                            input,
                            bias,
                            after,
                            picture,
                            first: index * rows * M,
                            width,
                            row_length,
                            scratch,
                            output: part,
                        });
                    });
                },
            );
        }
    }
}

thread_local! {
    /// Transformed tiles, kept for the next convolution.
    static SCRATCHES: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// The convolution of some rows of tiles.
struct Rows<'a, F, const M: usize, const A: usize> {
    filters: &'a Filters<F, M, A>,
    input: &'a Activation,
    bias: &'a [f32],
    after: After<'a>,
    picture: usize,
    /// The first row of the output.
    first: usize,
    width: usize,
    row_length: usize,
    scratch: &'a mut Vec<f32>,
    /// Rows of the output.
    output: &'a mut [f32],
}

impl<F: Form<M, A>, const M: usize, const A: usize> WithSimd for Rows<'_, F, M, A> {
    type Output = ();

    #[allow(
        clippy::needless_range_loop,
        reason = "with an iterator in its place the values leave the registers"
    )]
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self {
            filters,
            input,
            bias,
            after,
            picture,
            first,
            width,
            row_length,
            scratch,
            output,
        } = self;
        let (channels_in, channels_out) = (input.channels, bias.len());
        let height = output.len() / row_length;
        let (across, down) = (width.div_ceil(M), height.div_ceil(M));
        let tiles = across * down;
        scratch.resize(A * A * tiles * (channels_in + channels_out), 0.0);
        let (transformed, products) = scratch.split_at_mut(A * A * tiles * channels_in);

        for tile in 0..tiles {
            let (top, left) = (first + tile / across * M, tile % across * M);
            read::<S, F, M, A>(
                simd,
                input,
                [picture, top, left],
                transformed,
                [tile, tiles],
            );
        }
        let pixels: Vec<Pixel> = (0..tiles)
            .map(|tile| Pixel {
                input: tile * channels_in,
                residual: 0,
                output: tile * channels_out,
            })
            .collect();
        let panels = filters.panels.chunks_exact(channels_in * channels_out);
        let inputs = transformed.chunks_exact(tiles * channels_in);
        let outputs = products.chunks_exact_mut(tiles * channels_out);
        for ((panels, input), output) in panels.zip(inputs).zip(outputs) {
            Convolve {
                input,
                rows: 1,
                row_step: 0,
                row_length: channels_in,
                panels,
                bias: &filters.zeros,
                residual: None,
                relu: false,
                pixels: &pixels,
                output,
            }
            .with_simd(simd);
        }
        let zero = simd.splat_f32s(0.0);
        for tile in 0..tiles {
            let (top, left) = (tile / across * M, tile % across * M);
            for channel in (0..channels_out).step_by(S::F32_LANES) {
                let at = |position: usize| (position * tiles + tile) * channels_out + channel;
                let mut half = [[zero; A]; M];
                for column in 0..A {
                    let values =
                        std::array::from_fn(|row| vector::<S>(products, at(row * A + column)));
                    for (row, value) in F::output(simd, values).into_iter().enumerate() {
                        half[row][column] = value;
                    }
                }
                let bias = vector::<S>(bias, channel);
                for (row, half) in half.into_iter().enumerate().take(height - top) {
                    let values = F::output(simd, half);
                    for (column, value) in values.into_iter().enumerate().take(width - left) {
                        let mut value = simd.add_f32s(value, bias);
                        if let Some((add, step)) = after.add {
                            let (y, x) = ((first + top + row) * step, (left + column) * step);
                            let more = add.offset(picture, y, x) + channel;
                            value = simd.add_f32s(value, vector::<S>(&add.values, more));
                        }
                        if after.relu {
                            value = simd.max_f32s(value, zero);
                        }
                        let pixel =
                            (top + row) * row_length + (after.pad + left + column) * channels_out;
                        write::<S>(output, pixel + channel, value);
                    }
                }
            }
        }
    }
}

/// Transforms the tile of input whose outputs begin at `[picture, top, left]`.
#[inline(always)]
fn read<S: Simd, F: Form<M, A>, const M: usize, const A: usize>(
    simd: S,
    input: &Activation,
    [picture, top, left]: [usize; 3],
    to: &mut [f32],
    [tile, tiles]: [usize; 2],
) {
    let channels = input.channels;
    // Where each pixel begins; none beyond the border, where a tile is larger than what is left.
    let corner = input.pad - 1;
    let (rows, columns) = (input.height + 2 * input.pad, input.width + 2 * input.pad);
    let starts: [[Option<usize>; A]; A] = std::array::from_fn(|i| {
        std::array::from_fn(|j| {
            let (y, x) = (top + corner + i, left + corner + j);
            (y < rows && x < columns)
                .then(|| picture * input.picture_length() + y * input.row_length() + x * channels)
        })
    });
    let zero = simd.splat_f32s(0.0);
    for channel in (0..channels).step_by(S::F32_LANES) {
        let mut half = [[zero; A]; A];
        for column in 0..A {
            let values = std::array::from_fn(|row| match starts[row][column] {
                Some(start) => vector::<S>(&input.values, start + channel),
                None => zero,
            });
            for (row, value) in F::input(simd, values).into_iter().enumerate() {
                half[row][column] = value;
            }
        }
        for (row, half) in half.into_iter().enumerate() {
            for (column, value) in F::input(simd, half).into_iter().enumerate() {
                let position = row * A + column;
                write::<S>(to, (position * tiles + tile) * channels + channel, value);
            }
        }
    }
}

/// The vector that begins at `at`.
#[inline(always)]
fn vector<S: Simd>(values: &[f32], at: usize) -> S::f32s {
    S::as_simd_f32s(&values[at..][..S::F32_LANES]).0[0]
}

/// Writes the vector that begins at `at`.
#[inline(always)]
fn write<S: Simd>(values: &mut [f32], at: usize, value: S::f32s) {
    S::as_mut_simd_f32s(&mut values[at..][..S::F32_LANES]).0[0] = value;
}

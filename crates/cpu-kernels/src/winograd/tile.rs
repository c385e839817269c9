//! Tiles of input and output, and their transforms.

use pulp::Simd;

use crate::{Activation, After};

/// Values of a kernel's row.
pub(super) const TAPS: usize = 3;

/// Outputs of a tile, in a row.
pub(super) const M: usize = 2;

/// Inputs of a tile, in a row.
pub(super) const A: usize = M + TAPS - 1;

/// G: from a kernel's row.
pub(super) const KERNEL: [[f32; TAPS]; A] = [
    [1.0, 0.0, 0.0],
    [0.5, 0.5, 0.5],
    [0.5, -0.5, 0.5],
    [0.0, 0.0, 1.0],
];

/// The transpose of B: of a row of input.
#[inline(always)]
fn input_row<S: Simd>(simd: S, [a, b, c, d]: [S::f32s; A]) -> [S::f32s; A] {
    [
        simd.sub_f32s(a, c),
        simd.add_f32s(b, c),
        simd.sub_f32s(c, b),
        simd.sub_f32s(b, d),
    ]
}

/// The transpose of A: to a row of output.
#[inline(always)]
fn output_row<S: Simd>(simd: S, [a, b, c, d]: [S::f32s; A]) -> [S::f32s; M] {
    [
        simd.add_f32s(a, simd.add_f32s(b, c)),
        simd.sub_f32s(simd.sub_f32s(b, c), d),
    ]
}

/// Rows of tiles, of one picture.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tiles<'a> {
    pub(super) input: &'a Activation,
    pub(super) after: After<'a>,
    pub(super) picture: usize,
    /// The first row of the output.
    pub(super) first: usize,
    /// Rows and columns of the output.
    pub(super) size: [usize; 2],
    /// Values of a row of the output, with its border.
    pub(super) row_length: usize,
}

impl Tiles<'_> {
    pub(super) fn count(self) -> usize {
        let [height, width] = self.size;
        height.div_ceil(M) * width.div_ceil(M)
    }

    /// Row and column of a tile's first output.
    fn corner(self, tile: usize) -> [usize; 2] {
        let across = self.size[1].div_ceil(M);
        [tile / across * M, tile % across * M]
    }

    /// Transforms a tile of the input: for each of `A * A` positions its channels. `nothing` is as many
    /// zeros as there are channels.
    #[inline(always)]
    pub(super) fn read<S: Simd>(self, simd: S, tile: usize, nothing: &[f32], to: &mut [f32]) {
        let input = self.input;
        let [top, left] = self.corner(tile);
        let vectors = input.channels / S::F32_LANES;
        let corner = input.pad - 1;
        let (rows, columns) = (input.height + 2 * input.pad, input.width + 2 * input.pad);
        let pixels: [[&[S::f32s]; A]; A] = std::array::from_fn(|i| {
            std::array::from_fn(|j| {
                let (y, x) = (self.first + top + corner + i, left + corner + j);
                let start = self.picture * input.picture_length()
                    + y * input.row_length()
                    + x * input.channels;
                // Where a tile is larger than what is left, it goes beyond the border.
                let values = match y < rows && x < columns {
                    true => &input.values[start..][..input.channels],
                    false => nothing,
                };
                &S::as_simd_f32s(values).0[..vectors]
            })
        });
        let mut positions = S::as_mut_simd_f32s(to).0.chunks_exact_mut(vectors.max(1));
        let to: [&mut [S::f32s]; A * A] =
            std::array::from_fn(|_| &mut positions.next().unwrap_or_default()[..vectors]);
        let zero = simd.splat_f32s(0.0);
        for v in 0..vectors {
            let mut half = [[zero; A]; A];
            for column in 0..A {
                let values = std::array::from_fn(|row| pixels[row][column][v]);
                for (row, value) in input_row(simd, values).into_iter().enumerate() {
                    half[row][column] = value;
                }
            }
            for (row, half) in half.into_iter().enumerate() {
                for (column, value) in input_row(simd, half).into_iter().enumerate() {
                    to[row * A + column][v] = value;
                }
            }
        }
    }

    /// Transforms the products of a tile, for each position its channels, to its outputs.
    #[inline(always)]
    pub(super) fn write<S: Simd>(
        self,
        simd: S,
        tile: usize,
        products: [&[f32]; A * A],
        bias: &[f32],
        output: &mut [f32],
    ) {
        let Self { after, size, .. } = self;
        let [top, left] = self.corner(tile);
        let vectors = bias.len() / S::F32_LANES;
        let products = products.map(|values| &S::as_simd_f32s(values).0[..vectors]);
        let biases = &S::as_simd_f32s(bias).0[..vectors];
        let zero = simd.splat_f32s(0.0);
        for v in 0..vectors {
            let channel = v * S::F32_LANES;
            let mut half = [[zero; A]; M];
            for column in 0..A {
                let values = std::array::from_fn(|row| products[row * A + column][v]);
                for (row, value) in output_row(simd, values).into_iter().enumerate() {
                    half[row][column] = value;
                }
            }
            for (row, half) in half.into_iter().enumerate().take(size[0] - top) {
                let values = output_row(simd, half);
                for (column, value) in values.into_iter().enumerate().take(size[1] - left) {
                    let (y, x) = (top + row, left + column);
                    let mut value = simd.add_f32s(value, biases[v]);
                    if let Some((add, step)) = after.add {
                        let more = add.offset(self.picture, (self.first + y) * step, x * step);
                        let more = &add.values[more + channel..][..S::F32_LANES];
                        value = simd.add_f32s(value, S::as_simd_f32s(more).0[0]);
                    }
                    if after.relu {
                        value = simd.max_f32s(value, zero);
                    }
                    let pixel = y * self.row_length + (after.pad + x) * bias.len();
                    let to = &mut output[pixel + channel..][..S::F32_LANES];
                    S::as_mut_simd_f32s(to).0[0] = value;
                }
            }
        }
    }
}

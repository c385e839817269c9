//! Values as fixed-point numbers, of which a word of 32 bits holds several.

use pulp::{Simd, bytemuck};

use crate::arch::Instructions;

/// What the numbers of a pixel mean.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Scale {
    /// What one step is worth.
    pub(crate) step: f32,
    /// What zero means.
    pub(crate) zero: f32,
}

/// A kind of them.
pub(crate) trait Numbers {
    /// How many a word holds.
    const IN_WORD: usize;

    /// Whether zero ever means anything else.
    const SHIFTED: bool;

    /// What of some values decides on their scale.
    type Extent: Copy + Default;

    /// By what values are brought to numbers of a scale.
    type By<S: Instructions>: Copy;

    /// The extent of values that lie in several rows.
    fn extent<'a, S: Instructions>(simd: S, rows: impl Iterator<Item = &'a [f32]>) -> Self::Extent;

    /// The extent of two sets of values together.
    fn join(a: Self::Extent, b: Self::Extent) -> Self::Extent;

    /// The scale of values of an extent. What is not finite, or too large, makes one whose step is not a number.
    fn scale<S: Instructions>(simd: S, extent: Self::Extent) -> (Self::By<S>, Scale);

    /// The first `length` values as numbers. Whole vectors are read and written: what the words behind them hold, and those numbers
    /// of the last word that are too many, means nothing.
    fn narrow<S: Instructions>(
        simd: S,
        values: &[f32],
        length: usize,
        by: Self::By<S>,
        to: &mut [i32],
    );

    /// Adds the products of the numbers in each word.
    fn add_dot<S: Instructions>(
        simd: S,
        sums: S::i32s,
        values: S::i32s,
        weights: S::i32s,
    ) -> S::i32s;
}

/// 16-bit numbers in twos. What a pixel reads is made as long, as a vector, as it can be: what comes of two
/// vectors is at most the product of their lengths, which 32 bits must hold. The result is that of single
/// precision up to some ten-thousandths of that product.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pairs;

impl Pairs {
    /// The length of what a pixel reads, in its steps: no number can then be beyond 16 bits.
    const LENGTH: f32 = 32_000.0;

    /// The length of an output channel's weights, in their steps. Numbers are rounded by at most a half, so that even of
    /// 2^16 of them two vectors have less than 2^31 as their product.
    const WEIGHTS_LENGTH: f32 = 66_000.0;

    /// Vectors that are not longer are as good as zero: the square of their length may not be told.
    const LEAST: f32 = 1e-18;

    /// By what the weights of an output channel are multiplied before they are rounded.
    pub(super) fn weights_by(weights: &[f32]) -> f32 {
        let squares = weights.iter().map(|weight| weight * weight).sum::<f32>();
        (f32::from(i16::MAX) / largest(weights)).min(Self::WEIGHTS_LENGTH / squares.sqrt())
    }
}

impl Numbers for Pairs {
    const IN_WORD: usize = 2;
    const SHIFTED: bool = false;

    /// The square of their length.
    type Extent = f32;
    type By<S: Instructions> = ByLength<S::f32s>;

    #[inline(always)]
    fn extent<'a, S: Instructions>(simd: S, rows: impl Iterator<Item = &'a [f32]>) -> f32 {
        let mut squares = [simd.splat_f32s(0.0); 2];
        for row in rows {
            squares = add_squares(simd, squares, row);
        }
        let [a, b] = squares;
        simd.reduce_sum_f32s(simd.add_f32s(a, b))
    }

    #[inline(always)]
    fn join(a: f32, b: f32) -> f32 {
        a + b
    }

    #[inline(always)]
    fn scale<S: Instructions>(simd: S, squares: f32) -> (Self::By<S>, Scale) {
        let (by, step) = match squares.is_finite() {
            true => {
                let length = squares.sqrt().max(Self::LEAST);
                (Self::LENGTH / length, length / Self::LENGTH)
            }
            false => (0.0, f32::NAN),
        };
        (ByLength(simd.splat_f32s(by)), Scale { step, zero: 0.0 })
    }

    #[inline(always)]
    fn narrow<S: Instructions>(
        simd: S,
        values: &[f32],
        length: usize,
        by: Self::By<S>,
        to: &mut [i32],
    ) {
        narrow(simd, values, length, by, to);
    }

    #[inline(always)]
    fn add_dot<S: Instructions>(
        simd: S,
        sums: S::i32s,
        values: S::i32s,
        weights: S::i32s,
    ) -> S::i32s {
        simd.add_i32s(sums, simd.dot(values, weights))
    }
}

/// 8-bit numbers in fours: 0 to 127 from the least value that a pixel reads to the largest, of which one is never above
/// zero and the other never below; and weights of -127 to 127. The result is that of single precision up to some
/// hundredths.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fours;

impl Fours {
    const MOST: f32 = 127.0;

    /// Values that are not further apart are as good as zero: their steps may not be told.
    const LEAST: f32 = 1e-30;

    /// By what the weights of an output channel are multiplied before they are rounded.
    pub(super) fn weights_by(weights: &[f32]) -> f32 {
        Self::MOST / largest(weights)
    }
}

impl Numbers for Fours {
    const IN_WORD: usize = 4;
    const SHIFTED: bool = true;

    type Extent = Ends;
    type By<S: Instructions> = ByRange<S::f32s>;

    #[inline(always)]
    fn extent<'a, S: Instructions>(simd: S, rows: impl Iterator<Item = &'a [f32]>) -> Ends {
        let (mut most, mut least) = (simd.splat_i32s(0), simd.splat_u32s(0));
        let mut ends = Ends::default();
        for row in rows {
            let (vectors, rest) = S::as_simd_f32s(row);
            for values in vectors {
                most = simd.max_i32s(most, simd.transmute_i32s_f32s(*values));
                least = simd.max_u32s(least, simd.transmute_u32s_f32s(*values));
            }
            for value in rest {
                let bits = value.to_bits();
                ends = ends.with(bits as i32, bits);
            }
        }
        let most = bytemuck::cast_slice::<_, i32>(std::slice::from_ref(&most));
        let least = bytemuck::cast_slice::<_, u32>(std::slice::from_ref(&least));
        for (most, least) in most.iter().zip(least) {
            ends = ends.with(*most, *least);
        }
        ends
    }

    #[inline(always)]
    fn join(a: Ends, b: Ends) -> Ends {
        a.with(b.most, b.least)
    }

    #[inline(always)]
    fn scale<S: Instructions>(simd: S, ends: Ends) -> (Self::By<S>, Scale) {
        let [least, most] = ends.values();
        let range = most - least;
        let (by, scale) = match range.is_finite() {
            true if range < Self::LEAST => (0.0, Scale::default()),
            true => {
                let (by, step) = (Self::MOST / range, range / Self::MOST);
                (by, Scale { step, zero: least })
            }
            false => {
                let step = f32::NAN;
                (0.0, Scale { step, zero: 0.0 })
            }
        };
        let by = ByRange {
            by: simd.splat_f32s(by),
            half: simd.splat_f32s(0.5 - by * scale.zero),
        };
        (by, scale)
    }

    #[inline(always)]
    fn narrow<S: Instructions>(
        simd: S,
        values: &[f32],
        length: usize,
        by: Self::By<S>,
        to: &mut [i32],
    ) {
        narrow(simd, values, length, by, to);
    }

    #[inline(always)]
    fn add_dot<S: Instructions>(
        simd: S,
        sums: S::i32s,
        values: S::i32s,
        weights: S::i32s,
    ) -> S::i32s {
        simd.add_dot(sums, values, weights)
    }
}

/// The least and the largest of values and zero, told by their bits: that takes an operation each, whatever the values are.
/// As integers with a sign, the bits of positive values are in the order of the values, and those of negative ones below
/// them; without a sign, those of negative values are above all, the least one's at the top. What is not finite has larger ones.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Ends {
    most: i32,
    least: u32,
}

impl Ends {
    #[inline(always)]
    fn with(self, most: i32, least: u32) -> Self {
        Self {
            most: self.most.max(most),
            least: self.least.max(least),
        }
    }

    #[inline(always)]
    fn values(self) -> [f32; 2] {
        // Without a negative value this is the largest one.
        let least = f32::from_bits(self.least);
        [
            if least > 0.0 { 0.0 } else { least },
            f32::from_bits(self.most as u32),
        ]
    }
}

/// Adds the squares of values.
#[inline(always)]
fn add_squares<S: Simd>(simd: S, [mut a, mut b]: [S::f32s; 2], values: &[f32]) -> [S::f32s; 2] {
    let (vectors, rest) = S::as_simd_f32s(values);
    let (twos, one) = vectors.as_chunks();
    for [one, two] in twos {
        a = simd.mul_add_e_f32s(*one, *one, a);
        b = simd.mul_add_e_f32s(*two, *two, b);
    }
    if let [one] = one {
        a = simd.mul_add_e_f32s(*one, *one, a);
    }
    if !rest.is_empty() {
        let rest = simd.partial_load_f32s(rest);
        b = simd.mul_add_e_f32s(rest, rest, b);
    }
    [a, b]
}

/// The largest of the weights, whatever their signs.
fn largest(weights: &[f32]) -> f32 {
    weights
        .iter()
        .fold(0.0, |largest, weight| largest.max(weight.abs()))
}

/// Vectors of values to vectors of words. No closure: one that is not inlined has none of the instructions.
trait Narrow<S: Simd, const N: usize>: Copy {
    /// Values of the first vector, then those of the others, `N` in a word.
    fn words(self, simd: S, values: [S::f32s; N]) -> S::i32s;
}

/// To [`Pairs`].
#[derive(Clone, Copy)]
pub(crate) struct ByLength<V>(V);

impl<S: Instructions> Narrow<S, { Pairs::IN_WORD }> for ByLength<S::f32s> {
    #[inline(always)]
    fn words(self, simd: S, [a, b]: [S::f32s; 2]) -> S::i32s {
        simd.narrow(simd.mul_f32s(a, self.0), simd.mul_f32s(b, self.0))
    }
}

/// To [`Fours`].
#[derive(Clone, Copy)]
pub(crate) struct ByRange<V> {
    by: V,
    /// A half, less the value of zero.
    half: V,
}

impl<S: Instructions> Narrow<S, { Fours::IN_WORD }> for ByRange<S::f32s> {
    #[inline(always)]
    fn words(self, simd: S, [a, b, c, d]: [S::f32s; 4]) -> S::i32s {
        let Self { by, half } = self;
        simd.narrow_to_bytes([
            simd.mul_add_e_f32s(a, by, half),
            simd.mul_add_e_f32s(b, by, half),
            simd.mul_add_e_f32s(c, by, half),
            simd.mul_add_e_f32s(d, by, half),
        ])
    }
}

/// [`Numbers::narrow`], `N` values to a word.
#[inline(always)]
fn narrow<S: Instructions, const N: usize>(
    simd: S,
    values: &[f32],
    length: usize,
    by: impl Narrow<S, N>,
    to: &mut [i32],
) {
    let vectors = length.div_ceil(N * S::F32_LANES);
    let to = &mut to[..vectors * S::I32_LANES];
    let whole: &[[S::f32s; N]] = S::as_simd_f32s(values).0.as_chunks().0;
    let mut written = 0;
    for (to, values) in S::as_mut_simd_i32s(to).0.iter_mut().zip(whole) {
        *to = by.words(simd, *values);
        written += 1;
    }
    if written < vectors {
        let mut last = [simd.splat_f32s(0.0); N];
        let rest = &values[written * N * S::F32_LANES..];
        bytemuck::cast_slice_mut(&mut last)[..rest.len()].copy_from_slice(rest);
        to[written * S::I32_LANES..].copy_from_slice(bytemuck::cast_slice(&[by.words(simd, last)]));
    }
}

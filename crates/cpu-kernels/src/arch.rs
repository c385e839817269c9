//! The instruction set.

use pulp::{Simd, bytemuck};

/// What the kernels need besides [`Simd`]: products of pairs of 16-bit numbers, and of fours of 8-bit numbers, summed
/// in 32 bits. A vector of `i32` holds two or four of them in each lane, the first in the lowest bits.
pub(crate) trait Instructions: Simd {
    /// Whether pairs take less time than as many single-precision products. Where they do not, only
    /// the reference below is there, which is slow.
    const PAIRS: bool = false;

    /// Whether fours of 8-bit numbers take less time still. The same is true of them.
    const FOURS: bool = false;

    /// Runs `kernel` with these instructions, as a function of its own: in one that is too large, values
    /// leave the registers.
    #[inline(never)]
    fn run<K: Kernel>(self, kernel: K) -> K::Output {
        kernel.with(self)
    }

    /// In each lane, the first number of `a` times that of `b`, plus the same of the second.
    #[inline(always)]
    fn dot(self, a: Self::i32s, b: Self::i32s) -> Self::i32s {
        let mut sums = a;
        let lanes = bytemuck::cast_slice_mut::<_, i32>(std::slice::from_mut(&mut sums));
        for (sum, b) in lanes.iter_mut().zip(bytemuck::cast_slice::<_, i32>(&[b])) {
            let part = |of: i32, shift: u32| i32::from((of >> shift) as i16);
            *sum = part(*sum, 0) * part(*b, 0) + part(*sum, 16) * part(*b, 16);
        }
        sums
    }

    /// Adds to each lane of `sums` the four products of the lane's numbers: of `values` from 0 to 127, and `weights` from
    /// -127 to 127.
    #[inline(always)]
    fn add_dot(self, sums: Self::i32s, values: Self::i32s, weights: Self::i32s) -> Self::i32s {
        let mut sums = sums;
        let lanes = bytemuck::cast_slice_mut::<_, i32>(std::slice::from_mut(&mut sums));
        let values = bytemuck::cast_slice::<_, [i8; 4]>(std::slice::from_ref(&values));
        let weights = bytemuck::cast_slice::<_, [i8; 4]>(std::slice::from_ref(&weights));
        for ((sum, values), weights) in lanes.iter_mut().zip(values).zip(weights) {
            let products = values.iter().zip(weights);
            *sum += products
                .map(|(v, w)| i32::from(*v) * i32::from(*w))
                .sum::<i32>();
        }
        sums
    }

    /// To single precision.
    #[inline(always)]
    fn to_float(self, a: Self::i32s) -> Self::f32s {
        let mut floats = self.splat_f32s(0.0);
        let lanes = bytemuck::cast_slice_mut::<_, f32>(std::slice::from_mut(&mut floats));
        for (float, a) in lanes.iter_mut().zip(bytemuck::cast_slice::<_, i32>(&[a])) {
            *float = *a as f32;
        }
        floats
    }

    /// Rounded to 16 bits, to the even one of two that are as near: the values of `a`, then those of
    /// `b`. What becomes of values beyond 16 bits differs between instruction sets.
    #[inline(always)]
    fn narrow(self, a: Self::f32s, b: Self::f32s) -> Self::i32s {
        let mut narrow = self.splat_i32s(0);
        let to = bytemuck::cast_slice_mut::<_, i16>(std::slice::from_mut(&mut narrow));
        for (to, float) in to.iter_mut().zip(bytemuck::cast_slice::<_, f32>(&[a, b])) {
            *to = float.round_ties_even() as i16;
        }
        narrow
    }

    /// From `N` rows one behind the other: the first word of each, then the second of each, and so on.
    #[inline(always)]
    fn interleave<const N: usize>(self, rows: &[i32], to: &mut [i32]) {
        interleave_from::<N>(0, rows, to);
    }

    /// Rounded down to 8 bits: the values of the first vector, then those of the others. What becomes of values
    /// that are not from 0 to 127 differs between instruction sets.
    #[inline(always)]
    fn narrow_to_bytes(self, values: [Self::f32s; 4]) -> Self::i32s {
        let mut narrow = self.splat_i32s(0);
        let to = bytemuck::cast_slice_mut::<_, i8>(std::slice::from_mut(&mut narrow));
        for (to, float) in to.iter_mut().zip(bytemuck::cast_slice::<_, f32>(&values)) {
            *to = *float as i8;
        }
        narrow
    }
}

/// [`Instructions::interleave`], from the words at `first` on.
#[inline(always)]
fn interleave_from<const N: usize>(first: usize, rows: &[i32], to: &mut [i32]) {
    let length = rows.len() / N;
    for (at, to) in to.chunks_exact_mut(N).enumerate().skip(first) {
        for (row, to) in to.iter_mut().enumerate() {
            *to = rows[row * length + at];
        }
    }
}

/// Work that is compiled for each instruction set.
pub(crate) trait Kernel {
    type Output;

    /// Must be inlined, so that it is compiled with the instructions of `simd`.
    fn with<S: Instructions>(self, simd: S) -> Self::Output;
}

impl Instructions for pulp::Scalar {}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use pulp::x86::{V3, V4};
    use pulp::{NullaryFnOnce, Simd, cast};

    use super::{Instructions, Kernel};

    /// A kernel with its instructions.
    struct Call<S, K>(S, K);

    impl<S: Instructions, K: Kernel> NullaryFnOnce for Call<S, K> {
        type Output = K::Output;

        #[inline(always)]
        fn call(self) -> K::Output {
            self.1.with(self.0)
        }
    }

    impl Instructions for V3 {
        const PAIRS: bool = true;
        const FOURS: bool = true;

        #[inline(always)]
        fn run<K: Kernel>(self, kernel: K) -> K::Output {
            self.vectorize(Call(self, kernel))
        }

        #[inline(always)]
        fn dot(self, a: Self::i32s, b: Self::i32s) -> Self::i32s {
            cast(self.avx2._mm256_madd_epi16(cast(a), cast(b)))
        }

        #[inline(always)]
        fn to_float(self, a: Self::i32s) -> Self::f32s {
            cast(self.avx._mm256_cvtepi32_ps(cast(a)))
        }

        #[inline(always)]
        fn narrow(self, a: Self::f32s, b: Self::f32s) -> Self::i32s {
            let [a, b] = [a, b].map(|values| self.avx._mm256_cvtps_epi32(cast(values)));
            // Packed by halves of 128 bits; what belongs together is put side by side again.
            let packed = self.avx2._mm256_packs_epi32(a, b);
            cast(self.avx2._mm256_permute4x64_epi64::<0b11_01_10_00>(packed))
        }

        #[inline(always)]
        fn add_dot(self, sums: Self::i32s, values: Self::i32s, weights: Self::i32s) -> Self::i32s {
            let avx2 = self.avx2;
            let twos = avx2._mm256_maddubs_epi16(cast(values), cast(weights));
            let fours = avx2._mm256_madd_epi16(twos, cast([1i16; 16]));
            self.add_i32s(sums, cast(fours))
        }

        #[inline(always)]
        fn narrow_to_bytes(self, values: [Self::f32s; 4]) -> Self::i32s {
            let [a, b, c, d] = values.map(|values| self.avx._mm256_cvttps_epi32(cast(values)));
            let twos = [
                self.avx2._mm256_packs_epi32(a, b),
                self.avx2._mm256_packs_epi32(c, d),
            ];
            let packed = self.avx2._mm256_packus_epi16(twos[0], twos[1]);
            let order = cast([0u32, 4, 1, 5, 2, 6, 3, 7]);
            cast(self.avx2._mm256_permutevar8x32_epi32(packed, order))
        }
    }

    impl Instructions for V4 {
        const PAIRS: bool = true;
        const FOURS: bool = true;

        #[inline(always)]
        fn run<K: Kernel>(self, kernel: K) -> K::Output {
            self.vectorize(Call(self, kernel))
        }

        #[inline(always)]
        fn dot(self, a: Self::i32s, b: Self::i32s) -> Self::i32s {
            cast(self.avx512bw._mm512_madd_epi16(cast(a), cast(b)))
        }

        #[inline(always)]
        fn to_float(self, a: Self::i32s) -> Self::f32s {
            cast(self.avx512f._mm512_cvtepi32_ps(cast(a)))
        }

        #[inline(always)]
        fn narrow(self, a: Self::f32s, b: Self::f32s) -> Self::i32s {
            let [a, b] = [a, b].map(|values| self.avx512f._mm512_cvtps_epi32(cast(values)));
            let packed = self.avx512bw._mm512_packs_epi32(a, b);
            let order = cast([0u64, 2, 4, 6, 1, 3, 5, 7]);
            cast(self.avx512f._mm512_permutexvar_epi64(order, packed))
        }

        #[inline(always)]
        fn add_dot(self, sums: Self::i32s, values: Self::i32s, weights: Self::i32s) -> Self::i32s {
            let avx512 = self.avx512bw;
            let twos = avx512._mm512_maddubs_epi16(cast(values), cast(weights));
            let fours = avx512._mm512_madd_epi16(twos, cast([1i16; 32]));
            self.add_i32s(sums, cast(fours))
        }

        #[inline(always)]
        fn narrow_to_bytes(self, values: [Self::f32s; 4]) -> Self::i32s {
            let [a, b, c, d] = values.map(|values| self.avx512f._mm512_cvttps_epi32(cast(values)));
            let twos = [
                self.avx512bw._mm512_packs_epi32(a, b),
                self.avx512bw._mm512_packs_epi32(c, d),
            ];
            let packed = self.avx512bw._mm512_packus_epi16(twos[0], twos[1]);
            let order = cast([0u32, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15]);
            cast(self.avx512f._mm512_permutexvar_epi32(order, packed))
        }
    }
}

#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
mod wasm {
    use std::arch::wasm32::v128;

    #[cfg(target_feature = "relaxed-simd")]
    use pulp::wasm::RelaxedSimd;
    use pulp::wasm::Simd128;
    use pulp::{Simd, cast};

    use super::Instructions;

    /// 1.5 * 2^23: a number added to it is rounded to a whole one, which stands in the lowest bits.
    const ROUND: f32 = 12_582_912.0;

    /// Four rows to four columns.
    #[inline(always)]
    fn turn(simd: pulp::core_arch::wasm::Simd128, [a, b, c, d]: [v128; 4]) -> [v128; 4] {
        let low = |a, b| simd.i32x4_shuffle::<0, 4, 1, 5>(a, b);
        let high = |a, b| simd.i32x4_shuffle::<2, 6, 3, 7>(a, b);
        let (ab, cd) = ([low(a, b), high(a, b)], [low(c, d), high(c, d)]);
        [
            simd.i64x2_shuffle::<0, 2>(ab[0], cd[0]),
            simd.i64x2_shuffle::<1, 3>(ab[0], cd[0]),
            simd.i64x2_shuffle::<0, 2>(ab[1], cd[1]),
            simd.i64x2_shuffle::<1, 3>(ab[1], cd[1]),
        ]
    }

    /// What both kinds of SIMD have.
    macro_rules! pairs {
        () => {
            const PAIRS: bool = true;

            #[inline(always)]
            fn dot(self, a: Self::i32s, b: Self::i32s) -> Self::i32s {
                cast(self.simd128.i32x4_dot_i16x8(cast(a), cast(b)))
            }

            #[inline(always)]
            fn to_float(self, a: Self::i32s) -> Self::f32s {
                cast(self.simd128.f32x4_convert_i32x4(cast(a)))
            }

            #[inline(always)]
            fn narrow(self, a: Self::f32s, b: Self::f32s) -> Self::i32s {
                let simd = self.simd128;
                let [a, b] = [a, b].map(|values| {
                    let rounded = simd.f32x4_add(cast(values), simd.f32x4_splat(ROUND));
                    simd.i32x4_sub(rounded, simd.f32x4_splat(ROUND))
                });
                cast(simd.i16x8_narrow_i32x4(a, b))
            }

            #[inline(always)]
            fn interleave<const N: usize>(self, rows: &[i32], to: &mut [i32]) {
                let length = rows.len() / N;
                let whole = if N == 4 { length / 4 * 4 } else { 0 };
                for at in (0..whole).step_by(4) {
                    let four =
                        |row: usize| Self::as_simd_i32s(&rows[row * length + at..][..4]).0[0];
                    let turned = turn(self.simd128, [four(0), four(1), four(2), four(3)].map(cast));
                    Self::as_mut_simd_i32s(&mut to[4 * at..][..16])
                        .0
                        .copy_from_slice(&turned.map(cast));
                }
                super::interleave_from::<N>(whole, rows, to);
            }
        };
    }

    impl Instructions for Simd128 {
        pairs!();
    }

    #[cfg(target_feature = "relaxed-simd")]
    impl Instructions for RelaxedSimd {
        pairs!();

        const FOURS: bool = true;

        #[inline(always)]
        fn add_dot(self, sums: Self::i32s, values: Self::i32s, weights: Self::i32s) -> Self::i32s {
            let simd = self.relaxed_simd;
            cast(simd.i32x4_relaxed_dot_i8x16_i7x16_add(cast(weights), cast(values), cast(sums)))
        }

        #[inline(always)]
        fn narrow_to_bytes(self, values: [Self::f32s; 4]) -> Self::i32s {
            let Self {
                simd128,
                relaxed_simd,
            } = self;
            let [a, b, c, d] =
                values.map(|values| relaxed_simd.i32x4_relaxed_trunc_f32x4(cast(values)));
            let twos = [
                simd128.i16x8_narrow_i32x4(a, b),
                simd128.i16x8_narrow_i32x4(c, d),
            ];
            cast(simd128.u8x16_narrow_i16x8(twos[0], twos[1]))
        }
    }
}

#[cfg(target_arch = "aarch64")]
impl Instructions for pulp::aarch64::Neon {}

/// Runs `kernel` with the best instructions that this processor has.
#[inline]
pub(crate) fn dispatch<K: Kernel>(kernel: K) -> K::Output {
    #[cfg(target_arch = "x86_64")]
    {
        if let Some(simd) = pulp::x86::V4::try_new() {
            return simd.run(kernel);
        }
        if let Some(simd) = pulp::x86::V3::try_new() {
            return simd.run(kernel);
        }
    }
    // A build must not contain a single instruction that a browser lacks: it would refuse all of it.
    #[cfg(all(target_arch = "wasm32", target_feature = "relaxed-simd"))]
    if let Some(simd) = pulp::wasm::RelaxedSimd::try_new() {
        return simd.run(kernel);
    }
    #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
    if let Some(simd) = pulp::wasm::Simd128::try_new() {
        return simd.run(kernel);
    }
    #[cfg(target_arch = "aarch64")]
    if let Some(simd) = pulp::aarch64::Neon::try_new() {
        return simd.run(kernel);
    }
    pulp::Scalar.run(kernel)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes of each operation for some numbers, with the wide ones cut into lanes.
    struct Operations;

    impl Kernel for Operations {
        type Output = [Vec<u32>; 5];

        #[inline(always)]
        fn with<S: Instructions>(self, simd: S) -> Self::Output {
            const LANES: u32 = 64;
            let numbers = |seed: u32| -> Vec<u32> {
                let number = |i: u32| (i ^ seed).wrapping_mul(2_654_435_761);
                (0..LANES).map(number).collect()
            };
            let (a, b) = (numbers(1), numbers(2));
            let float = |numbers: &[u32]| -> Vec<f32> {
                numbers
                    .iter()
                    .map(|n| (*n as i32 >> 16) as f32 / 4.0)
                    .collect()
            };
            let (a_float, b_float) = (float(&a), float(&b));
            let integers = |numbers: &[u32]| bytemuck::cast_slice::<u32, i32>(numbers).to_vec();
            let (a_int, b_int) = (integers(&a), integers(&b));
            let mut out: Self::Output = Default::default();
            let pairs = S::as_simd_i32s(&a_int)
                .0
                .iter()
                .zip(S::as_simd_i32s(&b_int).0);
            for (a, b) in pairs {
                out[0].extend(bytemuck::cast_slice::<_, u32>(&[simd.dot(*a, *b)]));
                out[1].extend(bytemuck::cast_slice::<_, u32>(&[simd.to_float(*a)]));
            }
            let bytes = |numbers: &[u32], mask: u32| {
                integers(&numbers.iter().map(|n| n & mask).collect::<Vec<_>>())
            };
            // Weights of -128 are not allowed: -126 or more are left.
            let (values, weights) = (
                bytes(&a, 0x7f7f_7f7f),
                bytes(&b, 0xfefe_fefe)
                    .iter()
                    .map(|w| w | 0x0202_0202)
                    .collect::<Vec<_>>(),
            );
            let fours = S::as_simd_i32s(&values)
                .0
                .iter()
                .zip(S::as_simd_i32s(&weights).0);
            for (values, weights) in fours {
                let sums = simd.add_dot(simd.splat_i32s(-3), *values, *weights);
                out[3].extend(bytemuck::cast_slice::<_, u32>(&[sums]));
            }
            let small: Vec<f32> = a.iter().map(|n| (n >> 16) as f32 / 516.0).collect();
            for four in S::as_simd_f32s(&small).0.as_chunks().0 {
                out[4].extend(bytemuck::cast_slice::<_, u32>(&[
                    simd.narrow_to_bytes(*four)
                ]));
            }
            let (twos, _) = S::as_simd_f32s(&a_float).0.as_chunks();
            let (more, _) = S::as_simd_f32s(&b_float).0.as_chunks();
            for [a, b] in twos.iter().chain(more) {
                out[2].extend(bytemuck::cast_slice::<_, u32>(&[simd.narrow(*a, *b)]));
            }
            out
        }
    }

    #[test]
    fn operations_are_those_of_the_reference() {
        let reference = pulp::Scalar.run(Operations);
        assert_eq!(dispatch(Operations), reference);
        #[cfg(target_arch = "x86_64")]
        if let Some(simd) = pulp::x86::V3::try_new() {
            assert_eq!(simd.run(Operations), reference);
        }
    }
}

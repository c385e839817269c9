//! The instruction set.

use pulp::{Simd, bytemuck};

/// What the kernels need besides [`Simd`]: products of pairs of 16-bit numbers, summed in 32 bits. A
/// vector of `i32` holds two 16-bit numbers in each lane, the first in the lower half.
pub(crate) trait Instructions: Simd {
    /// Whether pairs take less time than as many single-precision products. Where they do not, only
    /// the reference below is there, which is slow.
    const PAIRS: bool = false;

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
    use pulp::{NullaryFnOnce, cast};

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
    }

    impl Instructions for V4 {
        const PAIRS: bool = true;

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
    }
}

#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
mod wasm {
    use pulp::cast;
    use pulp::wasm::Simd128;

    use super::Instructions;

    /// 1.5 * 2^23: a number added to it is rounded to a whole one, which stands in the lowest bits.
    const ROUND: f32 = 12_582_912.0;

    impl Instructions for Simd128 {
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
    // The build for browsers without SIMD must not contain a single SIMD instruction: such a
    // browser would refuse all of it.
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
        type Output = [Vec<u32>; 3];

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

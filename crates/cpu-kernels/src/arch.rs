//! The instruction set.

use pulp::{Simd, WithSimd};

/// Runs `op` with the best instructions that this processor has.
#[inline]
pub(crate) fn dispatch<Op: WithSimd>(op: Op) -> Op::Output {
    #[cfg(target_arch = "x86_64")]
    {
        if let Some(simd) = pulp::x86::V4::try_new() {
            return Simd::vectorize(simd, op);
        }
        if let Some(simd) = pulp::x86::V3::try_new() {
            return Simd::vectorize(simd, op);
        }
    }
    // The build for browsers without SIMD must not contain a single SIMD instruction: such a
    // browser would refuse all of it.
    #[cfg(all(target_arch = "wasm32", not(target_feature = "simd128")))]
    return op.with_simd(pulp::Scalar);
    #[cfg(not(all(target_arch = "wasm32", not(target_feature = "simd128"))))]
    pulp::Arch::new().dispatch(op)
}

/// Values in a vector.
pub(crate) fn lanes() -> usize {
    struct Lanes;
    impl WithSimd for Lanes {
        type Output = usize;
        #[inline(always)]
        fn with_simd<S: Simd>(self, _: S) -> usize {
            S::F32_LANES
        }
    }
    dispatch(Lanes)
}

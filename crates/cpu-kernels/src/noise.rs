//! Values for tests.

/// Values without a pattern, in -1..1 (the finaliser of MurmurHash3).
pub(crate) fn noise(length: usize, seed: u32) -> Vec<f32> {
    (0..length as u32)
        .map(|i| {
            let mut bits = i ^ seed.wrapping_mul(0x9e37_79b9);
            bits = (bits ^ bits >> 16).wrapping_mul(0x85eb_ca6b);
            bits = (bits ^ bits >> 13).wrapping_mul(0xc2b2_ae35);
            (bits ^ bits >> 16) as i32 as f32 / i32::MAX as f32
        })
        .collect()
}

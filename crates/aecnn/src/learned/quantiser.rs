//! Latents in [0, 1] to symbols and back.

use burn::tensor::Tensor;
use feature_codec::Symbol;

/// The most bits that a quantiser has.
pub const MAX_BITS: u8 = 12;

/// Bits outside 1 to [`MAX_BITS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a quantiser of {0} bits is not possible; 1 to {MAX_BITS} are")]
pub struct UnusableBits(pub u8);

/// Rounds to one of `2^bits` equally spaced values from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quantiser {
    bits: u8,
}

impl Quantiser {
    /// A quantiser of so many bits.
    ///
    /// # Errors
    ///
    /// When there are none or more than [`MAX_BITS`].
    pub const fn new(bits: u8) -> Result<Self, UnusableBits> {
        if bits == 0 || bits > MAX_BITS {
            return Err(UnusableBits(bits));
        }
        Ok(Self { bits })
    }

    /// Bits of a symbol.
    #[must_use]
    pub const fn bits(self) -> u8 {
        self.bits
    }

    /// The largest symbol; the smallest is 0.
    #[must_use]
    pub const fn max(self) -> Symbol {
        (1 << self.bits) - 1
    }

    /// The symbols of latent values. What is not a number becomes 0.
    #[must_use]
    pub fn symbols(self, latent: &[f32]) -> Vec<Symbol> {
        let scale = f32::from(self.max());
        latent
            .iter()
            // A cast from float saturates, and turns NaN into 0.
            .map(|value| (value.clamp(0.0, 1.0) * scale + 0.5).floor() as Symbol)
            .collect()
    }

    /// The values that symbols stand for.
    #[must_use]
    pub fn values(self, symbols: &[Symbol]) -> Vec<f32> {
        let step = f32::from(self.max()).recip();
        symbols
            .iter()
            .map(|symbol| f32::from(*symbol) * step)
            .collect()
    }

    /// What a decoder sees of a latent, in training: the rounded values, with the gradient of the value before
    /// rounding ("straight through"). Beyond 0 and 1 the gradient is 0.
    #[must_use]
    pub fn straight_through(self, latent: Tensor<4>) -> Tensor<4> {
        let scale = f32::from(self.max());
        let clamped = latent.clamp(0.0, 1.0);
        let rounded = (clamped.clone().detach() * scale + 0.5).floor() / scale;
        let error = rounded - clamped.clone().detach();
        clamped + error
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, TensorData};

    const LATENT: [f32; 8] = [-0.5, 0.0, 0.1, 0.5, 0.503, 0.97, 1.0, 7.0];

    #[test]
    fn both_forms_round_alike() {
        for bits in [1, 4, 8] {
            let quantiser = Quantiser::new(bits).unwrap();
            let symbols = quantiser.symbols(&LATENT);
            assert_eq!((symbols[0], symbols[7]), (0, quantiser.max()));
            let data = TensorData::new(LATENT.to_vec(), [1, 2, 2, 2]);
            let tensor = Tensor::from_data(data, &Device::flex());
            let tensor = quantiser.straight_through(tensor);
            let seen = tensor.try_into_vec_as::<f32>().unwrap();
            for (value, seen) in quantiser.values(&symbols).iter().zip(seen) {
                assert!((value - seen).abs() < 1e-6, "{value} and {seen}");
            }
        }
        assert_eq!(Quantiser::new(8).unwrap().symbols(&[f32::NAN]), [0]);
        assert_eq!(Quantiser::new(0), Err(UnusableBits(0)));
        assert_eq!(Quantiser::new(13), Err(UnusableBits(13)));
    }

    #[test]
    fn gradients_pass_inside_the_range_only() {
        let device = Device::flex().autodiff();
        let data = TensorData::new(LATENT.to_vec(), [1, 2, 2, 2]);
        let latent = Tensor::<4>::from_data(data, &device).require_grad();
        let quantiser = Quantiser::new(4).unwrap();
        let loss = quantiser.straight_through(latent.clone()).sum();
        let gradient = latent.grad(&loss.backward()).unwrap();
        let gradient = gradient.try_into_vec_as::<f32>().unwrap();
        assert_eq!(gradient[0], 0.0);
        assert_eq!(gradient[2..6], [1.0; 4]);
        assert_eq!(gradient[7], 0.0);
    }
}

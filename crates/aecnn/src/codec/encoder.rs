//! The device's half of a codec.

use burn::tensor::{Device, Tensor};

#[cfg(feature = "cpu")]
use super::kernels;
use super::{CodecError, CodecFile, tensors};
#[cfg(feature = "cpu")]
use crate::resnet::kernels::serve;

/// Feature to latent, by the means that fit the device.
#[derive(Debug)]
pub struct Encoder {
    form: Form,
    channels: usize,
}

#[derive(Debug)]
enum Form {
    /// By burn's operations, on any device.
    Tensors(Box<tensors::Encoder>),
    /// By kernels for the processor.
    #[cfg(feature = "cpu")]
    Kernels(kernels::Encoder),
}

impl Encoder {
    /// Puts the device's half of `codec` on `device`.
    ///
    /// # Errors
    ///
    /// When a tensor of the codec's networks is missing.
    pub fn new(codec: &CodecFile, device: &Device) -> Result<Self, CodecError> {
        let [channels, _, _] = codec.latent_shape();
        #[cfg(feature = "cpu")]
        if serve(device) {
            let form = Form::Kernels(kernels::Encoder::new(codec)?);
            return Ok(Self { form, channels });
        }
        let form = Form::Tensors(Box::new(tensors::Encoder::new(codec, device)?));
        Ok(Self { form, channels })
    }

    /// The feature `[n, channels, height, width]` to the latent `[n, k, height / block, width / block]`, not
    /// yet quantised.
    #[must_use]
    pub fn forward(&self, feature: Tensor<4>) -> Tensor<4> {
        self.first(feature, self.channels)
    }

    /// As [`Self::forward`], but the first `channels` only, or all if there are fewer: what a rate does not send
    /// need not be computed.
    #[must_use]
    pub fn first(&self, feature: Tensor<4>, channels: usize) -> Tensor<4> {
        let channels = channels.min(self.channels);
        match &self.form {
            Form::Tensors(encoder) => encoder.first(feature, channels),
            #[cfg(feature = "cpu")]
            Form::Kernels(encoder) => encoder.first(feature, channels),
        }
    }
}

//! The server's half of a codec.

use burn::tensor::{Device, Tensor, TensorData};

#[cfg(feature = "cpu")]
use super::kernels;
use super::{CodecError, CodecFile, tensors};
#[cfg(feature = "cpu")]
use crate::resnet::kernels::serve;

/// Latent to feature, by the means that fit the device.
#[derive(Debug)]
pub struct Decoder {
    form: Form,
    latent_shape: [usize; 3],
    device: Device,
}

#[derive(Debug)]
enum Form {
    /// By burn's operations, on any device.
    Tensors(Box<tensors::Decoder>),
    /// By kernels for the processor.
    #[cfg(feature = "cpu")]
    Kernels(Box<kernels::Decoder>),
}

impl Decoder {
    /// Puts the server's half of `codec` on `device`.
    ///
    /// # Errors
    ///
    /// When `codec` is a device's half, or a tensor of its networks is missing.
    pub fn new(codec: &CodecFile, device: &Device) -> Result<Self, CodecError> {
        Ok(Self {
            form: Form::new(codec, device)?,
            latent_shape: codec.latent_shape(),
            device: device.clone(),
        })
    }

    /// Values in one picture's latent.
    #[must_use]
    pub fn latent_values(&self) -> usize {
        self.latent_shape.iter().product()
    }

    /// Dequantised latents of some pictures, one behind the other and each of
    /// [`Self::latent_values`] (see [`super::dequantise`]), and the step of each picture, to
    /// features `[n, channels, height, width]`.
    #[must_use]
    pub fn restore(&self, latents: Vec<f32>, steps: Vec<f32>) -> Tensor<4> {
        let [k, rows, columns] = self.latent_shape;
        let n = steps.len();
        match &self.form {
            Form::Tensors(decoder) => {
                let latents = TensorData::new(latents, [n, k, rows, columns]);
                decoder.forward(
                    Tensor::from_data(latents, &self.device),
                    &Tensor::from_data(TensorData::new(steps, [n, 1, 1, 1]), &self.device),
                )
            }
            #[cfg(feature = "cpu")]
            Form::Kernels(decoder) => {
                Tensor::from_data(decoder.restore(&latents, &steps), &self.device)
            }
        }
    }
}

impl Form {
    fn new(codec: &CodecFile, device: &Device) -> Result<Self, CodecError> {
        #[cfg(feature = "cpu")]
        if serve(device) {
            return Ok(Self::Kernels(Box::new(kernels::Decoder::new(codec)?)));
        }
        Ok(Self::Tensors(Box::new(tensors::Decoder::new(
            codec, device,
        )?)))
    }
}

//! Tensors by name from the parts of a model: safetensors files in half or single precision.

use burn::module::{Param, ParamId};
use burn::nn::PaddingConfig2d;
use burn::nn::conv::Conv2d;
use burn::tensor::{Device, Tensor, TensorData};
use half::f16;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensorError, SafeTensors};

use crate::products::kept;

/// Weights that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum WeightsError {
    /// Not a safetensors file, or a damaged one.
    #[error("part `{part}` is not a readable safetensors file: {source}")]
    Unreadable {
        /// The part's name.
        part: String,
        /// What the reader said.
        source: SafeTensorError,
    },
    /// A tensor is not in any of the parts given.
    #[error("tensor `{0}` is in none of the parts given; load the parts that the split needs")]
    Missing(String),
    /// A tensor has another shape than the network's.
    #[error("tensor `{name}` has shape {got:?}; the network needs {expected:?}")]
    Shape {
        /// The tensor's name.
        name: String,
        /// The shape that the network needs.
        expected: Vec<usize>,
        /// The shape in the file.
        got: Vec<usize>,
    },
    /// A tensor is stored as something other than `F16` or `F32`.
    #[error("tensor `{name}` is stored as {got:?}; only F16 and F32 are read")]
    Dtype {
        /// The tensor's name.
        name: String,
        /// The type in the file.
        got: Dtype,
    },
}

/// The tensors of several parts, looked up by name.
#[derive(Debug)]
pub struct Weights<'a> {
    parts: Vec<SafeTensors<'a>>,
}

impl<'a> Weights<'a> {
    /// Reads the directory of each `(name, bytes)` part; tensor data stays where it is.
    ///
    /// # Errors
    ///
    /// When a part is not a safetensors file.
    pub fn read(parts: &[(&str, &'a [u8])]) -> Result<Self, WeightsError> {
        let parts = parts
            .iter()
            .map(|(name, bytes)| {
                SafeTensors::deserialize(bytes).map_err(|source| WeightsError::Unreadable {
                    part: (*name).to_owned(),
                    source,
                })
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { parts })
    }

    /// The values of the tensor called `name`, which must have `shape`.
    ///
    /// # Errors
    ///
    /// When it is missing, of another shape, or of a type that is not read.
    pub fn values(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, WeightsError> {
        let view = self
            .parts
            .iter()
            .find_map(|part| part.tensor(name).ok())
            .ok_or_else(|| WeightsError::Missing(name.to_owned()))?;
        if view.shape() != shape {
            return Err(WeightsError::Shape {
                name: name.to_owned(),
                expected: shape.to_vec(),
                got: view.shape().to_vec(),
            });
        }
        to_f32(name, &view)
    }

    /// The tensor called `name`, which must have `shape`.
    ///
    /// # Errors
    ///
    /// As [`Self::values`].
    pub fn tensor<const D: usize>(
        &self,
        name: &str,
        shape: [usize; D],
        device: &Device,
    ) -> Result<Tensor<D>, WeightsError> {
        let values = self.values(name, &shape)?;
        Ok(Tensor::from_data(TensorData::new(values, shape), device))
    }

    /// A convolution with bias: `name.weight` `[out, in, kernel, kernel]` and `name.bias` `[out]`,
    /// padded by half the kernel.
    pub(crate) fn conv(
        &self,
        name: &str,
        [channels_in, channels_out]: [usize; 2],
        kernel: usize,
        stride: usize,
        device: &Device,
    ) -> Result<Conv2d, WeightsError> {
        let weight = self.tensor(
            &format!("{name}.weight"),
            [channels_out, channels_in, kernel, kernel],
            device,
        )?;
        let bias = self.tensor(&format!("{name}.bias"), [channels_out], device)?;
        let pad = kernel / 2;
        Ok(Conv2d {
            weight: param(kept(weight)),
            bias: Some(param(bias)),
            stride: [stride; 2],
            kernel_size: [kernel; 2],
            dilation: [1; 2],
            groups: 1,
            padding: PaddingConfig2d::Explicit(pad, pad, pad, pad),
        })
    }
}

/// A parameter that holds `value` and is not trained.
pub(crate) fn param<const D: usize>(value: Tensor<D>) -> Param<Tensor<D>> {
    Param::initialized(ParamId::new(), value)
}

fn to_f32(name: &str, view: &TensorView<'_>) -> Result<Vec<f32>, WeightsError> {
    match view.dtype() {
        Dtype::F16 => Ok(view
            .data()
            .chunks_exact(2)
            .map(|b| f16::from_le_bytes([b[0], b[1]]).to_f32())
            .collect()),
        Dtype::F32 => Ok(view
            .data()
            .chunks_exact(4)
            .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
            .collect()),
        got => Err(WeightsError::Dtype {
            name: name.to_owned(),
            got,
        }),
    }
}

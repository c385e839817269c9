//! What a trained codec has beyond its two linear maps: sizes and weights of the small networks
//! around them.

use std::collections::BTreeMap;

use burn::module::Param;
use burn::nn::conv::Conv2d;
use burn::nn::{Linear, PaddingConfig2d};
use burn::tensor::{Device, Tensor, TensorData};
use serde::{Deserialize, Serialize};

use super::CodecError;
use crate::products::kept;
use crate::weights::param;

/// The most hidden units or blocks that a codec file may ask for.
const MAX_UNITS: usize = 4096;
const MAX_BLOCKS: usize = 16;

/// The sizes of a codec's small networks; the default is a codec without any.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkConfig {
    /// Hidden units of the channel attention on the device; 0 is no attention.
    pub attention: usize,
    /// Whether latents have a gain by channel and position.
    pub gain: bool,
    /// Residual blocks that prepare the latent on the device; 0 is no preparation.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub prepare_blocks: usize,
    /// Hidden channels of such a block.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub prepare_hidden: usize,
    /// Residual blocks that refine the latent on the server; 0 is no refinement.
    pub refine_blocks: usize,
    /// Hidden channels of such a block.
    pub refine_hidden: usize,
}

#[allow(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde asks for a reference"
)]
fn is_zero(size: &usize) -> bool {
    *size == 0
}

impl NetworkConfig {
    /// Name and shape of every tensor of these networks, for a feature of `channels` channels and
    /// a latent `[k, rows, columns]`.
    #[must_use]
    pub fn tensors(
        &self,
        channels: usize,
        [k, rows, columns]: [usize; 3],
    ) -> Vec<(String, Vec<usize>)> {
        let mut tensors = Vec::new();
        let mut add = |name: String, shape: &[usize]| tensors.push((name, shape.to_vec()));
        let hidden = self.attention;
        if hidden > 0 {
            add("attention.reduce.weight".to_owned(), &[channels, hidden]);
            add("attention.reduce.bias".to_owned(), &[hidden]);
            add("attention.expand.weight".to_owned(), &[hidden, k]);
            add("attention.expand.bias".to_owned(), &[k]);
        }
        if self.gain {
            add("analysis.gain".to_owned(), &[k, rows, columns]);
            add("synthesis.gain".to_owned(), &[k, rows, columns]);
        }
        let hidden = self.prepare_hidden;
        if self.prepare_blocks > 0 {
            add("prepare.scale".to_owned(), &[k]);
            add("prepare.unit".to_owned(), &[k]);
        }
        for block in 0..self.prepare_blocks {
            let name = |part: &str| format!("prepare.{block}.{part}");
            add(name("expand.weight"), &[hidden, k, 1, 1]);
            add(name("expand.bias"), &[hidden]);
            add(name("spatial.weight"), &[hidden, hidden, 3, 3]);
            add(name("spatial.bias"), &[hidden]);
            add(name("project.weight"), &[k, hidden, 1, 1]);
            add(name("project.bias"), &[k]);
        }
        let hidden = self.refine_hidden;
        if self.refine_blocks > 0 {
            add("refine.scale".to_owned(), &[k]);
        }
        for block in 0..self.refine_blocks {
            let name = |part: &str| format!("refine.{block}.{part}");
            add(name("expand.weight"), &[hidden, k, 1, 1]);
            add(name("expand.bias"), &[hidden]);
            add(name("context.weight"), &[k, hidden]);
            add(name("step"), &[hidden]);
            add(name("spatial.weight"), &[hidden, hidden, 3, 3]);
            add(name("spatial.bias"), &[hidden]);
            add(name("project.weight"), &[k, hidden, 1, 1]);
            add(name("project.bias"), &[k]);
        }
        tensors
    }

    /// Refuses sizes that no codec needs, before anything is allocated for them.
    pub(super) fn check(&self) -> Result<(), CodecError> {
        let units = [self.attention, self.prepare_hidden, self.refine_hidden];
        let blocks = [self.prepare_blocks, self.refine_blocks];
        if units.iter().any(|units| *units > MAX_UNITS)
            || blocks.iter().any(|blocks| *blocks > MAX_BLOCKS)
        {
            return Err(CodecError::Inconsistent(format!(
                "{self:?} asks for more than {MAX_UNITS} hidden units or {MAX_BLOCKS} blocks"
            )));
        }
        for (what, blocks, hidden) in [
            ("preparing", self.prepare_blocks, self.prepare_hidden),
            ("refining", self.refine_blocks, self.refine_hidden),
        ] {
            if (blocks > 0) != (hidden > 0) {
                return Err(CodecError::Inconsistent(format!(
                    "{blocks} {what} blocks of {hidden} hidden channels"
                )));
            }
        }
        Ok(())
    }
}

/// Sizes and weights; every tensor of [`NetworkConfig::tensors`] in row-major layout.
#[derive(Debug, Clone, Default)]
pub struct Network {
    /// The sizes.
    pub config: NetworkConfig,
    /// The values by name.
    pub tensors: BTreeMap<String, Vec<f32>>,
}

impl Network {
    /// The values of a tensor.
    pub(super) fn values(&self, name: &str, shape: &[usize]) -> Result<&[f32], CodecError> {
        (self.tensors.get(name))
            .map(Vec::as_slice)
            .filter(|values| values.len() == shape.iter().product::<usize>())
            .ok_or_else(|| {
                CodecError::Inconsistent(format!("no tensor `{name}` of the shape {shape:?}"))
            })
    }

    pub(super) fn param<const D: usize>(
        &self,
        name: &str,
        shape: [usize; D],
        device: &Device,
    ) -> Result<Param<Tensor<D>>, CodecError> {
        let values = self.values(name, &shape)?;
        let data = TensorData::new(values.to_vec(), shape);
        Ok(param(Tensor::from_data(data, device)))
    }

    /// A fully connected layer; the weight is `[inputs, outputs]`.
    pub(super) fn linear(
        &self,
        name: &str,
        shape: [usize; 2],
        bias: bool,
        device: &Device,
    ) -> Result<Linear, CodecError> {
        Ok(Linear {
            weight: self.param(&format!("{name}.weight"), shape, device)?,
            bias: bias
                .then(|| self.param(&format!("{name}.bias"), [shape[1]], device))
                .transpose()?,
        })
    }

    /// A convolution of stride 1 that keeps rows and columns.
    pub(super) fn conv(
        &self,
        name: &str,
        [inputs, outputs]: [usize; 2],
        kernel: usize,
        device: &Device,
    ) -> Result<Conv2d, CodecError> {
        let pad = kernel / 2;
        let shape = [outputs, inputs, kernel, kernel];
        Ok(Conv2d {
            weight: (self.param(&format!("{name}.weight"), shape, device)?).map(kept),
            bias: Some(self.param(&format!("{name}.bias"), [outputs], device)?),
            stride: [1; 2],
            kernel_size: [kernel; 2],
            dilation: [1; 2],
            groups: 1,
            padding: PaddingConfig2d::Explicit(pad, pad, pad, pad),
        })
    }
}

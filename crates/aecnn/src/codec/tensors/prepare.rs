//! What the device makes of the latent before it is quantised, from the whole latent.

use burn::module::{Module, Param};
use burn::nn::conv::Conv2d;
use burn::tensor::{Device, Tensor};

use crate::codec::{CodecError, Network};
use crate::products::{After, convolve_first};

/// Residual blocks on the latent. A block sees all channels at a position and its eight neighbours.
#[derive(Module, Debug)]
pub(super) struct Prepare {
    /// Brings the channels to comparable magnitudes.
    scale: Param<Tensor<1>>,
    /// What a block adds to each channel comes in this unit.
    unit: Param<Tensor<1>>,
    blocks: Vec<Block>,
}

#[derive(Module, Debug)]
struct Block {
    expand: Conv2d,
    spatial: Conv2d,
    project: Conv2d,
}

impl Prepare {
    pub(super) fn load(network: &Network, k: usize, device: &Device) -> Result<Self, CodecError> {
        let hidden = network.config.prepare_hidden;
        let blocks = (0..network.config.prepare_blocks)
            .map(|index| {
                let name = |part: &str| format!("prepare.{index}.{part}");
                Ok(Block {
                    expand: network.conv(&name("expand"), [k, hidden], 1, device)?,
                    spatial: network.conv(&name("spatial"), [hidden, hidden], 3, device)?,
                    project: network.conv(&name("project"), [hidden, k], 1, device)?,
                })
            })
            .collect::<Result<_, CodecError>>()?;
        Ok(Self {
            scale: network.param("prepare.scale", [k], device)?,
            unit: network.param("prepare.unit", [k], device)?,
            blocks,
        })
    }

    /// A latent `[n, k, rows, columns]` to one that is worth more when quantised.
    pub(super) fn forward(&self, latent: Tensor<4>) -> Tensor<4> {
        let [_, k, _, _] = latent.dims();
        let scale = self.scale.val().reshape([1, k, 1, 1]);
        let unit = self.unit.val().reshape([1, k, 1, 1]);
        self.blocks.iter().fold(latent, |latent, block| {
            let more = block.forward(latent.clone() * scale.clone());
            latent + more * unit.clone()
        })
    }
}

impl Block {
    fn forward(&self, latent: Tensor<4>) -> Tensor<4> {
        let x = convolve_first(&self.expand, latent, After::Relu);
        let x = convolve_first(&self.spatial, x, After::Relu);
        convolve_first(&self.project, x, After::Nothing)
    }
}

//! The decoder's estimate of what quantising took away, from the whole latent.

use burn::module::{Module, Param};
use burn::nn::Linear;
use burn::nn::conv::Conv2d;
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor};

use crate::codec::{CodecError, Network};
use crate::products::{After, convolve_first};
use crate::resnet::pool;

/// Residual blocks on the dequantised latent. A block sees all channels at a position, their mean over
/// the picture, its eight neighbours and the quantiser's step, and adds a share of the step.
#[derive(Module, Debug)]
pub(super) struct Refine {
    /// Brings the channels to comparable magnitudes.
    scale: Param<Tensor<1>>,
    blocks: Vec<Block>,
}

#[derive(Module, Debug)]
struct Block {
    expand: Conv2d,
    context: Linear,
    step: Param<Tensor<1>>,
    spatial: Conv2d,
    project: Conv2d,
}

impl Refine {
    pub(super) fn load(network: &Network, k: usize, device: &Device) -> Result<Self, CodecError> {
        let hidden = network.config.refine_hidden;
        let blocks = (0..network.config.refine_blocks)
            .map(|index| {
                let name = |part: &str| format!("refine.{index}.{part}");
                Ok(Block {
                    expand: network.conv(&name("expand"), [k, hidden], 1, device)?,
                    context: network.linear(&name("context"), [k, hidden], false, device)?,
                    step: network.param(&name("step"), [hidden], device)?,
                    spatial: network.conv(&name("spatial"), [hidden, hidden], 3, device)?,
                    project: network.conv(&name("project"), [hidden, k], 1, device)?,
                })
            })
            .collect::<Result<_, CodecError>>()?;
        Ok(Self {
            scale: network.param("refine.scale", [k], device)?,
            blocks,
        })
    }

    /// A dequantised latent `[n, k, rows, columns]` and the step of each picture `[n, 1, 1, 1]` to
    /// a better latent.
    pub(super) fn forward(&self, latent: Tensor<4>, step: &Tensor<4>) -> Tensor<4> {
        let [_, k, _, _] = latent.dims();
        let scale = self.scale.val().reshape([1, k, 1, 1]);
        self.blocks.iter().fold(latent, |latent, block| {
            let more = block.forward(latent.clone() * scale.clone(), step);
            latent + more * step.clone()
        })
    }
}

impl Block {
    fn forward(&self, latent: Tensor<4>, step: &Tensor<4>) -> Tensor<4> {
        let context = self.context.forward(pool(latent.clone()));
        let [n, hidden] = context.dims();
        let rate = step.clone().log() * self.step.val().reshape([1, hidden, 1, 1]);
        let x = convolve_first(&self.expand, latent, After::Nothing);
        let x = x + context.reshape([n, hidden, 1, 1]) + rate;
        let x = convolve_first(&self.spatial, relu(x), After::Relu);
        convolve_first(&self.project, x, After::Nothing)
    }
}

//! What the device makes of the latent before it is quantised.

use cpu_kernels::{Activation, After, Conv};

use super::convolution;
use crate::codec::{CodecError, Network};

/// Residual blocks on the latent; its channels and those within the blocks are whole groups.
#[derive(Debug)]
pub(super) struct Prepare {
    blocks: Vec<Block>,
}

#[derive(Debug)]
struct Block {
    expand: Conv,
    spatial: Conv,
    project: Conv,
}

impl Prepare {
    pub(super) fn new(network: &Network, k: usize) -> Result<Self, CodecError> {
        let blocks = (0..network.config.prepare_blocks)
            .map(|index| Block::new(network, index, k))
            .collect::<Result<_, _>>()?;
        Ok(Self { blocks })
    }

    /// A latent to one that is worth more when quantised.
    pub(super) fn forward(&self, latent: Activation) -> Activation {
        self.blocks
            .iter()
            .fold(latent, |latent, block| block.forward(&latent))
    }
}

impl Block {
    /// What brings the channels to comparable magnitudes and back is done by the first and the last weights as well.
    fn new(network: &Network, index: usize, k: usize) -> Result<Self, CodecError> {
        let hidden = network.config.prepare_hidden;
        let scale = network.values("prepare.scale", &[k])?;
        let unit = network.values("prepare.unit", &[k])?;
        let part =
            |part: &str, shape: &[usize]| network.values(&format!("prepare.{index}.{part}"), shape);
        let expand: Vec<f32> = part("expand.weight", &[hidden, k, 1, 1])?
            .chunks_exact(k)
            .flat_map(|row| row.iter().zip(scale).map(|(weight, scale)| weight * scale))
            .collect();
        let project: Vec<f32> = part("project.weight", &[k, hidden, 1, 1])?
            .chunks_exact(hidden)
            .zip(unit)
            .flat_map(|(row, unit)| row.iter().map(move |weight| weight * unit))
            .collect();
        let bias: Vec<f32> = part("project.bias", &[k])?
            .iter()
            .zip(unit)
            .map(|(bias, unit)| bias * unit)
            .collect();
        let spatial = part("spatial.weight", &[hidden, hidden, 3, 3])?;
        Ok(Self {
            expand: convolution(&expand, part("expand.bias", &[hidden])?, [k, hidden], 1),
            spatial: convolution(spatial, part("spatial.bias", &[hidden])?, [hidden; 2], 3),
            project: convolution(&project, &bias, [hidden, k], 1),
        })
    }

    fn forward(&self, latent: &Activation) -> Activation {
        let first = After {
            pad: 1,
            ..After::RELU
        };
        let x = self.expand.forward(latent, first);
        let x = self.spatial.forward(&x, After::RELU);
        let sum = After {
            add: Some((latent, 1)),
            ..After::default()
        };
        self.project.forward(&x, sum)
    }
}

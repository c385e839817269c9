//! The decoder's estimate of what quantising took away.

use cpu_kernels::{Activation, After, Conv, mean};

use super::{convolution, multiply, whole_groups};
use crate::codec::{CodecError, Network};

/// Residual blocks on the dequantised latent; the channels of the latent and those within the
/// blocks are whole groups.
#[derive(Debug)]
pub(super) struct Refine {
    blocks: Vec<Block>,
}

#[derive(Debug)]
struct Block {
    expand: Conv,
    /// `[k, hidden]`.
    context: Vec<f32>,
    /// `[hidden]`.
    step: Vec<f32>,
    spatial: Conv,
    project: Conv,
}

impl Refine {
    pub(super) fn new(network: &Network, k: usize) -> Result<Self, CodecError> {
        let scale = network.values("refine.scale", &[k])?;
        let blocks = (0..network.config.refine_blocks)
            .map(|index| Block::new(network, index, scale))
            .collect::<Result<_, _>>()?;
        Ok(Self { blocks })
    }

    /// A dequantised latent and the step of each picture to a better latent.
    pub(super) fn forward(&self, latent: Activation, steps: &[f32]) -> Activation {
        self.blocks.iter().fold(latent, |latent, block| {
            let more = block.forward(&latent, steps);
            latent.plus(&more, steps)
        })
    }
}

impl Block {
    /// `scale` is what brings the channels to comparable magnitudes: the block's first weights do it as well.
    fn new(network: &Network, index: usize, scale: &[f32]) -> Result<Self, CodecError> {
        let (k, hidden) = (scale.len(), network.config.refine_hidden);
        let part =
            |part: &str, shape: &[usize]| network.values(&format!("refine.{index}.{part}"), shape);
        let conv = |name: &str, [inputs, outputs]: [usize; 2], kernel: usize| {
            let shape = [outputs, inputs, kernel, kernel];
            let weights = part(&format!("{name}.weight"), &shape)?;
            let bias = part(&format!("{name}.bias"), &[outputs])?;
            Ok::<_, CodecError>(convolution(weights, bias, [inputs, outputs], kernel))
        };
        let expand: Vec<f32> = part("expand.weight", &[hidden, k, 1, 1])?
            .chunks_exact(k)
            .flat_map(|row| row.iter().zip(scale).map(|(weight, scale)| weight * scale))
            .collect();
        let wide = whole_groups(hidden);
        let context = part("context.weight", &[k, hidden])?
            .chunks_exact(hidden)
            .zip(scale)
            .flat_map(|(row, scale)| {
                let row = row.iter().map(move |weight| weight * scale);
                row.chain(std::iter::repeat_n(0.0, wide - hidden))
            })
            .collect();
        let mut step = part("step", &[hidden])?.to_vec();
        step.resize(wide, 0.0);
        Ok(Self {
            expand: convolution(&expand, part("expand.bias", &[hidden])?, [k, hidden], 1),
            context,
            step,
            spatial: conv("spatial", [hidden, hidden], 3)?,
            project: conv("project", [hidden, k], 1)?,
        })
    }

    fn forward(&self, latent: &Activation, steps: &[f32]) -> Activation {
        let [n, k, rows, columns] = latent.shape();
        let hidden = self.step.len();
        let means = mean(latent);
        let mut more = Vec::with_capacity(n * hidden);
        for (means, step) in means.chunks_exact(k).zip(steps) {
            let step = step.ln();
            let mut sums: Vec<f32> = self.step.iter().map(|weight| step * weight).collect();
            multiply(means, &self.context, &mut sums);
            more.extend(sums);
        }
        let more = Activation::uniform(&more, [n, hidden, rows, columns]);
        let first = After {
            add: Some((&more, 1)),
            pad: 1,
            ..After::RELU
        };
        let x = self.expand.forward(latent, first);
        let x = self.spatial.forward(&x, After::RELU);
        self.project.forward(&x, After::default())
    }
}

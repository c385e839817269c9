//! A stage: residual blocks at one resolution.

use burn::module::Module;
use burn::tensor::{Device, Int, Tensor};

use super::Bottleneck;
use super::block::BlockConfig;
use crate::Variant;
use crate::weights::{Weights, WeightsError};

/// Blocks in each of the four stages of ResNet-50.
const BLOCKS: [usize; 4] = [3, 4, 6, 3];

/// One of the four stages.
#[derive(Module, Debug)]
pub struct Stage {
    blocks: Vec<Bottleneck>,
}

impl Stage {
    /// Builds stage `index` (0 to 3) from the tensors called `stage<index + 1>.<block>.*`.
    pub(super) fn load(
        variant: Variant,
        index: usize,
        weights: &Weights<'_>,
        device: &Device,
    ) -> Result<Self, WeightsError> {
        let width = 64 << index;
        let channels_in = if index == 0 { 64 } else { 2 * width };
        let last = BLOCKS[index] - 1;
        let blocks = (0..=last)
            .map(|block| {
                let first = block == 0;
                let stride = match variant {
                    // The next stage reads even positions only: compute no others.
                    Variant::V1 if block == last && index < 3 => 2,
                    Variant::V1_5 if first && index > 0 => 2,
                    _ => 1,
                };
                let config = BlockConfig {
                    channels_in: if first { channels_in } else { 4 * width },
                    width,
                    stride,
                    projected: first,
                };
                Bottleneck::load(
                    &format!("stage{}.{block}", index + 1),
                    config,
                    weights,
                    device,
                )
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { blocks })
    }

    /// The stage with these output channels only.
    pub(super) fn keeping(mut self, channels: &Tensor<1, Int>) -> Self {
        if let Some(last) = self.blocks.pop() {
            self.blocks.push(last.keeping(channels));
        }
        self
    }

    /// The blocks, one after the other.
    #[must_use]
    pub fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        self.blocks.iter().fold(input, |x, block| block.forward(x))
    }
}

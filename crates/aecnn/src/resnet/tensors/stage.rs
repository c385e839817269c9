//! A stage: residual blocks at one resolution.

use burn::module::Module;
use burn::tensor::{Device, Int, Tensor};

use super::block::Bottleneck;
use crate::Variant;
use crate::products::Layout;
use crate::resnet::plan;
use crate::weights::{Weights, WeightsError};

/// One of the four stages.
#[derive(Module, Debug)]
pub(crate) struct Stage {
    blocks: Vec<Bottleneck>,
}

impl Stage {
    /// Builds stage `index` (0 to 3) from the tensors called `stage<index + 1>.<block>.*`.
    pub(crate) fn load(
        variant: Variant,
        index: usize,
        weights: &Weights<'_>,
        device: &Device,
    ) -> Result<Self, WeightsError> {
        let blocks = plan::blocks(variant, index)
            .map(|(name, config)| Bottleneck::load(&name, config, weights, device))
            .collect::<Result<_, _>>()?;
        Ok(Self { blocks })
    }

    /// The stage with these output channels only.
    pub(crate) fn keeping(mut self, channels: &Tensor<1, Int>) -> Self {
        if let Some(last) = self.blocks.pop() {
            self.blocks.push(last.keeping(channels));
        }
        self
    }

    /// The blocks, one after the other.
    pub(crate) fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        let layout = Layout::of(&input.device());
        let output = self
            .blocks
            .iter()
            .fold(layout.enter(input), |x, block| block.forward(x, layout));
        layout.leave(output)
    }
}

//! The tail and its gradient by kernels for the processor.

use std::sync::Arc;

use burn::nn::Linear;
use burn::tensor::{Device, Tensor, TensorData};
use cpu_kernels::{Activation, After, Conv, Products, map, mean};

use crate::resnet::kernels::{Activations, Bottleneck};
use crate::resnet::plan::{self, BlockConfig, Convolutions};
use crate::resnet::{STAGES, load_head};
use crate::weights::{Weights, WeightsError};
use crate::{Split, Variant};

/// Everything behind a split, forth and back.
#[derive(Debug, Clone)]
pub(super) struct TailGradient {
    blocks: Arc<Vec<(Bottleneck, Reverse)>>,
    pub(super) head: Linear,
    device: Device,
}

/// The way back, with what it needs of the way forth.
#[derive(Debug)]
pub(super) struct Trace {
    tail: TailGradient,
    /// For each picture, block by block.
    pictures: Vec<Vec<Activations>>,
    shape: [usize; 4],
}

impl TailGradient {
    pub(super) fn load(
        variant: Variant,
        split: Split,
        classes: usize,
        weights: &Weights<'_>,
    ) -> Result<Self, WeightsError> {
        let device = Device::flex();
        let blocks = (split.stages()..STAGES)
            .flat_map(|index| plan::blocks(variant, index))
            .map(|(name, config)| {
                Ok((
                    Bottleneck::load(&name, config, weights, Products::Fine)?,
                    Reverse::load(&name, config, weights)?,
                ))
            })
            .collect::<Result<_, WeightsError>>()?;
        Ok(Self {
            blocks: Arc::new(blocks),
            head: load_head(classes, weights, &device)?,
            device,
        })
    }

    pub(super) fn forward(&self, feature: Tensor<4>) -> (Tensor<2>, Trace) {
        let shape = feature.dims();
        let [n, channels, height, width] = shape;
        let planes: Vec<f32> = feature.into_data().iter().collect();
        let length = channels * height * width;
        let pictures = map(n, |picture| {
            let planes = &planes[picture * length..][..length];
            let input = Activation::from_planes(planes, [1, channels, height, width], 0);
            let mut passed: Vec<Activations> = Vec::with_capacity(self.blocks.len());
            for (block, _) in self.blocks.iter() {
                let input = passed.last().map_or(&input, |last| &last.output);
                passed.push(block.activations(input));
            }
            // Without a block the feature itself is the answer's.
            let means = mean(passed.last().map_or(&input, |last| &last.output));
            (passed, means)
        });
        let (pictures, means): (Vec<_>, Vec<_>) = pictures.into_iter().unzip();
        let means = means.concat();
        let channels = means.len() / n.max(1);
        let means = Tensor::from_data(TensorData::new(means, [n, channels]), &self.device);
        let trace = Trace {
            tail: self.clone(),
            pictures,
            shape,
        };
        (self.head.forward(means), trace)
    }
}

impl Trace {
    pub(super) fn backward(&self, gradient: Tensor<2>) -> Tensor<4> {
        let tail = &self.tail;
        let [n, channels, height, width] = self.shape;
        let means = gradient.matmul(tail.head.weight.val().transpose());
        let [_, wide] = means.dims();
        let means: Vec<f32> = means.into_data().iter().collect();
        let planes = map(n, |picture| {
            let passed = &self.pictures[picture];
            let [_, _, rows, columns] =
                passed.last().map_or(self.shape, |last| last.output.shape());
            let share: Vec<f32> = means[picture * wide..][..wide]
                .iter()
                .map(|value| value / (rows * columns) as f32)
                .collect();
            let last = Activation::uniform(&share, [1, wide, rows, columns]);
            let blocks = tail.blocks.iter().zip(passed).rev();
            blocks
                .fold(last, |gradient, ((_, block), passed)| {
                    block.backward(passed, gradient)
                })
                .to_planes()
        });
        let shape = [n, channels, height, width];
        Tensor::from_data(TensorData::new(planes.concat(), shape), &tail.device)
    }
}

/// The way back through a bottleneck block.
#[derive(Debug)]
struct Reverse {
    convolutions: Convolutions<Conv>,
    stride: usize,
}

impl Reverse {
    fn load(name: &str, config: BlockConfig, weights: &Weights<'_>) -> Result<Self, WeightsError> {
        let convolutions = config.convolutions(|layer| {
            let [channels_in, channels_out] = layer.channels;
            let shape = [channels_out, channels_in, layer.kernel, layer.kernel];
            let values = weights.values(&format!("{name}.{}.weight", layer.name), &shape)?;
            Ok::<_, WeightsError>(Conv::transposed(&values, layer.channels, layer.kernel))
        })?;
        Ok(Self {
            convolutions,
            stride: config.stride,
        })
    }

    /// The gradient behind the block to that in front of it.
    fn backward(&self, passed: &Activations, gradient: Activation) -> Activation {
        let [_, _, height, width] = passed.first.shape();
        let spread = |gradient: Activation, pad| match (self.stride, pad) {
            (1, 0) => gradient,
            (step, pad) => gradient.spread(step, [height, width], pad),
        };
        let sum = gradient.where_positive(&passed.output);
        let plain = After::default();
        let block = &self.convolutions;
        let second = block
            .conv3
            .forward(&sum, plain)
            .where_positive(&passed.second);
        let first = block.conv2.forward(&spread(second, 1), plain);
        let first = first.where_positive(&passed.first);
        let around = match &block.shortcut {
            Some(conv) => conv.forward(&sum, plain),
            None => sum,
        };
        let after = After {
            add: Some((&spread(around, 0), 1)),
            ..plain
        };
        block.conv1.forward(&first, after)
    }
}

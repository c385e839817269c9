//! The tail and its gradient by burn's operations, without what tracking each of them would cost.

use std::sync::Arc;

use burn::nn::Linear;
use burn::tensor::{Device, FloatDType, Tensor};

use crate::products::{After, convolve, kept, spaced};
use crate::resnet::plan::{self, BlockConfig, Convolutions};
use crate::resnet::precision::Precision;
use crate::resnet::{STAGES, load_head};
use crate::weights::{Weights, WeightsError};
use crate::{Split, Variant};

/// Everything behind a split, forth and back.
#[derive(Debug, Clone)]
pub(super) struct TailGradient {
    blocks: Arc<Vec<Block>>,
    pub(super) head: Linear,
    precision: Precision,
}

/// The way back, with what it needs of the way forth; images have channels last.
#[derive(Debug)]
pub(super) struct Trace {
    tail: TailGradient,
    passed: Vec<Passed>,
    /// What the global average was taken of.
    last: [usize; 4],
}

impl TailGradient {
    pub(super) fn load(
        variant: Variant,
        split: Split,
        classes: usize,
        weights: &Weights<'_>,
        precision: Precision,
        device: &Device,
    ) -> Result<Self, WeightsError> {
        let blocks = (split.stages()..STAGES)
            .flat_map(|index| plan::blocks(variant, index))
            .map(|(name, config)| Block::load(&name, config, weights, precision, device))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            blocks: Arc::new(blocks),
            head: load_head(classes, weights, device)?,
            precision,
        })
    }

    pub(super) fn forward(&self, feature: Tensor<4>) -> (Tensor<2>, Trace) {
        let mut image = feature.cast(self.precision.forth()).permute([0, 2, 3, 1]);
        let mut passed: Vec<Passed> = Vec::with_capacity(self.blocks.len());
        for block in self.blocks.iter() {
            let by_block = block.forward(image);
            image = by_block.output.clone();
            passed.push(by_block);
        }
        let last @ [n, rows, columns, channels] = image.dims();
        let means = image
            .cast(FloatDType::F32)
            .reshape([n, rows * columns, channels])
            .mean_dim(1)
            .squeeze_dim(1);
        let trace = Trace {
            tail: self.clone(),
            passed,
            last,
        };
        (self.head.forward(means), trace)
    }
}

impl Trace {
    pub(super) fn backward(self, gradient: Tensor<2>) -> Tensor<4> {
        let Self { tail, passed, last } = self;
        let [n, rows, columns, channels] = last;
        let share = gradient.matmul(tail.head.weight.val().transpose()) / (rows * columns) as f32;
        let share = share.cast(tail.precision.back());
        let last = share
            .reshape([n, 1, 1, channels])
            .expand([n, rows, columns, channels]);
        let blocks = tail.blocks.iter().zip(passed).rev();
        blocks
            .fold(last, |gradient, (block, passed)| {
                block.backward(passed, gradient)
            })
            .permute([0, 3, 1, 2])
            .cast(FloatDType::F32)
    }
}

/// A bottleneck block.
#[derive(Debug)]
struct Block {
    convolutions: Convolutions<Product>,
    stride: usize,
}

/// What came out of a block's convolutions, after ReLU.
#[derive(Debug)]
struct Passed {
    first: Tensor<4>,
    second: Tensor<4>,
    output: Tensor<4>,
}

impl Block {
    fn load(
        name: &str,
        config: BlockConfig,
        weights: &Weights<'_>,
        precision: Precision,
        device: &Device,
    ) -> Result<Self, WeightsError> {
        let convolutions = config.convolutions(|layer| {
            let name = format!("{name}.{}", layer.name);
            let [inputs, outputs] = layer.channels;
            let shape = [outputs, inputs, layer.kernel, layer.kernel];
            let weight = weights.tensor(&format!("{name}.weight"), shape, device)?;
            let bias = weights.tensor(&format!("{name}.bias"), [outputs], device)?;
            Ok::<_, WeightsError>(Product::new(weight, bias, layer.stride, precision))
        })?;
        Ok(Self {
            convolutions,
            stride: config.stride,
        })
    }

    fn forward(&self, input: Tensor<4>) -> Passed {
        let block = &self.convolutions;
        let first = block.conv1.forward(input.clone(), After::Relu);
        let second = block.conv2.forward(first.clone(), After::Relu);
        let (shortcut, stride) = match &block.shortcut {
            Some(product) => (product.forward(input, After::Nothing), 1),
            None => (input, self.stride),
        };
        let shortcut = &shortcut;
        let after = After::AddRelu { shortcut, stride };
        let output = block.conv3.forward(second.clone(), after);
        Passed {
            first,
            second,
            output,
        }
    }

    /// The gradient behind the block to that in front of it.
    fn backward(&self, passed: Passed, gradient: Tensor<4>) -> Tensor<4> {
        let [_, height, width, _] = passed.first.dims();
        let size = [height, width];
        let block = &self.convolutions;
        let sum = where_positive(gradient, passed.output);
        let [_, rows, columns, _] = sum.dims();
        let second = block.conv3.backward(sum.clone(), [rows, columns]);
        let first = block
            .conv2
            .backward(where_positive(second, passed.second), size);
        let through = block
            .conv1
            .backward(where_positive(first, passed.first), size);
        let around = match &block.shortcut {
            Some(product) => product.backward(sum, size),
            None => spaced(sum, self.stride, size),
        };
        through + around
    }
}

/// The gradient where a ReLU let something through.
fn where_positive(gradient: Tensor<4>, passed: Tensor<4>) -> Tensor<4> {
    gradient.mask_fill(passed.equal_elem(0.0), 0.0)
}

/// A convolution padded by half its kernel, forth and back.
#[derive(Debug)]
struct Product {
    forth: Tensor<4>,
    bias: Tensor<1>,
    back: Tensor<4>,
    stride: usize,
}

impl Product {
    /// Weights `[o, c, kernel, kernel]` and bias `[o]`.
    fn new(weight: Tensor<4>, bias: Tensor<1>, stride: usize, precision: Precision) -> Self {
        // What an input has a share in lies the other way round.
        let transposed = weight.clone().permute([1, 0, 2, 3]).flip([2, 3]);
        Self {
            forth: kept(weight).cast(precision.forth()),
            bias: bias.cast(precision.forth()),
            back: kept(transposed).cast(precision.back()),
            stride,
        }
    }

    fn kernel(&self) -> usize {
        let [.., kernel] = self.forth.dims();
        kernel
    }

    /// `[n, height, width, c]` to `[n, rows, columns, o]`, and what is made of it.
    fn forward(&self, image: Tensor<4>, after: After<'_>) -> Tensor<4> {
        let form = [self.stride, self.kernel() / 2];
        convolve(
            image,
            self.forth.clone(),
            Some(self.bias.clone()),
            form,
            after,
        )
    }

    /// The gradient with respect to what comes out to that with respect to what went in, of this size.
    fn backward(&self, gradient: Tensor<4>, size: [usize; 2]) -> Tensor<4> {
        let form = [1, self.kernel() / 2];
        let product = |gradient| convolve(gradient, self.back.clone(), None, form, After::Nothing);
        match self.kernel() {
            1 => spaced(product(gradient), self.stride, size),
            _ => product(spaced(gradient, self.stride, size)),
        }
    }
}

//! Some rows of a feature, from the rows of the picture that they depend on.

use std::ops::Range;

use burn::tensor::{Tensor, TensorData};
use cpu_kernels::{Activation, After, Conv, max_pool, within};

use super::{Bottleneck, Layers, STEM, STEM_PAD, planes};

/// A layer's kernel, as far as it matters which of its input's rows it reads; padded by half of it.
#[derive(Debug, Clone, Copy)]
struct Reach {
    kernel: usize,
    stride: usize,
}

/// What a picture goes through, one after the other.
#[derive(Debug, Clone, Copy)]
enum Layer<'a> {
    Stem(&'a Conv),
    Pool,
    Block(&'a Bottleneck),
}

impl Layer<'_> {
    fn reach(self) -> Reach {
        let (kernel, stride) = match self {
            Self::Stem(_) => (STEM.kernel, STEM.stride),
            Self::Pool => (3, 2),
            // Of its three convolutions one reaches beyond a pixel.
            Self::Block(block) => (3, block.stride),
        };
        Reach { kernel, stride }
    }

    /// The border that what it reads must have.
    fn pad(self) -> usize {
        match self {
            Self::Stem(_) => STEM_PAD,
            Self::Pool => 1,
            Self::Block(_) => 0,
        }
    }

    fn forward(self, input: &Activation) -> Activation {
        match self {
            Self::Stem(conv) => conv.forward(input, After::RELU),
            Self::Pool => max_pool(input),
            Self::Block(block) => block.forward(input),
        }
    }
}

impl Reach {
    /// Rows that come out where `height` come in.
    fn height(self, height: usize) -> usize {
        height.div_ceil(self.stride)
    }

    /// Rows, of `height`, that rows `wanted` depend on; and as many more before as it takes for the first to be one at
    /// which the stride begins.
    fn reads(self, wanted: &Range<usize>, height: usize) -> Range<usize> {
        let Self { kernel, stride } = self;
        let reach = kernel / 2;
        let first = (wanted.start * stride).saturating_sub(reach);
        let end = wanted.end.saturating_sub(1) * stride + reach + 1;
        first / stride * stride..end.min(height)
    }
}

impl Layers {
    /// Rows `wanted` of what comes out of the last layer, for one picture `[1, channels, height, width]`.
    ///
    /// # Panics
    ///
    /// When there are several pictures, or no such rows.
    pub(in crate::resnet) fn rows(&self, input: Tensor<4>, wanted: Range<usize>) -> Tensor<4> {
        let device = input.device();
        let shape = input.dims();
        let data = input.into_data();
        let last = within(|| self.strip(&planes(&data), shape, wanted));
        let data = TensorData::new(last.to_planes(), last.shape());
        Tensor::from_data(data, &device)
    }

    fn strip(&self, planes: &[f32], shape: [usize; 4], wanted: Range<usize>) -> Activation {
        let [pictures, channels, height, width] = shape;
        assert_eq!(pictures, 1, "pictures");
        let mut layers = Vec::new();
        if let Some(conv) = self.stem.as_deref() {
            layers.extend([Layer::Stem(conv), Layer::Pool]);
        }
        let blocks = self.stages.iter().flat_map(|stage| stage.iter());
        layers.extend(blocks.map(Layer::Block));

        // From the back: which rows of its input each layer needs.
        let mut heights = vec![height];
        for layer in &layers {
            heights.push(layer.reach().height(heights[heights.len() - 1]));
        }
        assert!(
            wanted.start <= wanted.end && wanted.end <= heights[layers.len()],
            "rows {wanted:?}"
        );
        let mut rows = vec![wanted];
        for (layer, height) in layers.iter().zip(&heights).rev() {
            rows.push(layer.reach().reads(&rows[rows.len() - 1], *height));
        }
        rows.reverse();

        let pad_of = |layer: usize| layers.get(layer).map_or(0, |layer| layer.pad());
        let mut read = rows[0].clone();
        let some: Vec<f32> = planes
            .chunks_exact(height * width)
            .flat_map(|plane| &plane[read.start * width..read.end * width])
            .copied()
            .collect();
        let shape = [1, channels, read.len(), width];
        let mut strip = Activation::from_planes(&some, shape, pad_of(0));
        for (index, (layer, wanted)) in layers.iter().zip(&rows[1..]).enumerate() {
            // Rows beside those wanted lack what lies beyond the strip.
            let before = read.start / layer.reach().stride;
            let of = wanted.start - before..wanted.end - before;
            strip = layer.forward(&strip).rows(of, pad_of(index + 1));
            read = wanted.clone();
        }
        strip
    }
}

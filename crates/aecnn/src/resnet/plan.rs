//! Which blocks a stage has.

use crate::Variant;

/// Blocks in each of the four stages of ResNet-50.
const BLOCKS: [usize; 4] = [3, 4, 6, 3];

/// What makes one block differ from another.
#[derive(Debug, Clone, Copy)]
pub(super) struct BlockConfig {
    /// Channels that come in.
    pub(super) channels_in: usize,
    /// Channels inside; four times as many go out.
    pub(super) width: usize,
    /// The stride of the 3x3 convolution and of the shortcut.
    pub(super) stride: usize,
    /// Whether the shortcut is a 1x1 convolution; otherwise it is the identity.
    pub(super) projected: bool,
}

/// A convolution of a block.
#[derive(Debug, Clone, Copy)]
pub(super) struct Layer {
    /// Its tensors are called `block.name.*`.
    pub(super) name: &'static str,
    /// In and out.
    pub(super) channels: [usize; 2],
    pub(super) kernel: usize,
    pub(super) stride: usize,
}

/// A block's convolutions, in whatever form.
#[derive(Debug)]
pub(super) struct Convolutions<Conv> {
    pub(super) conv1: Conv,
    pub(super) conv2: Conv,
    pub(super) conv3: Conv,
    pub(super) shortcut: Option<Conv>,
}

impl BlockConfig {
    /// The block's convolutions, each as `load` makes it.
    pub(super) fn convolutions<Conv, Error>(
        self,
        load: impl Fn(Layer) -> Result<Conv, Error>,
    ) -> Result<Convolutions<Conv>, Error> {
        let layer = |name, channels, kernel, stride| {
            load(Layer {
                name,
                channels,
                kernel,
                stride,
            })
        };
        let (from, width, to) = (self.channels_in, self.width, 4 * self.width);
        Ok(Convolutions {
            conv1: layer("conv1", [from, width], 1, 1)?,
            conv2: layer("conv2", [width, width], 3, self.stride)?,
            conv3: layer("conv3", [width, to], 1, 1)?,
            shortcut: (self.projected)
                .then(|| layer("shortcut", [from, to], 1, self.stride))
                .transpose()?,
        })
    }
}

/// The blocks of stage `index` (0 to 3); the name of each begins its tensors' names.
pub(super) fn blocks(
    variant: Variant,
    index: usize,
) -> impl Iterator<Item = (String, BlockConfig)> {
    let width = 64 << index;
    let channels_in = if index == 0 { 64 } else { 2 * width };
    let last = BLOCKS[index] - 1;
    (0..=last).map(move |block| {
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
        (format!("stage{}.{block}", index + 1), config)
    })
}

//! Inference: what is computed, by whom, in which order.
//!
//! A frame's way through here: [`Queue::admit`] -> [`Queue::submit`] -> [`batch`] ([`Waiting`]) ->
//! [`Engine::run`] ([`Networks`]: restore, tail) -> [`top_k`](aecnn::classes::top_k).

mod batch;
mod networks;
mod queue;

pub use batch::{Entry, Waiting};
pub use networks::{Backbones, Networks};
pub use queue::{Finished, Inference, Queue, QueueError, Rules, StartError, Ticket};

use std::time::Duration;

use aecnn::Split;
use feature_codec::Symbol;

/// Which codec of which model, as indices into the catalogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CodecId {
    /// Index of the model in the catalogue.
    pub model: usize,
    /// Index of the codec in the model's manifest.
    pub codec: usize,
}

/// What one client wants computed.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// A feature, as the symbols of its latent.
    Latent {
        /// The codec that made it.
        codec: CodecId,
        /// Where that codec cuts the network.
        split: Split,
        /// Index of the codec's rate.
        rate: usize,
        /// Channel-major symbols of the first channels; how many follows from the length.
        symbols: Vec<Symbol>,
    },
    /// A feature as it is, not compressed.
    Feature {
        /// Index of the model in the catalogue.
        model: usize,
        /// Where the network is cut.
        split: Split,
        /// The feature's values, of the shape that the model's variant has at this split.
        values: Vec<f32>,
    },
    /// A whole picture: the network's input, 3 planes of 224x224.
    Picture {
        /// Index of the model in the catalogue.
        model: usize,
        /// The planes, one behind the other.
        planes: Vec<f32>,
    },
}

impl Input {
    /// The model that the input is for. Inputs of one model can be computed in one batch.
    #[must_use]
    pub fn model(&self) -> usize {
        match self {
            Self::Latent { codec, .. } => codec.model,
            Self::Feature { model, .. } | Self::Picture { model, .. } => *model,
        }
    }

    /// Behind which split the input enters the network; `None` for a picture, which passes
    /// through the whole of it. In the order of the layers.
    #[must_use]
    pub fn entry(&self) -> Option<Split> {
        match self {
            Self::Latent { split, .. } | Self::Feature { split, .. } => Some(*split),
            Self::Picture { .. } => None,
        }
    }
}

/// What a batch gave.
#[derive(Debug, Clone, PartialEq)]
pub struct Output {
    /// The logits, one vector an input, in the inputs' order.
    pub logits: Vec<Vec<f32>>,
    /// Time for the codecs' decoder networks.
    pub restore: Duration,
    /// Time for the rest of the network.
    pub tail: Duration,
}

/// An engine that could not compute a batch.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// An input names something that the engine has not loaded: a fault of the server.
    #[error("the input names a model, codec or rate that is not loaded")]
    Unknown,
    /// The result has another shape than the inputs ask for: a fault of the server.
    #[error("the network gave {got} values where {expected} were expected")]
    Shape {
        /// Values that were expected.
        expected: usize,
        /// Values that came.
        got: usize,
    },
    /// The device refused, such as when its memory is full.
    #[error("the device could not compute: {0}")]
    Device(String),
    /// Weights that do not load.
    #[error(transparent)]
    Weights(#[from] aecnn::weights::WeightsError),
    /// A codec that does not load.
    #[error(transparent)]
    Codec(#[from] aecnn::codec::CodecError),
}

/// Something that computes batches. It is built and used on one thread of its own.
pub trait Engine {
    /// Computes inputs of one model, whatever the splits behind which they enter.
    ///
    /// # Errors
    ///
    /// When the batch cannot be computed; the engine must be usable afterwards.
    fn run(&mut self, inputs: &[&Input]) -> Result<Output, EngineError>;
}

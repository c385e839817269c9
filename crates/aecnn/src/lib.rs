//! The networks of AECNN: ResNet-50 cut at its splits, and the feature encoders and decoders
//! that stand at the cut.
//!
//! Both sides of the link use this crate. The device runs [`preprocess`], a [`resnet::Front`]
//! and a [`codec::Encoder`]; the edge server runs a [`codec::Decoder`] and a [`resnet::Tail`].
//! Nothing here knows of sockets, browsers or files: weights and codecs come in as bytes.
//!
//! The method is the paper "Attention-based Feature Compression for CNN Inference Offloading in
//! Edge Computing" (arXiv 2211.13745).

pub mod classes;
pub mod codec;
pub mod digest;
pub mod learned;
pub mod manifest;
pub mod preprocess;
mod products;
mod recorded;
pub mod resnet;
mod split;
pub mod weights;

#[cfg(all(feature = "cpu", not(target_family = "wasm")))]
pub use cpu_kernels::start_threads;
pub use recorded::{Recorded, records};
pub use split::{FeatureShape, Split, UnknownSplit, Variant};

//! Feature codecs: a linear analysis on the device, quantisation, frozen tables, a synthesis on
//! the server. One [`CodecFile`] serves both sides.
//!
//! ```text
//! feature -> Encoder -> latent -> quantise -> Tables::encode -> payload
//! feature <- Decoder <- symbols <------------ Tables::decode <- payload
//! ```

mod decoder;
mod encoder;
mod file;
#[cfg(feature = "cpu")]
mod kernels;
mod network;
mod quantise;
pub mod tensors;

pub use decoder::Decoder;
pub use encoder::Encoder;
pub use file::{CodecError, CodecFile, MAX_RATES, METADATA_KEY, Method, Rate, Transform, VERSIONS};
pub use network::{Network, NetworkConfig};
pub use quantise::{dequantise, quantise};

//! The networks of a codec by burn's operations: on any device, and as modules that can be trained.

mod attention;
mod decoder;
mod encoder;
mod prepare;
mod refine;

pub use attention::Attention;
pub use decoder::Decoder;
pub use encoder::Encoder;

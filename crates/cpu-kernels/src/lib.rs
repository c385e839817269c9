//! Convolutions for the processor that this runs on: in a browser without WebGPU, and on a server
//! without a graphics card.
//!
//! Activations lie channel by channel within a pixel ([`Activation`]), so that what a row of a
//! convolution's kernel reads is one contiguous run. Weights are packed once. Products are of 16-bit
//! fixed-point numbers where the processor has twice as many of these at once as of single precision
//! (x86 and WebAssembly, not ARM); results are then within some ten-thousandths. Bias, residual and ReLU are
//! applied to values that are still in registers. The instruction set is chosen when the program runs,
//! by [`pulp`].
//!
//! A picture's values depend neither on the other pictures of a batch nor on the number of
//! threads.

mod activation;
mod arch;
mod blocks;
mod conv;
mod kernel;
#[cfg(test)]
mod noise;
mod parallel;
mod pool;
mod winograd;

pub use activation::Activation;
pub use conv::{After, Conv, Products};
#[cfg(not(target_family = "wasm"))]
pub use parallel::start_threads;
pub use parallel::{map, within};
pub use pool::{max_pool, mean};

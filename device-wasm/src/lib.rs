//! The device in the browser: it runs the front of the network, encodes the feature, codes it and
//! streams it to an edge server.
//!
//! A frame's way, each step a function of that name: capture ([`capture`]), preprocess, front,
//! encode, quantise, code (entropy coding and framing; all in [`encode`]), send ([`session`]).
//!
//! Everything that decides something is plain Rust and is tested natively. What touches the
//! browser is thin and stands in `browser`, which is compiled for wasm32 only.

pub mod capture;
pub mod clock;
pub mod encode;
pub mod error;
pub mod model;
pub mod session;

#[cfg(target_arch = "wasm32")]
mod browser;

#[cfg(all(target_arch = "wasm32", not(any(feature = "cpu", feature = "webgpu"))))]
compile_error!("choose a backend: `--features webgpu`, `cpu` or `simd`");

//! The device in the browser: it runs the front of the network, encodes the feature, codes it and
//! streams it to an edge server.
//!
//! A frame's way, each step a function of that name: capture ([`capture`]), preprocess, front,
//! encode, quantise, code (entropy coding and framing; all in [`encode`]), send ([`session`], where the user
//! dialled a link in through [`link`]). A frame may go another [`way`]; which one is [`offload`]'s to choose.
//!
//! Everything that decides something is plain Rust and is tested natively. What touches the
//! browser is thin and stands in `browser`, which is compiled for wasm32 only.

pub mod attention;
pub mod capture;
pub mod clock;
pub mod encode;
pub mod error;
pub mod link;
pub mod model;
pub mod models;
pub mod offload;
pub mod session;
pub mod steps;
pub mod strips;
pub mod way;
pub mod whole;

#[cfg(target_arch = "wasm32")]
mod browser;

#[cfg(all(target_arch = "wasm32", not(any(feature = "cpu", feature = "webgpu"))))]
compile_error!("choose a backend: `--features webgpu`, `cpu` or `simd`");

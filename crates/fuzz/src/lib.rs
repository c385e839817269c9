//! Fuzzing without a special compiler: every parser that reads a stranger's bytes, run on examples
//! that were changed at random, a bounded number of times.
//!
//! It is blind: it does not see which code an input reaches. What it has instead is examples that
//! are right, from which a few changed bytes lead deep into each parser. (`crates/feature-codec/fuzz`
//! has a target for `cargo fuzz`, which does see.)

#![forbid(unsafe_code)]

pub mod codec_file;
pub mod mutate;
pub mod run;
pub mod targets;

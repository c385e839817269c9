//! Quantised feature symbols to bytes and back.
//!
//! A feature's symbols are small integers, `channels x rows x columns`, channel after channel, the most important
//! channel first. Every channel has one or several frozen integer frequency tables ([`Channel`], [`Table`]);
//! which of them codes a symbol follows from the symbols before it ([`Context`]). [`Tables::encode`] codes
//! the symbols with rANS against them and [`Tables::decode`] reads them back. No floating-point number takes
//! part, so the bytes mean the same on every machine, in WASM as natively.
//!
//! ```
//! use feature_codec::{Counts, Geometry, Tables};
//!
//! // Two channels; the counts of the symbols -1, 0, 1 in some training set.
//! let tables = Tables::from_counts(&[
//!     Counts { min: -1, counts: vec![200, 600, 200] },
//!     Counts { min: -1, counts: vec![10, 980, 10] },
//! ])?;
//! let symbols = [0, -1, 1, 0, /* channel 1: */ 0, 0, 700, 0];
//! let geometry = Geometry { channels: 2, rows: 2, columns: 2 };
//! let payload = tables.encode(&symbols, geometry)?;
//! assert_eq!(tables.decode(&payload, geometry)?, symbols);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The payload
//!
//! One rANS state of 64 bits ([`constriction`]'s `AnsCoder<u32, u64>`, [`PRECISION`] bits of probability) that
//! starts at zero, so that a payload is at most three bytes longer than its symbols' information. The bytes are
//! the coder's 32-bit words, little-endian, in the order in which the encoder wrote them; the most significant
//! zero bytes of the last word, which is the state's, are left out. A decoder reads from the end of the
//! payload. The encoder codes the last symbol first: the decoder meets channel 0 first.
//!
//! A symbol outside its channel's table is coded as the table's escape entry and then its distance from the
//! table, in an Elias gamma code, so that all of [`Symbol`]'s range round-trips.
//!
//! # Trust
//!
//! [`Tables::from_bytes`] and [`Tables::decode`] take any bytes: they check before they allocate, never panic
//! and do at most [`MAX_SYMBOLS`] symbols' work. rANS has no checksum of its own. A payload that an encoder
//! did not write almost always ends with a state other than zero, which is an error, but not always: what
//! must be certain is for a layer above to check. (WebSocket and HTTP run over TCP, which does.)
//!
//! # Golden vectors
//!
//! `tests/golden/*.txt` hold counts, tables, symbols and payloads. They are checked natively by
//! `cargo test -p feature-codec --test golden`, and in WASM by
//!
//! ```text
//! cargo build --release -p feature-codec --example golden --target wasm32-unknown-unknown
//! node crates/feature-codec/tests/golden.mjs target/wasm32-unknown-unknown/release/examples/golden.wasm
//! ```
//!
//! `docs/PROTOCOL.md` describes the format for other implementations, with one in JavaScript, which
//! `node crates/feature-codec/tests/protocol.mjs` checks on the same vectors.

#![forbid(unsafe_code)]

mod bytes;
mod channel;
mod coder;
mod context;
mod error;
mod escape;
mod geometry;
mod normalise;
mod table;
mod tables;

pub use channel::{Channel, ChannelCounts, class_of};
pub use context::{CLASSES, Context, Walk};
pub use error::{DecodeError, EncodeError, TableError};
pub use geometry::Geometry;
pub use normalise::Counts;
pub use table::{MAX_TABLE_SYMBOLS, Table};
pub use tables::{MAX_CHANNELS, MAX_SYMBOLS, Tables, contexts};

/// A quantised coefficient.
pub type Symbol = i16;

/// Bits of a probability: frequencies are in units of 2^-16, so that a channel which is nearly always zero
/// costs less than a ten-thousandth of a bit a symbol.
pub const PRECISION: usize = 16;

/// What the frequencies of a table add up to.
pub(crate) const TOTAL: u32 = 1 << PRECISION;

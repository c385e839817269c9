//! What can be wrong with tables, symbols and payloads.

use crate::{Geometry, MAX_CHANNELS, MAX_SYMBOLS, MAX_TABLE_SYMBOLS};

/// Why tables could not be built or read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TableError {
    /// No channel at all, or too many.
    #[error("{channels} channels; there must be 1 to {MAX_CHANNELS}")]
    Channels {
        /// How many there are.
        channels: usize,
    },
    /// A channel whose counts are all zero: nothing can be said about its symbols.
    #[error("channel {channel}: no symbol was counted")]
    NothingCounted {
        /// Which channel.
        channel: usize,
    },
    /// A table that holds no symbol, too many, or one outside the symbols' range.
    #[error(
        "channel {channel}: {symbols} symbols from {min}; there must be 1 to {MAX_TABLE_SYMBOLS}, none above 32767"
    )]
    Range {
        /// Which channel.
        channel: usize,
        /// The first symbol.
        min: i16,
        /// How many symbols.
        symbols: usize,
    },
    /// Frequencies that include a zero or leave nothing for the escape entry.
    #[error(
        "channel {channel}: frequencies must be at least 1 and leave at least 1 of 65536 to the escape"
    )]
    Frequencies {
        /// Which channel.
        channel: usize,
    },
    /// Classes of contexts that name tables in a way that the format does not allow.
    #[error("channel {channel}: its classes do not name its tables in order, each at least once")]
    Classes {
        /// Which channel.
        channel: usize,
    },
    /// A version of the format that this library does not read.
    #[error("tables of format version {version}; this library reads version 2")]
    Version {
        /// The version found.
        version: u8,
    },
    /// The bytes end before the tables do.
    #[error("the bytes end in the middle of the tables")]
    Truncated,
    /// There are bytes left after the tables.
    #[error("{bytes} bytes follow the tables")]
    Trailing {
        /// How many.
        bytes: usize,
    },
    /// A number is written in a way that the format does not allow.
    #[error("channel {channel}: a number is too large or not written in its shortest form")]
    Number {
        /// Which channel.
        channel: usize,
    },
}

/// Why symbols could not be coded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// More channels than there are tables.
    #[error("{channels} channels, but there are tables for {tables}")]
    Channels {
        /// Channels asked for.
        channels: usize,
        /// Channels there are tables for.
        tables: usize,
    },
    /// More symbols than one payload may hold.
    #[error("{0} symbols; a payload holds at most {MAX_SYMBOLS}")]
    TooMany(Geometry),
    /// The symbols are not as many as the geometry has.
    #[error("{symbols} symbols for {geometry}")]
    Shape {
        /// Symbols given.
        symbols: usize,
        /// What they should fill.
        geometry: Geometry,
    },
    /// The entropy coder refused a frequency: a fault of this library, never of the symbols.
    #[error("the entropy coder refused a frequency: a fault of this library")]
    Coder,
}

/// Why a payload could not be decoded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// More channels than there are tables.
    #[error("{channels} channels, but there are tables for {tables}")]
    Channels {
        /// Channels asked for.
        channels: usize,
        /// Channels there are tables for.
        tables: usize,
    },
    /// More symbols than one payload may hold.
    #[error("{0} symbols; a payload holds at most {MAX_SYMBOLS}")]
    TooMany(Geometry),
    /// Longer than any payload of so many symbols.
    #[error("{bytes} bytes; no payload of so many symbols has more than {limit}")]
    TooLong {
        /// Bytes of the payload.
        bytes: usize,
        /// [`Tables::max_payload`](crate::Tables::max_payload).
        limit: usize,
    },
    /// The last byte is zero, which no encoder writes.
    #[error("the last byte is zero: the payload was cut or padded")]
    ZeroLastByte,
    /// An escaped symbol lies outside the symbols' range.
    #[error("symbol {index} lies outside the range of symbols: the payload is damaged")]
    Symbol {
        /// Which symbol, counted from the first of channel 0.
        index: usize,
    },
    /// All symbols are read and whole words are left.
    #[error("{bytes} bytes or more are left after the last symbol")]
    Trailing {
        /// How many.
        bytes: usize,
    },
    /// All bytes are read, but not as an encoder leaves them.
    #[error(
        "the payload does not end with its last symbol: bytes are missing, damaged or too many"
    )]
    Unfinished,
}

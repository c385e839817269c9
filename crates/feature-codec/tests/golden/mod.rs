//! The golden vectors and the check of them: one body for the native test, `tests/golden.rs`, and for the one
//! in WASM, `examples/golden.rs`.
//!
//! A vector is a text file with one line for each of
//!
//! - `counts MIN: C C ...`, once a channel: what the tables are frozen from;
//! - `tables HEX`: the tables' bytes;
//! - `geometry CHANNELS POSITIONS`;
//! - `symbols S S ...`, once a channel that is coded;
//! - `payload HEX`.

use feature_codec::{Counts, Symbol, Tables};

/// Names and texts of the vectors.
pub const VECTORS: [(&str, &str); 4] = [
    ("laplacian", include_str!("laplacian.txt")),
    ("prefix", include_str!("prefix.txt")),
    ("escapes", include_str!("escapes.txt")),
    ("certain", include_str!("certain.txt")),
];

/// One vector.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Vector {
    pub counts: Vec<Counts>,
    pub tables: Vec<u8>,
    pub channels: usize,
    pub positions: usize,
    pub symbols: Vec<Symbol>,
    pub payload: Vec<u8>,
}

/// Reads a vector; `None` where its text is not of the form above.
pub fn parse(text: &str) -> Option<Vector> {
    let mut vector = Vector::default();
    for line in text.lines() {
        let (what, rest) = line.split_once(' ').unwrap_or((line, ""));
        match what {
            "counts" => {
                let (min, counts) = rest.split_once(':')?;
                vector.counts.push(Counts {
                    min: min.parse().ok()?,
                    counts: numbers(counts)?,
                });
            }
            "tables" => vector.tables = bytes(rest)?,
            "geometry" => {
                let (channels, positions) = rest.split_once(' ')?;
                vector.channels = channels.parse().ok()?;
                vector.positions = positions.parse().ok()?;
            }
            "symbols" => vector.symbols.extend(numbers::<Symbol>(rest)?),
            "payload" => vector.payload = bytes(rest)?,
            _ => return None,
        }
    }
    Some(vector)
}

/// Checks that counts freeze to the tables, symbols code to the payload, and both read back; says what does not.
pub fn check(vector: &Vector) -> Result<(), &'static str> {
    let Vector {
        counts,
        tables: bytes,
        channels,
        positions,
        symbols,
        payload,
    } = vector;
    let tables = Tables::from_counts(counts).map_err(|_| "the counts are refused")?;
    ensure(
        tables.to_bytes() == *bytes,
        "the counts freeze to other tables",
    )?;
    ensure(
        Tables::from_bytes(bytes).as_ref() == Ok(&tables),
        "the tables read back otherwise",
    )?;
    let coded = tables
        .encode(symbols, *channels, *positions)
        .map_err(|_| "the symbols are refused")?;
    ensure(coded == *payload, "the symbols code to another payload")?;
    let decoded = tables
        .decode(payload, *channels, *positions)
        .map_err(|_| "the payload is refused")?;
    ensure(decoded == *symbols, "the payload decodes to other symbols")
}

fn ensure(holds: bool, otherwise: &'static str) -> Result<(), &'static str> {
    if holds { Ok(()) } else { Err(otherwise) }
}

fn numbers<N: std::str::FromStr>(text: &str) -> Option<Vec<N>> {
    text.split_whitespace()
        .map(|number| number.parse().ok())
        .collect()
}

fn bytes(hex: &str) -> Option<Vec<u8>> {
    let digit = |c: u8| char::from(c).to_digit(16);
    let byte = |pair: &[u8]| match pair {
        [high, low] => u8::try_from(digit(*high)? << 4 | digit(*low)?).ok(),
        _ => None,
    };
    hex.as_bytes().chunks(2).map(byte).collect()
}

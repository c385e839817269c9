//! The golden vectors and the check of them: one body for the native test, `tests/golden.rs`, and for the one
//! in WASM, `examples/golden.rs`.
//!
//! A vector is a text file with one line for each of
//!
//! - `classes LEVEL LEVEL: T T ...`, before a channel with several tables: the table of each class of contexts;
//! - `counts MIN: C C ...`, once a table: what the tables are frozen from;
//! - `tables HEX`: the tables' bytes;
//! - `geometry CHANNELS ROWS COLUMNS`;
//! - `symbols S S ...`, once a channel that is coded;
//! - `payload HEX`.

use feature_codec::{ChannelCounts, Counts, Geometry, Symbol, Tables};

/// Names and texts of the vectors.
pub const VECTORS: [(&str, &str); 5] = [
    ("laplacian", include_str!("laplacian.txt")),
    ("prefix", include_str!("prefix.txt")),
    ("escapes", include_str!("escapes.txt")),
    ("certain", include_str!("certain.txt")),
    ("contexts", include_str!("contexts.txt")),
];

/// One vector.
#[derive(Debug, PartialEq, Eq)]
pub struct Vector {
    pub counts: Vec<ChannelCounts>,
    pub tables: Vec<u8>,
    pub geometry: Geometry,
    pub symbols: Vec<Symbol>,
    pub payload: Vec<u8>,
}

/// Reads a vector; `None` where its text is not of the form above.
pub fn parse(text: &str) -> Option<Vector> {
    let mut vector = Vector {
        counts: Vec::new(),
        tables: Vec::new(),
        geometry: Geometry {
            channels: 0,
            rows: 0,
            columns: 0,
        },
        symbols: Vec::new(),
        payload: Vec::new(),
    };
    // Tables that the last channel still lacks.
    let mut lacking = 0;
    for line in text.lines() {
        let (what, rest) = line.split_once(' ').unwrap_or((line, ""));
        match what {
            "counts" => {
                let (min, counts) = rest.split_once(':')?;
                let counts = Counts {
                    min: min.parse().ok()?,
                    counts: numbers(counts)?,
                };
                if lacking > 0 {
                    vector.counts.last_mut()?.counts.push(counts);
                    lacking -= 1;
                } else {
                    vector.counts.push(counts.into());
                }
            }
            "classes" => {
                let (levels, classes) = rest.split_once(':')?;
                let classes: Vec<u8> = numbers(classes)?;
                lacking = usize::from(*classes.iter().max()?) + 1;
                vector.counts.push(ChannelCounts {
                    levels: numbers(levels)?.try_into().ok()?,
                    classes: classes.try_into().ok()?,
                    counts: Vec::new(),
                });
            }
            "tables" => vector.tables = bytes(rest)?,
            "geometry" => {
                let [channels, rows, columns] = numbers(rest)?.try_into().ok()?;
                vector.geometry = Geometry {
                    channels,
                    rows,
                    columns,
                };
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
        geometry,
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
        .encode(symbols, *geometry)
        .map_err(|_| "the symbols are refused")?;
    ensure(coded == *payload, "the symbols code to another payload")?;
    let decoded = tables
        .decode(payload, *geometry)
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

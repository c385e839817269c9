//! Tables and a payload out of any bytes: whatever is accepted must be what would be written, and no input may
//! panic, allocate without bound or take long. In `crates/feature-codec`:
//!
//! ```text
//! mkdir -p fuzz/corpus/any_bytes
//! cargo +nightly fuzz run any_bytes fuzz/corpus/any_bytes fuzz/seeds/any_bytes -- -max_total_time=60
//! ```
//!
//! (libFuzzer writes what it finds into the first folder, which git ignores.) An input is the channels, two bytes,
//! little-endian; the rows and the columns, a byte each; the length of the tables, two bytes; the tables; the payload.

#![no_main]

use feature_codec::{Geometry, Tables};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some(([c0, c1, rows, columns, t0, t1], rest)) = input.split_first_chunk::<6>() else {
        return;
    };
    let geometry = Geometry {
        channels: usize::from(u16::from_le_bytes([*c0, *c1])),
        rows: usize::from(*rows),
        columns: usize::from(*columns),
    };
    let length = usize::from(u16::from_le_bytes([*t0, *t1]));
    let (tables, payload) = rest.split_at(length.min(rest.len()));

    let Ok(read) = Tables::from_bytes(tables) else {
        return;
    };
    assert_eq!(read.to_bytes(), tables);

    // The payload as symbols, which must round-trip whatever they are.
    let symbols: Vec<i16> = payload.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect();
    let row = Geometry { channels: 1, rows: 1, columns: symbols.len() };
    let coded = read.encode(&symbols, row).expect("fits");
    assert!(coded.len() <= Tables::max_payload(row));
    assert_eq!(read.decode(&coded, row).expect("is whole"), symbols);

    // And as what it is.
    if let Ok(symbols) = read.decode(payload, geometry) {
        assert_eq!(symbols.len(), geometry.channels * geometry.rows * geometry.columns);
        assert_eq!(read.encode(&symbols, geometry).expect("fits"), payload);
    }
});

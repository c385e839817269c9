//! The golden vectors, natively. Bytes written today must decode for ever: a change that fails here needs a new
//! version of the format, not new vectors.

#![allow(missing_docs, clippy::unwrap_used, clippy::panic, unreachable_pub)]

#[path = "golden/mod.rs"]
mod golden;

use feature_codec::{ChannelCounts, Counts, Geometry, Symbol, Tables};
use golden::{VECTORS, Vector, check, parse};

#[test]
fn golden_vectors_hold() {
    for (name, text) in VECTORS {
        let vector = parse(text).unwrap_or_else(|| panic!("{name} does not parse"));
        assert_eq!(check(&vector), Ok(()), "{name}");
    }
}

#[test]
fn a_vector_with_another_symbol_fails() {
    let mut vector = parse(VECTORS[0].1).unwrap();
    vector.symbols[3] ^= 1;
    assert_eq!(check(&vector), Err("the symbols code to another payload"));
}

/// Writes the vectors anew: `cargo test -p feature-codec --test golden -- --ignored`, for a new format only.
#[test]
#[ignore = "overwrites the golden vectors"]
fn write_vectors() {
    let laplacian = |min: Symbol, wide: u64| Counts {
        min,
        counts: (0..=2 * min.unsigned_abs())
            .map(|at| 1_000_000 >> (u64::from(at.abs_diff(min.unsigned_abs())) * 4 / wide).min(63))
            .collect(),
    };
    // Knuth's MMIX generator: numbers that look random, the same everywhere.
    let mut state = 1u64;
    let mut draw = move || {
        state = state
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (state >> 33) as u32
    };
    let mut small =
        |wide: u32| ((draw() % (2 * wide + 1)) as i16 - wide as i16) * (draw() % 2) as i16;
    let four = vec![
        laplacian(-30, 20),
        laplacian(-12, 8),
        laplacian(-4, 3),
        laplacian(-2, 1),
    ];
    let certain = vec![
        Counts {
            min: 0,
            counts: vec![1_000_000]
        };
        2
    ];

    let plain = |counts: &[Counts]| counts.iter().cloned().map(Into::into).collect();
    let write = |name: &str,
                 counts: Vec<ChannelCounts>,
                 [channels, rows, columns]: [usize; 3],
                 symbols: Vec<Symbol>| {
        let geometry = Geometry {
            channels,
            rows,
            columns,
        };
        let tables = Tables::from_counts(&counts).unwrap();
        let payload = tables.encode(&symbols, geometry).unwrap();
        let vector = Vector {
            counts,
            tables: tables.to_bytes(),
            geometry,
            symbols,
            payload,
        };
        let path = format!("{}/tests/golden/{name}.txt", env!("CARGO_MANIFEST_DIR"));
        std::fs::write(path, print(&vector)).unwrap();
    };
    let symbols = [12, 6, 2, 1]
        .into_iter()
        .flat_map(|wide| [wide; 49])
        .map(&mut small)
        .collect();
    write("laplacian", plain(&four), [4, 7, 7], symbols);
    let symbols = [25, 8]
        .into_iter()
        .flat_map(|wide| [wide; 49])
        .map(&mut small)
        .collect();
    write("prefix", plain(&four), [2, 7, 7], symbols);
    let far = [
        -32768, 32767, -31, 31, -32, 32, 255, -256, 1000, -4097, 0, 30, -30, 16384, 5,
    ];
    let symbols = far.into_iter().chain(far.into_iter().rev()).collect();
    write("escapes", plain(&four), [2, 3, 5], symbols);
    write("certain", plain(&certain), [2, 7, 7], vec![0; 98]);
    let several = |classes: [u8; 15], levels| ChannelCounts {
        levels,
        classes,
        counts: four[..usize::from(classes[14]) + 1].to_vec(),
    };
    let contexts = vec![
        several([0, 0, 0, 1, 1, 1, 2, 2, 2, 1, 1, 1, 2, 2, 3], [0, 0]),
        four[2].clone().into(),
        several([0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2], [300, 1500]),
    ];
    let symbols = [9, 3, 2]
        .into_iter()
        .flat_map(|wide| [wide; 30])
        .map(&mut small)
        .collect();
    write("contexts", contexts, [3, 5, 6], symbols);
}

fn print(vector: &Vector) -> String {
    let list = |numbers: &[String]| numbers.join(" ");
    let strings =
        |symbols: &[Symbol]| list(&symbols.iter().map(ToString::to_string).collect::<Vec<_>>());
    let hex = |bytes: &[u8]| {
        bytes
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>()
    };
    let mut lines = Vec::new();
    for channel in &vector.counts {
        if channel.counts.len() > 1 {
            let [middling, high] = channel.levels;
            let classes = channel.classes.map(|class| class.to_string());
            lines.push(format!("classes {middling} {high}: {}", list(&classes)));
        }
        for Counts { min, counts } in &channel.counts {
            let counts: Vec<_> = counts.iter().map(ToString::to_string).collect();
            lines.push(format!("counts {min}: {}", list(&counts)));
        }
    }
    lines.push(format!("tables {}", hex(&vector.tables)));
    let Geometry {
        channels,
        rows,
        columns,
    } = vector.geometry;
    lines.push(format!("geometry {channels} {rows} {columns}"));
    lines.extend(
        vector
            .symbols
            .chunks(rows * columns)
            .map(|channel| format!("symbols {}", strings(channel))),
    );
    lines.push(format!("payload {}", hex(&vector.payload)));
    lines.join("\n") + "\n"
}

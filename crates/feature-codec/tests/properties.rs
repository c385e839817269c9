//! What must hold for all symbols and for all bytes.

#![allow(missing_docs, clippy::expect_used, clippy::unwrap_used)]

use feature_codec::{
    CLASSES, ChannelCounts, Counts, DecodeError, Geometry, MAX_SYMBOLS, Symbol, Tables,
};
use proptest::collection::vec;
use proptest::prelude::*;

/// Counts of a channel, from a lone symbol to a wide and ragged range, anywhere in the symbols' range.
fn counts() -> impl Strategy<Value = Counts> {
    let count = prop_oneof![Just(0u64), 1..10u64, 1..100_000u64, Just(u64::MAX)];
    let wide = vec(count, 1..80).prop_filter("something must be counted", |counts| {
        counts.iter().any(|c| *c > 0)
    });
    let near_zero = -40..20i16;
    let anywhere = i16::MIN..=i16::MAX - 79;
    (prop_oneof![near_zero, anywhere], wide).prop_map(|(min, counts)| Counts { min, counts })
}

/// A channel of one table or of several, whose classes name them in order.
fn channel() -> impl Strategy<Value = ChannelCounts> {
    let several = (
        vec(counts(), 2..6),
        vec(any::<u8>(), CLASSES),
        any::<[u16; 2]>(),
    );
    let several = several.prop_map(|(counts, draws, mut levels)| {
        levels.sort_unstable();
        let mut classes = [0; CLASSES];
        let mut named = 0;
        for (place, (class, draw)) in classes.iter_mut().zip(draws).enumerate() {
            // All must be named before the classes end.
            let must = counts.len() - usize::from(named) >= CLASSES - place;
            let choices = (named + 1).min(counts.len() as u8);
            *class = if must { named } else { draw % choices };
            named = named.max(*class + 1);
        }
        ChannelCounts {
            levels,
            classes,
            counts,
        }
    });
    prop_oneof![counts().prop_map(ChannelCounts::from), several]
}

fn tables() -> impl Strategy<Value = Tables> {
    vec(channel(), 1..8)
        .prop_map(|channels| Tables::from_counts(&channels).expect("counts are of the right form"))
}

/// Small symbols mostly, and any symbol sometimes.
fn symbol() -> impl Strategy<Value = Symbol> {
    prop_oneof![4 => -3..=3i16, 2 => -60..=60i16, 1 => any::<i16>()]
}

/// Tables, and symbols for a prefix of their channels.
fn coded() -> impl Strategy<Value = (Tables, Geometry, Vec<Symbol>)> {
    (tables(), 0..8usize, 0..8usize).prop_flat_map(|(tables, rows, columns)| {
        let all = tables.channels();
        (Just(tables), 1..=all).prop_flat_map(move |(tables, channels)| {
            let symbols = vec(symbol(), channels * rows * columns);
            (
                Just(tables),
                Just(geometry(channels, rows, columns)),
                symbols,
            )
        })
    })
}

fn geometry(channels: usize, rows: usize, columns: usize) -> Geometry {
    Geometry {
        channels,
        rows,
        columns,
    }
}

/// One row of so many positions.
fn row(channels: usize, positions: usize) -> Geometry {
    geometry(channels, 1, positions)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn any_symbols_round_trip((tables, geometry, symbols) in coded()) {
        let payload = tables.encode(&symbols, geometry).unwrap();
        prop_assert!(payload.len() <= Tables::max_payload(geometry));
        prop_assert_eq!(tables.decode(&payload, geometry).unwrap(), symbols);
    }

    /// Whatever decodes is what the encoder would have written: nothing else is accepted.
    #[test]
    fn any_bytes_decode_to_an_error_or_to_what_encodes_to_them(
        tables in tables(), channels in 0..9usize, rows in 0..7usize, columns in 0..7usize, bytes in vec(any::<u8>(), 0..200),
    ) {
        let geometry = geometry(channels, rows, columns);
        if let Ok(symbols) = tables.decode(&bytes, geometry) {
            prop_assert_eq!(symbols.len(), channels * rows * columns);
            prop_assert_eq!(tables.encode(&symbols, geometry).unwrap(), bytes);
        }
    }

    #[test]
    fn a_damaged_payload_decodes_to_an_error_or_to_what_encodes_to_it(
        (tables, geometry, symbols) in coded(), at in any::<prop::sample::Index>(), flip in 1..=255u8,
    ) {
        let mut payload = tables.encode(&symbols, geometry).unwrap();
        if !payload.is_empty() {
            let at = at.index(payload.len());
            payload[at] ^= flip;
            if let Ok(other) = tables.decode(&payload, geometry) {
                prop_assert_ne!(&other, &symbols);
                prop_assert_eq!(tables.encode(&other, geometry).unwrap(), payload);
            }
        }
    }

    #[test]
    fn tables_round_trip_and_have_one_form(tables in tables()) {
        let bytes = tables.to_bytes();
        prop_assert_eq!(&Tables::from_bytes(&bytes).unwrap(), &tables);
        for end in 0..bytes.len() {
            prop_assert!(Tables::from_bytes(&bytes[..end]).is_err());
        }
        prop_assert!(Tables::from_bytes(&[&bytes[..], &[0]].concat()).is_err());
    }

    #[test]
    fn any_bytes_are_tables_of_one_form_or_an_error(bytes in vec(any::<u8>(), 0..100), version in any::<bool>()) {
        let mut bytes = bytes;
        if let (true, Some(first)) = (version, bytes.first_mut()) {
            *first = 2;
        }
        if let Ok(tables) = Tables::from_bytes(&bytes) {
            prop_assert_eq!(tables.to_bytes(), bytes);
        }
    }

    #[test]
    fn damaged_tables_are_tables_of_one_form_or_an_error(
        tables in tables(), at in any::<prop::sample::Index>(), to in any::<u8>(),
    ) {
        let mut bytes = tables.to_bytes();
        let at = at.index(bytes.len());
        bytes[at] = to;
        if let Ok(tables) = Tables::from_bytes(&bytes) {
            prop_assert_eq!(tables.to_bytes(), bytes);
        }
    }
}

/// A table of one symbol, which is nearly certain.
fn certain() -> Tables {
    Tables::from_counts(&[Counts {
        min: 0,
        counts: vec![1 << 40],
    }])
    .unwrap()
}

#[test]
fn the_whole_range_of_symbols_round_trips() {
    let all: Vec<Symbol> = (i16::MIN..=i16::MAX).collect();
    let tables = Tables::from_counts(&[Counts {
        min: -2,
        counts: vec![1, 5, 9, 5],
    }])
    .unwrap();
    let payload = tables.encode(&all, row(1, all.len())).unwrap();
    assert_eq!(tables.decode(&payload, row(1, all.len())).unwrap(), all);
}

#[test]
fn a_payload_of_escapes_stays_below_the_bound() {
    let symbols = vec![i16::MIN; 4096];
    let payload = certain().encode(&symbols, row(1, 4096)).unwrap();
    let bound = Tables::max_payload(row(1, 4096));
    assert!(
        payload.len() <= bound && payload.len() > bound - bound / 50,
        "{} of {bound}",
        payload.len()
    );
}

#[test]
fn a_certain_channel_costs_nothing() {
    let tables = certain();
    assert_eq!(tables.encode(&[0; 10_000], row(1, 10_000)).unwrap(), []);
    assert_eq!(tables.decode(&[], row(1, 10_000)).unwrap(), [0; 10_000]);
}

#[test]
fn what_is_asked_for_is_checked_before_anything_is_allocated() {
    let tables = certain();
    let huge = usize::MAX / 2;
    assert!(matches!(
        tables.decode(&[], row(2, 1)),
        Err(DecodeError::Channels {
            channels: 2,
            tables: 1
        })
    ));
    assert!(matches!(
        tables.decode(&[], row(1, MAX_SYMBOLS + 1)),
        Err(DecodeError::TooMany(_))
    ));
    assert!(matches!(
        tables.decode(&[], row(1, huge)),
        Err(DecodeError::TooMany(_))
    ));
    assert!(matches!(
        tables.decode(&[1; 15], row(1, 1)),
        Err(DecodeError::TooLong { bytes: 15, .. })
    ));
    for none in [
        geometry(1, 0, huge),
        geometry(0, huge, 1),
        geometry(0, huge, 0),
    ] {
        assert!(matches!(
            tables.decode(&[], none),
            Err(DecodeError::TooMany(_))
        ));
        assert!(tables.encode(&[], none).is_err());
    }
    assert!(tables.encode(&[], row(huge, huge)).is_err());
    assert!(tables.encode(&[0; 3], row(1, 4)).is_err());
}

#[test]
fn missing_and_trailing_data_are_told_apart_where_they_can_be() {
    let tables = Tables::from_counts(&[Counts {
        min: -8,
        counts: vec![1; 16],
    }])
    .unwrap();
    let symbols: Vec<Symbol> = (0..64).map(|i| (i * 7 % 16) - 8).collect();
    let payload = tables.encode(&symbols, row(1, 64)).unwrap();
    assert!(payload.len() > 30);
    assert_eq!(
        tables.decode(&[&payload[..], &[0]].concat(), row(1, 64)),
        Err(DecodeError::ZeroLastByte)
    );
    assert!(matches!(
        tables.decode(&payload, row(1, 32)),
        Err(DecodeError::Trailing { .. })
    ));
    // (A cut payload may as well decode to symbols outside the table and then out of range.)
    for cut in 1..payload.len() {
        assert!(
            tables.decode(&payload[cut..], row(1, 64)).is_err(),
            "without the first {cut} bytes"
        );
        assert!(
            tables
                .decode(&payload[..payload.len() - cut], row(1, 64))
                .is_err(),
            "without the last {cut} bytes"
        );
    }
}

/// Small payloads are what this is for, so there must be next to nothing besides the symbols' information.
#[test]
fn a_payload_is_within_three_bytes_of_its_information() {
    let counts = |wide: u64| Counts {
        min: -20,
        counts: (0..41u64)
            .map(|i| 1 + (1 << 20 >> (i.abs_diff(20) / wide)))
            .collect(),
    };
    let tables = Tables::from_counts(&[4, 2, 1, 1].map(counts)).unwrap();
    let mut state = 1u32;
    for positions in 0..200 {
        let draw = |_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 28) as i16 - 8
        };
        let symbols: Vec<Symbol> = (0..4 * positions).map(draw).collect();
        let bits: f64 = symbols
            .chunks(positions.max(1))
            .zip(tables.iter())
            .flat_map(|(symbols, channel)| {
                let table = &channel.tables()[0];
                symbols
                    .iter()
                    .map(|s| 16.0 - f64::from(table.frequency(*s).unwrap()).log2())
            })
            .sum();
        let payload = tables.encode(&symbols, row(4, positions)).unwrap();
        assert!(
            payload.len() as f64 <= bits / 8.0 + 3.0,
            "{} bytes for {bits} bits",
            payload.len()
        );
    }
}

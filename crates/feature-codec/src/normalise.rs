//! From counted symbols to frequencies that add up to 2^16, in integers only.

use crate::{MAX_TABLE_SYMBOLS, Symbol, TOTAL, TableError};

/// How often each symbol occurred in one channel of a training set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counts {
    /// The symbol that `counts[0]` counts.
    pub min: Symbol,
    /// The counts of `min`, `min + 1`, ...; the last must not lie above [`Symbol::MAX`].
    pub counts: Vec<u64>,
}

/// A table's content: the first symbol, and the frequencies of it and its successors. What they lack to
/// 2^16 is the escape's.
pub(crate) struct Frequencies {
    pub(crate) min: Symbol,
    pub(crate) each: Vec<u32>,
}

/// Symbols at either end that are rarer than the smallest frequency go into the escape. Each of the others,
/// and the escape, gets one unit and a share of the rest in proportion to its count (the escape counts the
/// symbols cut off and one more, for those never seen), rounded by largest remainder.
pub(crate) fn frequencies(channel: usize, counted: &Counts) -> Result<Frequencies, TableError> {
    let Counts { min, counts } = counted;
    let range = TableError::Range {
        channel,
        min: *min,
        symbols: counts.len(),
    };
    if i64::from(*min) + counts.len() as i64 - 1 > i64::from(Symbol::MAX) {
        return Err(range);
    }
    let total: u128 = counts.iter().copied().map(u128::from).sum();
    if total == 0 {
        return Err(TableError::NothingCounted { channel });
    }

    let (from, to) = kept(counts, total);
    let inside = &counts[from..to];
    let outside = total - inside.iter().copied().map(u128::from).sum::<u128>();

    let entries = inside.len() + 1;
    let shared = u128::from(TOTAL) - entries as u128;
    let weights: Vec<u128> = inside
        .iter()
        .copied()
        .map(u128::from)
        .chain([outside + 1])
        .collect();
    let weight = total + 1;
    let mut each: Vec<u32> = Vec::with_capacity(entries);
    let mut remainders: Vec<(u128, usize)> = Vec::with_capacity(entries);
    for (index, w) in weights.iter().enumerate() {
        // The quotient is at most `shared`, below 2^16.
        each.push(1 + u32::try_from(w * shared / weight).unwrap_or(0));
        remainders.push((w * shared % weight, index));
    }
    // Less than one unit is missing for each entry.
    let missing = (TOTAL - each.iter().sum::<u32>()) as usize;
    remainders.sort_unstable_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
    for (_, index) in remainders.iter().take(missing) {
        each[*index] += 1;
    }
    each.pop();

    let min = Symbol::try_from(i64::from(*min) + from as i64).map_err(|_| range)?;
    Ok(Frequencies { min, each })
}

/// The range of symbols worth an entry: from the first to the last that is at least as probable as one unit,
/// and at most [`MAX_TABLE_SYMBOLS`] of them, the rarer end cut first.
fn kept(counts: &[u64], total: u128) -> (usize, usize) {
    let frequent = |count: &u64| u128::from(*count) * u128::from(TOTAL) >= total;
    // The most frequent of n <= 2^16 symbols is at least as probable as one unit.
    let mut from = counts.iter().position(frequent).unwrap_or(0);
    let mut to = counts
        .iter()
        .rposition(frequent)
        .map_or(counts.len(), |last| last + 1);
    while to - from > MAX_TABLE_SYMBOLS {
        if counts[from] <= counts[to - 1] {
            from += 1;
        } else {
            to -= 1;
        }
    }
    (from, to)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn of(min: Symbol, counts: &[u64]) -> Frequencies {
        frequencies(
            0,
            &Counts {
                min,
                counts: counts.to_vec(),
            },
        )
        .unwrap()
    }

    #[test]
    fn frequencies_follow_the_counts_and_leave_room_for_the_escape() {
        let table = of(-1, &[250_000, 500_000, 250_000]);
        assert_eq!(table.min, -1);
        assert_eq!(table.each, [16384, 32767, 16384]);
    }

    #[test]
    fn rare_ends_go_to_the_escape() {
        // One of 100,000 is below one unit of 65,536; two are above.
        let table = of(-3, &[1, 0, 2, 99_996, 0, 0, 1]);
        assert_eq!((table.min, table.each.len()), (-1, 2));
    }

    #[test]
    fn a_symbol_never_seen_between_others_has_a_frequency() {
        assert_eq!(of(0, &[1000, 0, 1000]).each[1], 1);
    }

    #[test]
    fn huge_counts_do_not_overflow() {
        let table = of(0, &[u64::MAX; 3]);
        assert!(table.each.iter().sum::<u32>() < TOTAL);
    }

    #[test]
    fn a_flat_table_is_cut_to_the_longest_allowed() {
        let table = of(i16::MIN, &vec![1; 65536]);
        assert_eq!(table.each.len(), MAX_TABLE_SYMBOLS);
    }

    #[test]
    fn what_cannot_be_a_table_is_refused() {
        let refuse = |min, counts: Vec<u64>| frequencies(7, &Counts { min, counts }).err();
        assert_eq!(
            refuse(0, vec![0, 0]),
            Some(TableError::NothingCounted { channel: 7 })
        );
        assert_eq!(
            refuse(0, vec![]),
            Some(TableError::NothingCounted { channel: 7 })
        );
        assert!(matches!(
            refuse(32767, vec![1, 1]),
            Some(TableError::Range { channel: 7, .. })
        ));
    }
}

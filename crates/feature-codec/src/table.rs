//! One channel's frozen frequency table, with the lookups that coding needs.

use crate::{Symbol, TOTAL, TableError};

/// The most symbols that a table holds besides the escape.
pub const MAX_TABLE_SYMBOLS: usize = 4096;

/// The decoder's lookup has one bucket for this many quantiles.
const BUCKET_SHIFT: u32 = 10;
const BUCKETS: usize = (TOTAL >> BUCKET_SHIFT) as usize;

/// The frequencies of one channel's symbols, in units of 2^-16, and of the escape that stands for all others.
///
/// The table holds the consecutive symbols `min()..=max()`, each with a frequency of at least 1; what these
/// lack to 2^16, at least 1, is the escape's. In the coder's cumulative order the entries go from the most to
/// the least frequent, equal ones by symbol, the escape last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    min: Symbol,
    max: Symbol,
    /// By symbol, from `min`.
    intervals: Vec<Interval>,
    escape: Interval,
    /// In cumulative order.
    entries: Vec<Entry>,
    /// By the quantile's high bits: the entry that holds the bucket's first quantile.
    buckets: Vec<u16>,
}

/// A piece of `0..2^16`. There are at least two in a table, so both numbers fit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Interval {
    pub(crate) left: u16,
    pub(crate) frequency: u16,
}

/// What the decoder finds for a quantile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) interval: Interval,
    pub(crate) symbol: Symbol,
    pub(crate) escape: bool,
}

impl Table {
    /// A table of the symbols `min`, `min + 1`, ... with these frequencies. `channel` is for the error only.
    pub(crate) fn new(
        channel: usize,
        min: Symbol,
        frequencies: &[u32],
    ) -> Result<Self, TableError> {
        let range = TableError::Range {
            channel,
            min,
            symbols: frequencies.len(),
        };
        if frequencies.is_empty() || frequencies.len() > MAX_TABLE_SYMBOLS {
            return Err(range);
        }
        let last = i64::from(min) + frequencies.len() as i64 - 1;
        let Ok(max) = Symbol::try_from(last) else {
            return Err(range);
        };
        let sum: u64 = frequencies.iter().copied().map(u64::from).sum();
        if frequencies.contains(&0) || sum >= u64::from(TOTAL) {
            return Err(TableError::Frequencies { channel });
        }
        let escape = TOTAL - sum as u32;

        // The escape comes last of its equals, since the sort is stable.
        let mut order: Vec<(u32, usize)> = frequencies
            .iter()
            .copied()
            .chain([escape])
            .zip(0..)
            .collect();
        order.sort_by_key(|(frequency, _)| core::cmp::Reverse(*frequency));

        let mut table = Self {
            min,
            max,
            intervals: vec![Interval::default(); frequencies.len()],
            escape: Interval::default(),
            entries: Vec::with_capacity(order.len()),
            buckets: Vec::with_capacity(BUCKETS),
        };
        let mut left = 0;
        for (frequency, index) in order {
            // All frequencies are at least 1 and add up to 2^16, so each fits in 16 bits.
            let interval = Interval {
                left: left as u16,
                frequency: frequency as u16,
            };
            let escape = index == frequencies.len();
            if escape {
                table.escape = interval;
            } else {
                table.intervals[index] = interval;
            }
            let symbol = if escape {
                0
            } else {
                (i64::from(min) + index as i64) as Symbol
            };
            // The buckets whose first quantile lies in this entry.
            let end = (left + frequency).div_ceil(1 << BUCKET_SHIFT) as usize;
            let entry = table.entries.len() as u16;
            table.buckets.resize(end.max(table.buckets.len()), entry);
            table.entries.push(Entry {
                interval,
                symbol,
                escape,
            });
            left += frequency;
        }
        Ok(table)
    }

    /// The smallest symbol with an entry of its own.
    #[must_use]
    pub fn min(&self) -> Symbol {
        self.min
    }

    /// The largest symbol with an entry of its own.
    #[must_use]
    pub fn max(&self) -> Symbol {
        self.max
    }

    /// The frequency of `symbol` in units of 2^-16; `None` where it is coded as an escape.
    #[must_use]
    pub fn frequency(&self, symbol: Symbol) -> Option<u16> {
        self.interval(symbol).map(|interval| interval.frequency)
    }

    /// The frequency of the escape in units of 2^-16.
    #[must_use]
    pub fn escape_frequency(&self) -> u16 {
        self.escape.frequency
    }

    /// The frequencies of `min()..=max()`, in that order.
    pub(crate) fn frequencies(&self) -> impl ExactSizeIterator<Item = u16> {
        self.intervals.iter().map(|interval| interval.frequency)
    }

    /// The interval of `symbol`, where it has one.
    #[inline]
    pub(crate) fn interval(&self, symbol: Symbol) -> Option<Interval> {
        // A symbol below `min` wraps to an index beyond any table.
        let index = (i32::from(symbol) - i32::from(self.min)) as u32;
        self.intervals.get(index as usize).copied()
    }

    /// The escape's interval.
    #[inline]
    pub(crate) fn escape_interval(&self) -> Interval {
        self.escape
    }

    /// The entry whose interval holds `quantile`.
    #[inline]
    pub(crate) fn entry(&self, quantile: u16) -> Entry {
        let mut index = usize::from(self.buckets[usize::from(quantile >> BUCKET_SHIFT)]);
        let mut entry = self.entries[index];
        // Entries follow one another without gaps: the right one is this one or a later one.
        while quantile - entry.interval.left >= entry.interval.frequency {
            index += 1;
            entry = self.entries[index];
        }
        entry
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_quantile_finds_the_entry_that_holds_it() {
        for frequencies in [
            vec![1],
            vec![65535],
            vec![3, 60000, 3, 1, 1],
            vec![15; 4096],
            vec![1; 4096],
            vec![256, 256, 512],
        ] {
            let table = Table::new(0, -2, &frequencies).unwrap();
            assert_eq!(table.buckets.len(), BUCKETS);
            for quantile in 0..=u16::MAX {
                let entry = table.entry(quantile);
                let of = if entry.escape {
                    table.escape
                } else {
                    table.interval(entry.symbol).unwrap()
                };
                assert_eq!(of, entry.interval);
                let end = u32::from(of.left) + u32::from(of.frequency);
                assert!((u32::from(of.left)..end).contains(&u32::from(quantile)));
            }
        }
    }

    #[test]
    fn symbols_beside_the_table_have_no_interval() {
        let table = Table::new(0, -2, &[5, 6, 7]).unwrap();
        assert_eq!(table.frequency(-2), Some(5));
        assert_eq!(table.frequency(0), Some(7));
        for symbol in [i16::MIN, -3, 1, i16::MAX] {
            assert_eq!(table.frequency(symbol), None);
        }
        assert_eq!(u32::from(table.escape_frequency()), TOTAL - 18);
    }

    #[test]
    fn what_is_no_table_is_refused() {
        let refuse = |min, frequencies: &[u32]| Table::new(3, min, frequencies).unwrap_err();
        assert!(matches!(
            refuse(0, &[]),
            TableError::Range { channel: 3, .. }
        ));
        assert!(matches!(
            refuse(0, &[1; MAX_TABLE_SYMBOLS + 1]),
            TableError::Range { .. }
        ));
        assert!(matches!(
            refuse(i16::MAX, &[1, 1]),
            TableError::Range { .. }
        ));
        assert_eq!(
            refuse(0, &[1, 0, 1]),
            TableError::Frequencies { channel: 3 }
        );
        assert_eq!(refuse(0, &[TOTAL]), TableError::Frequencies { channel: 3 });
        assert_eq!(
            refuse(0, &[u32::MAX; 3]),
            TableError::Frequencies { channel: 3 }
        );
    }
}

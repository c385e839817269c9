//! The tables of one channel, and which of them codes a symbol.

use crate::context::{CLASSES, Context, LEVELS};
use crate::normalise::frequencies;
use crate::{Counts, Table, TableError};

/// How often each symbol occurred in one channel of a training set, by what stood around it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelCounts {
    /// From these on, an activity counts as middling and as high.
    pub levels: [u16; LEVELS - 1],
    /// For each class of contexts, `trend * 3 + level`, which of `counts` it belongs to.
    pub classes: [u8; CLASSES],
    /// At most [`CLASSES`] of them, each in use.
    pub counts: Vec<Counts>,
}

impl From<Counts> for ChannelCounts {
    /// One table, whatever stands around a symbol.
    fn from(counts: Counts) -> Self {
        Self {
            levels: [0; LEVELS - 1],
            classes: [0; CLASSES],
            counts: vec![counts],
        }
    }
}

/// One or several [`Table`]s, and which of them codes a symbol by its [`Context`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Channel {
    levels: [u16; LEVELS - 1],
    classes: [u8; CLASSES],
    tables: Vec<Table>,
}

impl Channel {
    /// `number` is for the errors only.
    pub(crate) fn from_counts(number: usize, counts: &ChannelCounts) -> Result<Self, TableError> {
        let tables = counts
            .counts
            .iter()
            .map(|counts| {
                let frequencies = frequencies(number, counts)?;
                Table::new(number, frequencies.min, &frequencies.each)
            })
            .collect::<Result<_, _>>()?;
        Self::new(number, counts.levels, counts.classes, tables)
    }

    /// Checks that there is one way only to write the same channel: tables stand in the order in which the
    /// classes first name them, and levels rise; a lone table has none.
    pub(crate) fn new(
        number: usize,
        levels: [u16; LEVELS - 1],
        classes: [u8; CLASSES],
        tables: Vec<Table>,
    ) -> Result<Self, TableError> {
        let mut named = 0;
        for class in classes {
            if class > named {
                return Err(TableError::Classes { channel: number });
            }
            named = named.max(class + 1);
        }
        let lone = tables.len() == 1 && levels != [0; LEVELS - 1];
        if usize::from(named) != tables.len() || lone || levels[0] > levels[1] {
            return Err(TableError::Classes { channel: number });
        }
        Ok(Self {
            levels,
            classes,
            tables,
        })
    }

    /// The table that codes a symbol with this around it.
    #[inline]
    #[must_use]
    pub fn table(&self, context: Context) -> &Table {
        if let [table] = &self.tables[..] {
            return table;
        }
        let level = class_level(self.levels, context.activity);
        &self.tables[usize::from(self.classes[usize::from(context.trend) * LEVELS + level])]
    }

    /// All of them.
    #[must_use]
    pub fn tables(&self) -> &[Table] {
        &self.tables
    }

    pub(crate) fn levels(&self) -> [u16; LEVELS - 1] {
        self.levels
    }

    pub(crate) fn classes(&self) -> [u8; CLASSES] {
        self.classes
    }
}

/// The class of a context, given where activities count as middling and as high.
#[must_use]
pub fn class_of(levels: [u16; LEVELS - 1], context: Context) -> usize {
    usize::from(context.trend) * LEVELS + class_level(levels, context.activity)
}

#[inline]
fn class_level(levels: [u16; LEVELS - 1], activity: u16) -> usize {
    usize::from(activity >= levels[0]) + usize::from(activity >= levels[1])
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn table(frequency: u32) -> Table {
        Table::new(0, 0, &[frequency]).unwrap()
    }

    #[test]
    fn a_context_finds_its_table() {
        let mut classes = [0; CLASSES];
        classes[3..6].copy_from_slice(&[0, 1, 2]);
        let channel = Channel::new(0, [10, 20], classes, vec![table(1), table(2), table(3)]);
        let channel = channel.unwrap();
        let of = |trend, activity| channel.table(Context { trend, activity }).frequency(0);
        assert_eq!(of(0, 30), Some(1));
        assert_eq!(of(1, 9), Some(1));
        assert_eq!(of(1, 10), Some(2));
        assert_eq!(of(1, 20), Some(3));
    }

    #[test]
    fn what_could_be_written_otherwise_is_refused() {
        let two = || vec![table(1), table(2)];
        let refuse = |levels, classes, tables| {
            assert_eq!(
                Channel::new(5, levels, classes, tables),
                Err(TableError::Classes { channel: 5 })
            );
        };
        // A table that no class names, one that is missing, one out of turn.
        refuse([1, 2], [0; CLASSES], two());
        let mut classes = [0; CLASSES];
        classes[4] = 2;
        refuse([1, 2], classes, two());
        classes = [1; CLASSES];
        refuse([1, 2], classes, two());
        classes = [0; CLASSES];
        classes[1] = 1;
        refuse([2, 1], classes, two());
        refuse([1, 2], [0; CLASSES], vec![table(1)]);
    }
}

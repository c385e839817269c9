//! How many symbols there are, and how they lie.

use core::fmt;

use crate::MAX_SYMBOLS;

/// What a payload holds: `channels x rows x columns` symbols, channel after channel and row by row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// Channels, the most important first.
    pub channels: usize,
    /// Rows of a channel.
    pub rows: usize,
    /// Columns of a channel.
    pub columns: usize,
}

impl Geometry {
    /// How many symbols that are, where one payload may hold them.
    pub(crate) fn symbols(self) -> Option<usize> {
        let positions = self.rows.checked_mul(self.columns)?;
        // No symbols need no rows: what is never reached must not be allocated.
        if positions == 0 && (self.rows | self.columns) > MAX_SYMBOLS {
            return None;
        }
        self.channels
            .checked_mul(positions)
            .filter(|count| *count <= MAX_SYMBOLS)
            .filter(|_| positions <= MAX_SYMBOLS)
    }
}

impl fmt::Display for Geometry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} x {} x {}", self.channels, self.rows, self.columns)
    }
}

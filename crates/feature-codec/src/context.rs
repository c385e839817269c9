//! What both sides know of a symbol before it is coded: the symbols around it.

use crate::{Geometry, Symbol};

/// Kinds of [`Context::trend`].
pub(crate) const TRENDS: usize = 5;
/// Kinds of [`Context`] that a channel tells apart: trends times levels of activity.
pub const CLASSES: usize = TRENDS * LEVELS;
/// Levels of activity that a channel tells apart.
pub(crate) const LEVELS: usize = 3;

/// Magnitudes above this count as this in the activity.
const CAP: u16 = 15;
/// One of the most recent channels counts as much as `2^MEMORY` channels together.
const MEMORY: u32 = 4;

/// What stands around a symbol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Context {
    /// The sum of the symbols to the left and above in the same channel, kept within -2 to 2, plus 2: 0 to 4.
    /// Beyond the edge there are zeros.
    pub trend: u8,
    /// How large symbols near by have been: 4 times the running mean magnitude of earlier channels at this
    /// position, those of the four neighbours, and the neighbours that are known in this channel.
    pub activity: u16,
}

/// Goes through a latent's symbols in the order in which they are coded: channel after channel, each row by row.
#[derive(Clone, Debug)]
pub struct Walk {
    rows: usize,
    columns: usize,
    row: usize,
    column: usize,
    /// The symbols of this channel as far as they are known, behind them those of the channel before; with a
    /// border of zeros all around.
    symbols: Vec<Symbol>,
    /// Running mean magnitudes in units of 2^-8, with the same border.
    means: Vec<u16>,
}

impl Walk {
    /// Stands before the first symbol. Allocates in proportion to the positions.
    #[must_use]
    pub fn new(geometry: Geometry) -> Self {
        let Geometry { rows, columns, .. } = geometry;
        let size = rows
            .saturating_add(2)
            .saturating_mul(columns.saturating_add(2));
        Self {
            rows,
            columns,
            row: 0,
            column: 0,
            symbols: vec![0; size],
            means: vec![0; size],
        }
    }

    fn stride(&self) -> usize {
        self.columns + 2
    }

    /// Where the next symbol lies within the border.
    fn at(&self) -> usize {
        (self.row + 1) * self.stride() + self.column + 1
    }

    /// What stands around the next symbol.
    #[inline]
    #[must_use]
    pub fn context(&self) -> Context {
        let (at, stride) = (self.at(), self.stride());
        let (left, above) = (self.symbols[at - 1], self.symbols[at - stride]);
        let sum = (i32::from(left) + i32::from(above)).clamp(-2, 2);
        let corners = [self.symbols[at - stride - 1], self.symbols[at - stride + 1]];
        let known = 2 * (magnitude(left) + magnitude(above))
            + magnitude(corners[0])
            + magnitude(corners[1]);
        let around = [at - 1, at + 1, at - stride, at + stride];
        let means: u16 = around.iter().map(|at| self.means[*at]).sum();
        Context {
            trend: (sum + 2) as u8,
            // A mean is below 2^12, so the sum is below 2^16.
            activity: 4 * self.means[at] + means + 32 * known,
        }
    }

    /// Goes past the next symbol, which is `symbol`.
    #[inline]
    pub fn push(&mut self, symbol: Symbol) {
        let at = self.at();
        self.symbols[at] = symbol;
        let mean = &mut self.means[at];
        *mean = *mean - (*mean >> MEMORY) + (magnitude(symbol) << (8 - MEMORY));
        self.column += 1;
        if self.column == self.columns {
            self.column = 0;
            self.row += 1;
            if self.row == self.rows {
                self.row = 0;
            }
        }
    }
}

#[inline]
fn magnitude(symbol: Symbol) -> u16 {
    symbol.unsigned_abs().min(CAP)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRID: Geometry = Geometry {
        channels: 2,
        rows: 2,
        columns: 2,
    };

    #[test]
    fn the_trend_is_of_what_is_left_and_above() {
        let mut walk = Walk::new(GRID);
        let mut trends = Vec::new();
        for symbol in [1, -1, 1, 0] {
            trends.push(walk.context().trend);
            walk.push(symbol);
        }
        // Left of the second is 1; above the third 1; around the last 1 and -1.
        assert_eq!(trends, [2, 3, 3, 2]);
        // The next channel begins anew.
        assert_eq!(walk.context().trend, 2);
    }

    #[test]
    fn earlier_channels_make_active() {
        let mut walk = Walk::new(GRID);
        assert_eq!(walk.context().activity, 0);
        for symbol in [3, 0, 0, 0] {
            walk.push(symbol);
        }
        let here = walk.context().activity;
        walk.push(0);
        let beside = walk.context().activity;
        assert!(here > beside && beside > 0, "{here} {beside}");
    }

    #[test]
    fn the_largest_symbols_do_not_overflow() {
        let mut walk = Walk::new(GRID);
        for _ in 0..4 * 4096 {
            let _ = walk.context();
            walk.push(Symbol::MIN);
        }
        assert!(walk.context().activity > 20_000);
        let one = Geometry {
            channels: 1,
            rows: 1,
            columns: 1,
        };
        let mut walk = Walk::new(one);
        walk.push(Symbol::MIN);
        assert_eq!(walk.context().trend, 2);
    }
}

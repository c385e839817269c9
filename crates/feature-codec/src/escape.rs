//! How a symbol outside its channel's table is coded, after the table's escape entry.
//!
//! The symbol's distance from the table is `0, 1, 2, ...` for the symbols above it and as well for those below
//! it, and `code = 2 * distance + side + 1` with side 0 above and 1 below: at least 1, below 2^17. It is
//! written as Elias gamma: its class, the position of its highest bit (0 to 16), where class `n` has frequency
//! 2^(15-n) and the last two one unit each; then the `class` bits below the highest one, uniformly.

use crate::Symbol;

/// The largest class: codes are below 2^17.
const MAX_CLASS: u32 = 16;

/// The code of `symbol`, which lies outside `min..=max`.
#[inline]
pub(crate) fn code(symbol: Symbol, min: Symbol, max: Symbol) -> u32 {
    if symbol < min {
        2 * u32::from(symbol.abs_diff(min) - 1) + 2
    } else {
        2 * u32::from(symbol.abs_diff(max) - 1) + 1
    }
}

/// The symbol that `code` stands for, if that lies within the range of symbols.
#[inline]
pub(crate) fn symbol(code: u32, min: Symbol, max: Symbol) -> Option<Symbol> {
    let distance = i32::try_from((code - 1) / 2).ok()?;
    let symbol = if code.is_multiple_of(2) {
        i32::from(min) - 1 - distance
    } else {
        i32::from(max) + 1 + distance
    };
    Symbol::try_from(symbol).ok()
}

/// Left cumulative and frequency of a class.
#[inline]
pub(crate) fn class_interval(class: u32) -> (u32, u32) {
    if class < MAX_CLASS {
        ((1 << 16) - (1 << (16 - class)), 1 << (15 - class))
    } else {
        ((1 << 16) - 1, 1)
    }
}

/// The class whose interval holds `quantile`: its number of leading ones in 16 bits.
#[inline]
pub(crate) fn class_of(quantile: u32) -> u32 {
    (quantile << 16).leading_ones().min(MAX_CLASS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_quantile_lies_in_its_class() {
        for quantile in 0..1 << 16 {
            let (left, frequency) = class_interval(class_of(quantile));
            assert!((left..left + frequency).contains(&quantile), "{quantile}");
        }
    }

    #[test]
    fn every_symbol_outside_a_table_has_its_code() {
        for (min, max) in [(0, 0), (-3, 7), (i16::MIN, i16::MIN), (i16::MAX, i16::MAX)] {
            for s in (i16::MIN..=i16::MAX).filter(|s| !(min..=max).contains(s)) {
                let code = code(s, min, max);
                assert!(
                    (1..1 << 17).contains(&code),
                    "{s} outside {min}..={max}: {code}"
                );
                assert_eq!(symbol(code, min, max), Some(s));
            }
        }
    }
}

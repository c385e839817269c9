//! Tables to bytes and back, for codec files.
//!
//! | field | written as |
//! |---|---|
//! | version, 1 | one byte |
//! | channels | number |
//! | for each channel: first symbol `min` | number, `2 * min` or `-2 * min - 1` where negative |
//! | how many symbols, less 1 | number |
//! | each symbol's frequency, less 1 | numbers |
//!
//! A number is little-endian in groups of seven bits, the high bit set on all bytes but the last, in its
//! shortest form. The escape has what the frequencies lack to 2^16.

use crate::{MAX_CHANNELS, MAX_TABLE_SYMBOLS, Symbol, TOTAL, Table, TableError, Tables};

const VERSION: u8 = 1;

impl Tables {
    /// The tables as bytes, a few dozen a channel: what [`Tables::from_bytes`] reads.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION];
        write(&mut bytes, self.channels() as u32);
        for table in self.iter() {
            let min = i32::from(table.min());
            write(&mut bytes, ((min << 1) ^ (min >> 31)) as u32);
            write(&mut bytes, table.frequencies().len() as u32 - 1);
            for frequency in table.frequencies() {
                write(&mut bytes, u32::from(frequency) - 1);
            }
        }
        bytes
    }

    /// Reads tables, and checks every property that coding relies on. There is one way only to write given
    /// tables, so equal tables have equal bytes.
    ///
    /// # Errors
    /// [`TableError`] says what is wrong, for any bytes at all.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, TableError> {
        let (version, mut rest) = bytes.split_first().ok_or(TableError::Truncated)?;
        if *version != VERSION {
            return Err(TableError::Version { version: *version });
        }
        let channels = read(&mut rest, 0)? as usize;
        if channels > MAX_CHANNELS {
            return Err(TableError::Channels { channels });
        }
        // A channel takes at least three bytes, so this allocates in proportion to what there is.
        let mut tables = Vec::with_capacity(channels.min(rest.len() / 3));
        for channel in 0..channels {
            tables.push(read_table(&mut rest, channel)?);
        }
        if !rest.is_empty() {
            return Err(TableError::Trailing { bytes: rest.len() });
        }
        Self::new(tables)
    }
}

fn read_table(rest: &mut &[u8], channel: usize) -> Result<Table, TableError> {
    let zigzag = read(rest, channel)?;
    let min = Symbol::try_from((zigzag >> 1) as i32 ^ -((zigzag & 1) as i32))
        .map_err(|_| TableError::Number { channel })?;
    let symbols = read(rest, channel)? as usize + 1;
    if symbols > MAX_TABLE_SYMBOLS {
        return Err(TableError::Range {
            channel,
            min,
            symbols,
        });
    }
    let mut frequencies = Vec::with_capacity(symbols.min(rest.len()));
    for _ in 0..symbols {
        frequencies.push(read(rest, channel)? + 1);
    }
    Table::new(channel, min, &frequencies)
}

fn write(bytes: &mut Vec<u8>, mut number: u32) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

/// No number in the format exceeds 2^16, so three bytes hold any of them.
fn read(rest: &mut &[u8], channel: usize) -> Result<u32, TableError> {
    let mut number = 0;
    for group in 0..3 {
        let (byte, after) = rest.split_first().ok_or(TableError::Truncated)?;
        *rest = after;
        number |= u32::from(byte & 0x7f) << (7 * group);
        if byte & 0x80 == 0 {
            let shortest = group == 0 || *byte != 0;
            if shortest && number <= TOTAL {
                return Ok(number);
            }
            break;
        }
    }
    Err(TableError::Number { channel })
}

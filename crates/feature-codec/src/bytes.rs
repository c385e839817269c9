//! Tables to bytes and back, for codec files.
//!
//! | field | written as |
//! |---|---|
//! | version, 2 | one byte |
//! | channels | number |
//! | for each channel: how many tables, less 1 | number |
//! | if there are several: the two levels, the second as more than the first | numbers |
//! | which table each class of contexts has | [`CLASSES`] numbers |
//! | for each table: first symbol `min` | number, `2 * min` or `-2 * min - 1` where negative |
//! | how many symbols, less 1 | number |
//! | each symbol's frequency, less 1 | numbers |
//!
//! A number is little-endian in groups of seven bits, the high bit set on all bytes but the last, in its
//! shortest form. The escape has what the frequencies lack to 2^16.

use crate::{
    CLASSES, Channel, MAX_CHANNELS, MAX_TABLE_SYMBOLS, Symbol, TOTAL, Table, TableError, Tables,
};

const VERSION: u8 = 2;

impl Tables {
    /// The tables as bytes, a few dozen a channel: what [`Tables::from_bytes`] reads.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION];
        write(&mut bytes, self.channels() as u32);
        for channel in self.iter() {
            write_channel(&mut bytes, channel);
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
        // A channel takes at least four bytes, so this allocates in proportion to what there is.
        let mut all = Vec::with_capacity(channels.min(rest.len() / 4));
        for channel in 0..channels {
            all.push(read_channel(&mut rest, channel)?);
        }
        if !rest.is_empty() {
            return Err(TableError::Trailing { bytes: rest.len() });
        }
        Self::new(all)
    }
}

fn write_channel(bytes: &mut Vec<u8>, channel: &Channel) {
    let tables = channel.tables();
    write(bytes, tables.len() as u32 - 1);
    if tables.len() > 1 {
        let [middling, high] = channel.levels();
        write(bytes, u32::from(middling));
        write(bytes, u32::from(high - middling));
        for class in channel.classes() {
            write(bytes, u32::from(class));
        }
    }
    for table in tables {
        let min = i32::from(table.min());
        write(bytes, ((min << 1) ^ (min >> 31)) as u32);
        write(bytes, table.frequencies().len() as u32 - 1);
        for frequency in table.frequencies() {
            write(bytes, u32::from(frequency) - 1);
        }
    }
}

fn read_channel(rest: &mut &[u8], channel: usize) -> Result<Channel, TableError> {
    let wrong = TableError::Classes { channel };
    let several = read(rest, channel)? as usize;
    if several >= CLASSES {
        return Err(wrong);
    }
    let (mut levels, mut classes) = ([0; 2], [0; CLASSES]);
    if several > 0 {
        let middling = read(rest, channel)?;
        let high = middling + read(rest, channel)?;
        let level = |value| u16::try_from(value).map_err(|_| wrong.clone());
        levels = [level(middling)?, level(high)?];
        for class in &mut classes {
            *class = u8::try_from(read(rest, channel)?).map_err(|_| wrong.clone())?;
        }
    }
    let tables = (0..=several)
        .map(|_| read_table(rest, channel))
        .collect::<Result<_, _>>()?;
    Channel::new(channel, levels, classes, tables)
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

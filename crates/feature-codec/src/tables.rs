//! The tables of all channels, and coding with them.

use crate::coder::{Decoder, Encoder};
use crate::normalise::frequencies;
use crate::{Counts, DecodeError, EncodeError, Symbol, Table, TableError};

/// The most channels that tables hold.
pub const MAX_CHANNELS: usize = 4096;

/// The most symbols that one payload holds.
pub const MAX_SYMBOLS: usize = 1 << 20;

/// One frozen [`Table`] for each channel, the most important channel first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tables(Vec<Table>);

impl Tables {
    /// Freezes tables from how often each symbol occurred in each channel. The result depends on the counts
    /// alone, on every machine alike.
    ///
    /// # Errors
    /// [`TableError`]: no channels or too many, a channel in which nothing was counted, or counts of symbols
    /// above [`Symbol::MAX`].
    pub fn from_counts(channels: &[Counts]) -> Result<Self, TableError> {
        let table = |(channel, counts)| {
            let frequencies = frequencies(channel, counts)?;
            Table::new(channel, frequencies.min, &frequencies.each)
        };
        check_channels(channels.len())?;
        Ok(Self(
            channels
                .iter()
                .enumerate()
                .map(table)
                .collect::<Result<_, _>>()?,
        ))
    }

    /// From tables already checked; there must be 1 to [`MAX_CHANNELS`].
    pub(crate) fn new(tables: Vec<Table>) -> Result<Self, TableError> {
        check_channels(tables.len())?;
        Ok(Self(tables))
    }

    /// How many channels there are tables for.
    #[must_use]
    pub fn channels(&self) -> usize {
        self.0.len()
    }

    /// The table of one channel.
    #[must_use]
    pub fn table(&self, channel: usize) -> Option<&Table> {
        self.0.get(channel)
    }

    /// All tables, channel 0 first.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Table> {
        self.0.iter()
    }

    /// No payload of `channels x positions` symbols is longer than this, in bytes. Real ones are far shorter:
    /// this is what the most improbable symbols cost.
    #[must_use]
    pub fn max_payload(channels: usize, positions: usize) -> usize {
        // A symbol costs at most 16 bits for the escape, 16 for its class and 16 for its low bits. The coder's
        // rounding costs less than 2^-15 bits each, and its end less than a byte.
        let symbols = channels.saturating_mul(positions);
        symbols
            .saturating_mul(6)
            .saturating_add(symbols >> 16)
            .saturating_add(8)
    }

    /// Codes `channels x positions` symbols, channel after channel, into a payload. A prefix of the channels
    /// may be coded; whoever decodes must know `channels` and `positions`.
    ///
    /// # Errors
    /// [`EncodeError`]: more channels than tables, more than [`MAX_SYMBOLS`] symbols, or not as many symbols as
    /// `channels x positions`.
    pub fn encode(
        &self,
        symbols: &[Symbol],
        channels: usize,
        positions: usize,
    ) -> Result<Vec<u8>, EncodeError> {
        let tables = self.0.get(..channels).ok_or(EncodeError::Channels {
            channels,
            tables: self.0.len(),
        })?;
        let count = count(channels, positions).ok_or(EncodeError::TooMany {
            channels,
            positions,
        })?;
        if symbols.len() != count {
            return Err(EncodeError::Shape {
                symbols: symbols.len(),
                channels,
                positions,
            });
        }
        let mut encoder = Encoder::new();
        // (`chunks` of 0 positions would panic; there is nothing to code then.)
        for (symbols, table) in symbols.chunks(positions.max(1)).zip(tables).rev() {
            for symbol in symbols.iter().rev() {
                encoder.push(*symbol, table)?;
            }
        }
        Ok(encoder.finish())
    }

    /// Reads `channels x positions` symbols, channel after channel, and checks that they are all of the payload.
    ///
    /// # Errors
    /// [`DecodeError`]: a geometry that [`Tables::encode`] would refuse, or a payload that it would not have
    /// written.
    pub fn decode(
        &self,
        payload: &[u8],
        channels: usize,
        positions: usize,
    ) -> Result<Vec<Symbol>, DecodeError> {
        let tables = self.0.get(..channels).ok_or(DecodeError::Channels {
            channels,
            tables: self.0.len(),
        })?;
        let count = count(channels, positions).ok_or(DecodeError::TooMany {
            channels,
            positions,
        })?;
        let limit = Self::max_payload(channels, positions);
        if payload.len() > limit {
            return Err(DecodeError::TooLong {
                bytes: payload.len(),
                limit,
            });
        }
        let mut decoder = Decoder::new(payload)?;
        let mut symbols = vec![0; count];
        for (channel, (symbols, table)) in
            symbols.chunks_mut(positions.max(1)).zip(tables).enumerate()
        {
            for (position, symbol) in symbols.iter_mut().enumerate() {
                let index = channel * positions + position;
                *symbol = decoder.pop(table).ok_or(DecodeError::Symbol { index })?;
            }
        }
        decoder.finish()?;
        Ok(symbols)
    }
}

fn check_channels(channels: usize) -> Result<(), TableError> {
    if (1..=MAX_CHANNELS).contains(&channels) {
        Ok(())
    } else {
        Err(TableError::Channels { channels })
    }
}

/// How many symbols so many channels have, where one payload may hold them.
fn count(channels: usize, positions: usize) -> Option<usize> {
    channels
        .checked_mul(positions)
        .filter(|count| *count <= MAX_SYMBOLS)
}

//! The tables of all channels, and coding with them.

use crate::coder::{Decoder, Encoder};
use crate::{
    Channel, ChannelCounts, Context, DecodeError, EncodeError, Geometry, Symbol, Table, TableError,
    Walk,
};

/// The most channels that tables hold.
pub const MAX_CHANNELS: usize = 4096;

/// The most symbols that one payload holds.
pub const MAX_SYMBOLS: usize = 1 << 20;

/// The frozen tables of each [`Channel`], the most important channel first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tables(Vec<Channel>);

impl Tables {
    /// Freezes tables from how often each symbol occurred in each channel: [`ChannelCounts`], or plain
    /// [`Counts`](crate::Counts) for one table a channel. The result depends on the counts alone, on every
    /// machine alike.
    ///
    /// # Errors
    /// [`TableError`]: no channels or too many, a table for which nothing was counted, counts of symbols
    /// above [`Symbol::MAX`], or classes that do not fit the tables.
    pub fn from_counts<C: Clone + Into<ChannelCounts>>(channels: &[C]) -> Result<Self, TableError> {
        check_channels(channels.len())?;
        Ok(Self(
            channels
                .iter()
                .enumerate()
                .map(|(number, counts)| Channel::from_counts(number, &counts.clone().into()))
                .collect::<Result<_, _>>()?,
        ))
    }

    /// From channels already checked; there must be 1 to [`MAX_CHANNELS`].
    pub(crate) fn new(channels: Vec<Channel>) -> Result<Self, TableError> {
        check_channels(channels.len())?;
        Ok(Self(channels))
    }

    /// How many channels there are tables for.
    #[must_use]
    pub fn channels(&self) -> usize {
        self.0.len()
    }

    /// All channels, the first one first.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Channel> {
        self.0.iter()
    }

    /// No payload of so many symbols is longer than this, in bytes. Real ones are far shorter:
    /// this is what the most improbable symbols cost.
    #[must_use]
    pub fn max_payload(geometry: Geometry) -> usize {
        // A symbol costs at most 16 bits for the escape, 16 for its class and 16 for its low bits. The coder's
        // rounding costs less than 2^-15 bits each, and its end less than a byte.
        let Geometry {
            channels,
            rows,
            columns,
        } = geometry;
        let symbols = channels.saturating_mul(rows.saturating_mul(columns));
        symbols
            .saturating_mul(6)
            .saturating_add(symbols >> 16)
            .saturating_add(8)
    }

    /// Codes symbols of this geometry into a payload. A prefix of the channels may be coded; whoever decodes
    /// must know the geometry.
    ///
    /// # Errors
    /// [`EncodeError`]: more channels than tables, more than [`MAX_SYMBOLS`] symbols, or not as many symbols as
    /// the geometry has.
    pub fn encode(&self, symbols: &[Symbol], geometry: Geometry) -> Result<Vec<u8>, EncodeError> {
        let channels = self
            .0
            .get(..geometry.channels)
            .ok_or(EncodeError::Channels {
                channels: geometry.channels,
                tables: self.0.len(),
            })?;
        let count = geometry.symbols().ok_or(EncodeError::TooMany(geometry))?;
        if symbols.len() != count {
            return Err(EncodeError::Shape {
                symbols: symbols.len(),
                geometry,
            });
        }
        // The coder takes the last symbol first; which table codes it follows from those before it.
        let mut encoder = Encoder::new();
        for (symbol, table) in symbols
            .iter()
            .zip(tables_of(channels, symbols, geometry))
            .rev()
        {
            encoder.push(*symbol, table)?;
        }
        Ok(encoder.finish())
    }

    /// Reads symbols of this geometry, and checks that they are all of the payload.
    ///
    /// # Errors
    /// [`DecodeError`]: a geometry that [`Tables::encode`] would refuse, or a payload that it would not have
    /// written.
    pub fn decode(&self, payload: &[u8], geometry: Geometry) -> Result<Vec<Symbol>, DecodeError> {
        let channels = self
            .0
            .get(..geometry.channels)
            .ok_or(DecodeError::Channels {
                channels: geometry.channels,
                tables: self.0.len(),
            })?;
        let count = geometry.symbols().ok_or(DecodeError::TooMany(geometry))?;
        let limit = Self::max_payload(geometry);
        if payload.len() > limit {
            return Err(DecodeError::TooLong {
                bytes: payload.len(),
                limit,
            });
        }
        let mut decoder = Decoder::new(payload)?;
        let mut symbols = Vec::with_capacity(count);
        let mut walk = Walk::new(geometry);
        for channel in channels {
            for _ in 0..count / channels.len() {
                let table = channel.table(walk.context());
                let index = symbols.len();
                let symbol = decoder.pop(table).ok_or(DecodeError::Symbol { index })?;
                walk.push(symbol);
                symbols.push(symbol);
            }
        }
        decoder.finish()?;
        Ok(symbols)
    }
}

/// The table of each symbol.
fn tables_of<'a>(
    channels: &'a [Channel],
    symbols: &[Symbol],
    geometry: Geometry,
) -> Vec<&'a Table> {
    let positions = geometry.rows * geometry.columns;
    let of = |index: usize, context: Context| channels[index / positions].table(context);
    contexts(symbols, geometry)
        .enumerate()
        .map(|(index, context)| of(index, context))
        .collect()
}

/// What stands around each of these symbols.
pub fn contexts(symbols: &[Symbol], geometry: Geometry) -> impl Iterator<Item = Context> {
    let mut walk = Walk::new(geometry);
    symbols.iter().map(move |symbol| {
        let context = walk.context();
        walk.push(*symbol);
        context
    })
}

fn check_channels(channels: usize) -> Result<(), TableError> {
    if (1..=MAX_CHANNELS).contains(&channels) {
        Ok(())
    } else {
        Err(TableError::Channels { channels })
    }
}

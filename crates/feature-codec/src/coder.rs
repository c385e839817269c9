//! rANS over intervals, and its words as bytes.

use core::{borrow::Borrow, convert::Infallible, num::NonZeroU32};

use constriction::backends::ReadWords;
use constriction::stream::model::{DecoderModel, EncoderModel, EntropyModel};
use constriction::stream::stack::AnsCoder;
use constriction::stream::{Decode, Encode};
use constriction::{CoderError, Stack};

use crate::table::{Entry, Interval, Table};
use crate::{DecodeError, EncodeError, PRECISION, Symbol, escape};

/// Pushes symbols; they come out of [`Decoder`] in reverse order.
pub(crate) struct Encoder(AnsCoder<u32, u64, Vec<u32>>);

impl Encoder {
    /// An empty encoder.
    pub(crate) fn new() -> Self {
        Self(AnsCoder::new())
    }

    /// Pushes `symbol`, by way of the table's escape where it must.
    #[inline]
    pub(crate) fn push(&mut self, symbol: Symbol, table: &Table) -> Result<(), EncodeError> {
        match table.interval(symbol) {
            Some(interval) => self.push_interval(interval.left.into(), interval.frequency.into()),
            None => self.push_escaped(symbol, table),
        }
    }

    #[cold]
    fn push_escaped(&mut self, symbol: Symbol, table: &Table) -> Result<(), EncodeError> {
        let code = escape::code(symbol, table.min(), table.max());
        let class = code.ilog2();
        let low = code - (1 << class);
        self.push_interval(low << (16 - class), 1 << (16 - class))?;
        let (left, frequency) = escape::class_interval(class);
        self.push_interval(left, frequency)?;
        let Interval { left, frequency } = table.escape_interval();
        self.push_interval(left.into(), frequency.into())
    }

    #[inline]
    fn push_interval(&mut self, left: u32, frequency: u32) -> Result<(), EncodeError> {
        // Class 0 has no bits of its own: an interval that is everything says nothing.
        if frequency >> PRECISION != 0 {
            return Ok(());
        }
        let frequency = NonZeroU32::new(frequency).ok_or(EncodeError::Coder)?;
        self.0
            .encode_symbol((), Piece { left, frequency })
            .map_err(|_| EncodeError::Coder)
    }

    /// The bytes of everything pushed.
    pub(crate) fn finish(self) -> Vec<u8> {
        let (words, state) = self.0.into_raw_parts();
        let state_bytes = (u64::BITS - state.leading_zeros()).div_ceil(8) as usize;
        let mut bytes = Vec::with_capacity(words.len() * 4 + state_bytes);
        bytes.extend(words.iter().flat_map(|word| word.to_le_bytes()));
        // The state's two words, which are written as the coder would write them: high word last.
        let low_first = state.to_le_bytes();
        bytes.extend_from_slice(&low_first[..state_bytes]);
        bytes
    }
}

/// Pops symbols off a payload.
pub(crate) struct Decoder<'a>(AnsCoder<u32, u64, Words<'a>>);

impl<'a> Decoder<'a> {
    /// Takes the state off the end of `payload`.
    pub(crate) fn new(payload: &'a [u8]) -> Result<Self, DecodeError> {
        if payload.last() == Some(&0) {
            return Err(DecodeError::ZeroLastByte);
        }
        // Behind whole words the state has 5 to 8 bytes; where there are none it may have fewer.
        let state_bytes = match payload.len() {
            short @ 0..=8 => short,
            long => 5 + (long - 5) % 4,
        };
        let (words, tail) = payload.split_at(payload.len() - state_bytes);
        let state = tail
            .iter()
            .rev()
            .fold(0, |state, byte| state << 8 | u64::from(*byte));
        Ok(Self(AnsCoder::from_raw_parts(Words(words), state)))
    }

    /// Pops the next symbol; `None` where an escape names one outside the range of symbols.
    #[inline]
    pub(crate) fn pop(&mut self, table: &Table) -> Option<Symbol> {
        let Ok(entry) = self.0.decode_symbol(Entries(table));
        if entry.escape {
            return self.pop_escaped(table);
        }
        Some(entry.symbol)
    }

    #[cold]
    fn pop_escaped(&mut self, table: &Table) -> Option<Symbol> {
        let Ok(class) = self.0.decode_symbol(Class);
        let low = if class == 0 {
            0
        } else {
            let Ok(low) = self.0.decode_symbol(Bits(class));
            low
        };
        escape::symbol((1 << class) | low, table.min(), table.max())
    }

    /// Checks that nothing is left.
    pub(crate) fn finish(self) -> Result<(), DecodeError> {
        let (words, state) = self.0.into_raw_parts();
        if !words.0.is_empty() {
            return Err(DecodeError::Trailing {
                bytes: words.0.len(),
            });
        }
        if state == 0 {
            Ok(())
        } else {
            Err(DecodeError::Unfinished)
        }
    }
}

/// The words of a payload, read from its end. Its length is a multiple of 4.
struct Words<'a>(&'a [u8]);

impl ReadWords<u32, Stack> for Words<'_> {
    type ReadError = Infallible;

    #[inline]
    fn read(&mut self) -> Result<Option<u32>, Infallible> {
        Ok(self.0.split_last_chunk().map(|(rest, word)| {
            self.0 = rest;
            u32::from_le_bytes(*word)
        }))
    }
}

/// One interval, already looked up: a model of one symbol.
struct Piece {
    left: u32,
    frequency: NonZeroU32,
}

impl EntropyModel<PRECISION> for Piece {
    type Symbol = ();
    type Probability = u32;
}

impl EncoderModel<PRECISION> for Piece {
    #[inline]
    fn left_cumulative_and_probability(&self, _: impl Borrow<()>) -> Option<(u32, NonZeroU32)> {
        Some((self.left, self.frequency))
    }
}

/// The entries of a table.
struct Entries<'a>(&'a Table);

impl EntropyModel<PRECISION> for Entries<'_> {
    type Symbol = Entry;
    type Probability = u32;
}

impl DecoderModel<PRECISION> for Entries<'_> {
    #[inline]
    fn quantile_function(&self, quantile: u32) -> (Entry, u32, NonZeroU32) {
        // The coder asks for quantiles below 2^16 only.
        let entry = self.0.entry(quantile as u16);
        let Interval { left, frequency } = entry.interval;
        // No entry has a frequency of 0 (see `Table::new`).
        let frequency = NonZeroU32::new(frequency.into()).unwrap_or(NonZeroU32::MIN);
        (entry, left.into(), frequency)
    }
}

/// The class of an escaped symbol.
struct Class;

impl EntropyModel<PRECISION> for Class {
    type Symbol = u32;
    type Probability = u32;
}

impl DecoderModel<PRECISION> for Class {
    fn quantile_function(&self, quantile: u32) -> (u32, u32, NonZeroU32) {
        let class = escape::class_of(quantile);
        let (left, frequency) = escape::class_interval(class);
        (
            class,
            left,
            NonZeroU32::new(frequency).unwrap_or(NonZeroU32::MIN),
        )
    }
}

/// So many bits, 1 to 16, all values equally probable.
struct Bits(u32);

impl EntropyModel<PRECISION> for Bits {
    type Symbol = u32;
    type Probability = u32;
}

impl DecoderModel<PRECISION> for Bits {
    fn quantile_function(&self, quantile: u32) -> (u32, u32, NonZeroU32) {
        let shift = 16 - self.0;
        let value = quantile >> shift;
        (
            value,
            value << shift,
            NonZeroU32::MIN.saturating_add((1 << shift) - 1),
        )
    }
}

/// That the errors of decoding are none at all.
const _: fn(CoderError<Infallible, Infallible>) -> Infallible = |error| match error {};

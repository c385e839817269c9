//! A coded feature: what its header says of it, checked against the codec, and its payload decoded.

use std::time::{Duration, Instant};

use aecnn::Split;
use aecnn::codec::CodecFile;
use feature_codec::Geometry;
use wire::FrameHeader;

use crate::catalogue::Catalogue;
use crate::engine::{CodecId, Input};
use crate::error::Refusal;
use crate::picture::Prepared;

/// How a payload is to be read; everything but its content was checked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Coded {
    id: CodecId,
    split: Split,
    rate: usize,
    geometry: Geometry,
}

impl Coded {
    /// Checks a header against `codec`, whose number is `id`. The number in the header is not looked at: it is a
    /// session's.
    ///
    /// # Errors
    ///
    /// When the split is another one, there is no such rate, or it has fewer channels.
    pub(crate) fn check(
        id: CodecId,
        codec: &CodecFile,
        header: &FrameHeader,
    ) -> Result<Self, Refusal> {
        if header.split != codec.split.as_u8() {
            return Err(Refusal::Split {
                got: header.split,
                expected: codec.split.as_u8(),
            });
        }
        let rate = codec
            .rates
            .get(usize::from(header.rate))
            .ok_or(Refusal::Rate {
                rate: header.rate,
                rates: codec.rates.len(),
            })?;
        let channels = usize::from(header.channels);
        if channels > rate.channels() {
            return Err(Refusal::Channels {
                got: header.channels,
                most: rate.channels(),
            });
        }
        Ok(Self {
            id,
            split: codec.split,
            rate: usize::from(header.rate),
            geometry: codec.geometry(channels),
        })
    }

    /// Entropy decoding: the payload's bytes to symbols, with the tables of the frame's rate.
    ///
    /// # Errors
    ///
    /// When the payload does not decode.
    pub(crate) fn decode(self, catalogue: &Catalogue, payload: &[u8]) -> Result<Prepared, Refusal> {
        let started = Instant::now();
        let tables = catalogue
            .codec(self.id)
            .and_then(|codec| codec.rates.get(self.rate))
            .map(|rate| &rate.tables)
            .ok_or_else(|| Refusal::Internal("the frame's codec is gone".to_owned()))?;
        let symbols = tables.decode(payload, self.geometry)?;
        Ok(Prepared {
            input: Input::Latent {
                codec: self.id,
                split: self.split,
                rate: self.rate,
                symbols,
            },
            decode: started.elapsed(),
            preprocess: Duration::ZERO,
        })
    }
}

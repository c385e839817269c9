//! The picture codecs that direct offloading would use.

use std::io::Cursor;

use aecnn::preprocess::INPUT;
use anyhow::{Context, Result, anyhow};
use clap::ValueEnum;
use image::ImageReader;
use jpeg_encoder::{ColorType, Encoder, SamplingFactor};

/// A lossy picture codec.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum PictureCodec {
    /// Baseline JPEG, 4:2:0, the standard's Huffman tables. (Optimised ones save some hundred bytes, but the
    /// encoder then writes one scan a component, which the decoder here gets wrong at 4:2:0.)
    Jpeg,
    /// Lossy WebP by libwebp at its default effort.
    Webp,
}

impl PictureCodec {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Jpeg => "jpeg",
            Self::Webp => "webp",
        }
    }

    /// The bytes of the compressed picture, and the picture that comes out of them.
    pub(super) fn round_trip(self, rgb: &[u8], quality: u8) -> Result<(usize, Vec<u8>)> {
        let bytes = self.encode(rgb, quality)?;
        let decoded = ImageReader::new(Cursor::new(&bytes))
            .with_guessed_format()?
            .decode()
            .with_context(|| format!("decoding our own {}", self.name()))?;
        Ok((bytes.len(), decoded.into_rgb8().into_raw()))
    }

    fn encode(self, rgb: &[u8], quality: u8) -> Result<Vec<u8>> {
        match self {
            Self::Jpeg => {
                let mut bytes = Vec::new();
                let mut encoder = Encoder::new(&mut bytes, quality);
                encoder.set_sampling_factor(SamplingFactor::F_2_2);
                encoder.encode(rgb, INPUT as u16, INPUT as u16, ColorType::Rgb)?;
                Ok(bytes)
            }
            Self::Webp => {
                let encoder = webp::Encoder::from_rgb(rgb, INPUT as u32, INPUT as u32);
                let encoded = encoder
                    .encode_simple(false, f32::from(quality))
                    .map_err(|error| anyhow!("libwebp: {error:?}"))?;
                Ok(encoded.to_vec())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_survive_and_shrink() {
        let rgb: Vec<u8> = (0..INPUT * INPUT)
            .flat_map(|at| [(at % INPUT) as u8, (at / INPUT) as u8, 128])
            .collect();
        for codec in [PictureCodec::Jpeg, PictureCodec::Webp] {
            let (low, _) = codec.round_trip(&rgb, 10).unwrap();
            let (high, decoded) = codec.round_trip(&rgb, 95).unwrap();
            assert!(low < high && high < rgb.len());
            let error: u64 = decoded
                .iter()
                .zip(&rgb)
                .map(|(a, b)| u64::from(a.abs_diff(*b)))
                .sum();
            let mean = error as f64 / rgb.len() as f64;
            assert!(mean < 4.0, "{}: {mean}", codec.name());
        }
    }
}

//! The ways that can be chosen, and what is known of them before a frame has gone.

use aecnn::Split;
use aecnn::manifest::CodecEntry;
use wire::{HEADER_BYTES, RAW_BYTES};

use crate::way::{Format, Way};

/// A way that can be chosen.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// The way.
    pub way: Way,
    /// Where it cuts the network; `None` where it does not.
    pub split: Option<Split>,
    /// Expected bytes of its message, header included.
    pub bytes: f64,
    /// Share of pictures whose top-1 is the uncompressed network's, 0 to 1.
    pub agreement: f64,
}

impl Candidate {
    /// What people call it: a rate is its expected bytes, as where it is chosen by hand.
    #[must_use]
    pub fn name(&self) -> String {
        match &self.way {
            Way::Features { codec, .. } => format!("{codec} at {}", size(self.bytes)),
            other => other.to_string(),
        }
    }
}

fn size(bytes: f64) -> String {
    // A cast from float saturates.
    let whole = bytes.round() as u32;
    match whole {
        0..1_000 => format!("{whole} B"),
        1_000..10_000 => format!("{},{:03} B", whole / 1_000, whole % 1_000),
        _ => format!("{:.1} kB", bytes / 1e3),
    }
}

/// Format, quality, mean bytes without a header, agreement: of the pictures in `docs/results/nips2017-pictures.json`.
const PICTURES: [(Format, u8, f64, f64); 8] = [
    (Format::Jpeg, 30, 5_313.0, 0.816),
    (Format::Jpeg, 50, 6_989.0, 0.864),
    (Format::Jpeg, 75, 10_074.0, 0.924),
    (Format::Jpeg, 90, 16_551.0, 0.962),
    (Format::WebP, 30, 4_001.0, 0.806),
    (Format::WebP, 50, 5_409.0, 0.848),
    (Format::WebP, 75, 7_264.0, 0.902),
    (Format::WebP, 90, 13_526.0, 0.960),
];

/// Every rate of a codec, with all of its channels.
pub fn of_codec(codec: &CodecEntry) -> impl Iterator<Item = Candidate> {
    codec
        .rates
        .iter()
        .zip(0u8..)
        .map(|(rate, index)| Candidate {
            way: Way::Features {
                codec: codec.name.clone(),
                rate: index,
                channels: None,
            },
            split: Some(codec.split),
            bytes: rate.mean_bytes,
            agreement: rate.agreement,
        })
}

/// Pictures of up to `limit` bytes, and raw pixels where they fit.
pub fn of_pictures(limit: u32) -> impl Iterator<Item = Candidate> {
    let header = HEADER_BYTES as f64;
    PICTURES
        .into_iter()
        .chain([(Format::Raw, 0, RAW_BYTES as f64, 1.0)])
        .filter(move |(.., bytes, _)| *bytes <= f64::from(limit))
        .map(move |(format, quality, bytes, agreement)| Candidate {
            way: Way::Picture { format, quality },
            split: None,
            bytes: bytes + header,
            agreement,
        })
}

/// The whole network here.
#[must_use]
pub fn of_device() -> Candidate {
    Candidate {
        way: Way::Device,
        split: None,
        bytes: 0.0,
        agreement: 1.0,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_pictures_are_those_that_were_measured() {
        let path =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/results/nips2017-pictures.json");
        let results: serde_json::Value =
            serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        for (format, quality, bytes, agreement) in PICTURES {
            let name = serde_json::to_value(format).unwrap();
            let rate = format!("q{quality}");
            let row = results["methods"]
                .as_array()
                .unwrap()
                .iter()
                .find(|row| row["name"] == name && row["rate"] == rate.as_str());
            let row = row.unwrap_or_else(|| panic!("no {name} {rate}"));
            assert_eq!(
                row["mean_bytes"].as_f64().unwrap().round(),
                bytes,
                "{name} {rate}"
            );
            assert_eq!(
                row["agreement"].as_f64().unwrap(),
                agreement,
                "{name} {rate}"
            );
        }
    }

    #[test]
    fn a_rate_is_called_by_its_bytes() {
        let name = |bytes| {
            let way = Way::Features {
                codec: "aecnn-stage2".to_owned(),
                rate: 3,
                channels: None,
            };
            let (split, agreement) = (Some(Split::Stage2), 0.8);
            Candidate {
                way,
                split,
                bytes,
                agreement,
            }
            .name()
        };
        assert_eq!(name(544.3), "aecnn-stage2 at 544 B");
        assert_eq!(name(1_072.3), "aecnn-stage2 at 1,072 B");
        assert_eq!(name(2_004.0), "aecnn-stage2 at 2,004 B");
        assert_eq!(name(12_345.0), "aecnn-stage2 at 12.3 kB");
        assert_eq!(of_device().name(), "the whole network on this device");
    }

    #[test]
    fn a_server_that_takes_no_pictures_is_offered_none() {
        assert_eq!(of_pictures(0).count(), 0);
        assert_eq!(of_pictures(100_000).count(), PICTURES.len());
        assert_eq!(of_pictures(1 << 20).count(), PICTURES.len() + 1);
    }
}

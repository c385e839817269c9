//! Where the network is cut, and what is sent there.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The place where ResNet-50 is cut: the device runs everything up to and including it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// After the max-pool.
    Stem,
    /// After the first stage of residual blocks (`conv2_x` in the ResNet paper).
    Stage1,
    /// After the second stage (`conv3_x`).
    Stage2,
    /// After the third stage (`conv4_x`).
    Stage3,
    /// After the fourth stage (`conv5_x`), before the global average pooling.
    Stage4,
}

/// A name or number that is no split.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no split is called `{0}`; the splits are stem, stage1, stage2, stage3 and stage4")]
pub struct UnknownSplit(pub String);

impl Split {
    /// Every split, from the input to the output.
    pub const ALL: [Self; 5] = [
        Self::Stem,
        Self::Stage1,
        Self::Stage2,
        Self::Stage3,
        Self::Stage4,
    ];

    /// The number of residual stages in front of the split, 0 to 4.
    #[must_use]
    pub const fn stages(self) -> usize {
        self as usize
    }

    /// The split's number on the wire, 0 (stem) to 4 (stage 4).
    #[must_use]
    pub const fn as_u8(self) -> u8 {
        self as u8
    }

    /// The split's name, as in file names, flags and addresses.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stem => "stem",
            Self::Stage1 => "stage1",
            Self::Stage2 => "stage2",
            Self::Stage3 => "stage3",
            Self::Stage4 => "stage4",
        }
    }

    /// The feature's shape when every pixel that the architecture produces is kept. Compression
    /// ratios in the literature are stated against this one.
    #[must_use]
    pub const fn whole_feature(self) -> FeatureShape {
        let (channels, side) = match self {
            Self::Stem => (64, 56),
            Self::Stage1 => (256, 56),
            Self::Stage2 => (512, 28),
            Self::Stage3 => (1024, 14),
            Self::Stage4 => (2048, 7),
        };
        FeatureShape {
            channels,
            height: side,
            width: side,
        }
    }
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Split {
    type Err = UnknownSplit;

    fn from_str(name: &str) -> Result<Self, UnknownSplit> {
        Self::ALL
            .into_iter()
            .find(|split| split.name() == name)
            .ok_or_else(|| UnknownSplit(name.to_owned()))
    }
}

impl TryFrom<u8> for Split {
    type Error = UnknownSplit;

    fn try_from(number: u8) -> Result<Self, UnknownSplit> {
        Self::ALL
            .get(usize::from(number))
            .copied()
            .ok_or_else(|| UnknownSplit(number.to_string()))
    }
}

/// The shape of one picture's feature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FeatureShape {
    /// Channels.
    pub channels: usize,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

impl FeatureShape {
    /// Values in the feature.
    #[must_use]
    pub const fn values(self) -> usize {
        self.channels * self.height * self.width
    }

    /// Bytes of the feature as 32-bit floats.
    #[must_use]
    pub const fn fp32_bytes(self) -> usize {
        4 * self.values()
    }
}

/// The two published forms of ResNet-50. They differ in where stages 2 to 4 halve the resolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Variant {
    /// The paper's and Keras': stride 2 in the first 1x1 convolution of a stage.
    #[serde(rename = "v1")]
    V1,
    /// torchvision's: stride 2 in the 3x3 convolution of a stage's first block.
    #[serde(rename = "v1.5")]
    V1_5,
}

impl Variant {
    /// The shape of the feature that has to be sent.
    ///
    /// In v1 the first convolutions of stages 2 to 4 are 1x1 with stride 2: they read only the
    /// pixels in even rows and columns. The others change nothing, so they are neither computed
    /// nor sent, and the feature after stages 1 to 3 has half the side.
    #[must_use]
    pub const fn feature_shape(self, split: Split) -> FeatureShape {
        let whole = split.whole_feature();
        match (self, split) {
            (Self::V1, Split::Stage1 | Split::Stage2 | Split::Stage3) => FeatureShape {
                channels: whole.channels,
                height: whole.height / 2,
                width: whole.width / 2,
            },
            _ => whole,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_round_trip() {
        for split in Split::ALL {
            assert_eq!(split.name().parse(), Ok(split));
            assert_eq!(Split::try_from(split.as_u8()), Ok(split));
        }
        assert_eq!(
            "stage5".parse::<Split>(),
            Err(UnknownSplit("stage5".to_owned()))
        );
        assert!(Split::try_from(5).is_err());
    }

    #[test]
    fn shapes_are_the_architectures() {
        assert_eq!(Split::Stage1.whole_feature().fp32_bytes(), 3_211_264);
        assert_eq!(
            Variant::V1.feature_shape(Split::Stage2),
            FeatureShape {
                channels: 512,
                height: 14,
                width: 14
            }
        );
        assert_eq!(
            Variant::V1_5.feature_shape(Split::Stage2),
            Split::Stage2.whole_feature()
        );
        assert_eq!(
            Variant::V1.feature_shape(Split::Stage4),
            Split::Stage4.whole_feature()
        );
    }
}

//! A front shared between threads that share no memory: each computes some rows of the feature.

use std::future::Future;
use std::ops::Range;
use std::pin::Pin;

use aecnn::manifest::Manifest;
use aecnn::preprocess::{INPUT, Preprocessing};
use aecnn::resnet::{Front, Precision};
use aecnn::{FeatureShape, Split};
use burn::tensor::{Device, Tensor, TensorData};

use crate::encode::{network_input, read_back};
use crate::error::DeviceError;
use crate::model::load_front;

/// What a front is loaded for, by which it is as exact as it must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// For a codec, which leaves less of the feature than a coarse front does.
    Codec,
    /// For the whole network.
    Whole,
}

impl Purpose {
    /// The front's precision.
    #[must_use]
    pub fn precision(self) -> Precision {
        match self {
            Self::Codec => Precision::Coarse,
            Self::Whole => Precision::Single,
        }
    }

    /// As the page calls it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Codec => "codec",
            Self::Whole => "whole",
        }
    }

    /// The purpose of this name.
    ///
    /// # Errors
    ///
    /// [`DeviceError::InvalidArgument`] when there is none.
    pub fn parse(name: &str) -> Result<Self, DeviceError> {
        let all = [Self::Codec, Self::Whole];
        (all.into_iter().find(|purpose| purpose.name() == name)).ok_or_else(|| {
            DeviceError::InvalidArgument(format!("a front for `{name}`; it is for codec or whole"))
        })
    }
}

/// Rows of a feature, `[channels, rows, width]`, on their way.
pub type Rows<'a> = Pin<Box<dyn Future<Output = Result<Vec<f32>, DeviceError>> + 'a>>;

/// Threads that compute rows of a feature beside this one.
pub trait Helpers {
    /// How many of them have the front of `split` for `purpose`.
    fn count(&self, split: Split, purpose: Purpose) -> usize;

    /// Rows `rows` of the feature of `split` of what the network sees (224 rows of 224 pixels, red, green, blue). Begins at
    /// once, and is asked of another thread each time.
    fn ask(&self, split: Split, purpose: Purpose, seen: &[u8], rows: Range<usize>) -> Rows<'_>;
}

/// What a helper has loaded: the fronts whose rows it computes.
#[derive(Debug, Default)]
pub struct Helper {
    fronts: Vec<Loaded>,
}

#[derive(Debug)]
struct Loaded {
    split: Split,
    purpose: Purpose,
    front: Front,
    preprocessing: Preprocessing,
    /// Rows of its feature.
    height: usize,
}

impl Helper {
    /// Loads the front of `split` for `purpose`, in place of one that was there.
    ///
    /// # Errors
    ///
    /// When a part is missing or damaged, or the manifest is.
    pub fn load(
        &mut self,
        manifest: &[u8],
        split: Split,
        purpose: Purpose,
        parts: &[(String, Vec<u8>)],
        device: &Device,
    ) -> Result<(), DeviceError> {
        let manifest = Manifest::parse(manifest)?;
        let front = load_front(&manifest, split, purpose, parts, device)?;
        self.fronts
            .retain(|loaded| (loaded.split, loaded.purpose) != (split, purpose));
        self.fronts.push(Loaded {
            split,
            purpose,
            front,
            height: manifest.variant.feature_shape(split).height,
            preprocessing: manifest.preprocessing,
        });
        Ok(())
    }

    /// See [`Helpers::ask`].
    ///
    /// # Errors
    ///
    /// When the front of `split` is not loaded, there are no such rows, or `seen` is of another size.
    pub async fn rows(
        &self,
        split: Split,
        purpose: Purpose,
        seen: &[u8],
        rows: Range<usize>,
        device: &Device,
    ) -> Result<Vec<f32>, DeviceError> {
        let mut fronts = self.fronts.iter();
        let loaded = fronts
            .find(|loaded| (loaded.split, loaded.purpose) == (split, purpose))
            .ok_or_else(|| {
                DeviceError::WayNotLoaded(format!("the network's front up to {split}"))
            })?;
        let height = loaded.height;
        if seen.len() != INPUT * INPUT * 3 || rows.start >= rows.end || rows.end > height {
            return Err(DeviceError::InvalidArgument(format!(
                "rows {rows:?} of a feature of {height} rows, from {} bytes; a helper takes {} bytes",
                seen.len(),
                INPUT * INPUT * 3
            )));
        }
        let input = network_input(seen, &loaded.preprocessing, device);
        read_back(loaded.front.rows(input, rows)).await
    }
}

/// A front that can be shared.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shared<'a> {
    pub(crate) front: &'a Front,
    pub(crate) split: Split,
    pub(crate) purpose: Purpose,
    /// The feature's.
    pub(crate) shape: FeatureShape,
    pub(crate) device: &'a Device,
}

/// What the network sees, and the same as its `input`, to the feature, each of the helpers with its share of the rows. A share that
/// does not come is computed here.
pub(crate) async fn front(
    shared: Shared<'_>,
    seen: &[u8],
    input: Tensor<4>,
    helpers: &dyn Helpers,
) -> Result<Tensor<4>, DeviceError> {
    let Shared {
        front,
        split,
        purpose,
        shape,
        device,
    } = shared;
    let Some(extra) = Extra::of(split) else {
        return Ok(front.forward(input));
    };
    let shares = extra.shares(shape.height, 1 + helpers.count(split, purpose));
    let rows = |rows: &Range<usize>| front.rows(input.clone(), rows.clone());
    let asked: Vec<Rows<'_>> = (shares.iter().skip(1))
        .map(|share| helpers.ask(split, purpose, seen, share.clone()))
        .collect();
    let mut parts = vec![read_back(rows(&shares[0])).await?];
    for (share, asked) in shares.iter().skip(1).zip(asked) {
        let wanted = shape.channels * share.len() * shape.width;
        match asked.await {
            Ok(part) if part.len() == wanted => parts.push(part),
            _ => parts.push(read_back(rows(share)).await?),
        }
    }
    let mut feature = Vec::with_capacity(shape.channels * shape.height * shape.width);
    for channel in 0..shape.channels {
        for (share, part) in shares.iter().zip(&parts) {
            let length = share.len() * shape.width;
            feature.extend_from_slice(&part[channel * length..][..length]);
        }
    }
    let data = TensorData::new(feature, [1, shape.channels, shape.height, shape.width]);
    Ok(Tensor::from_data(data, device))
}

/// What a share takes beyond its own rows, in rows: measured, for it depends on sizes of tiles as well.
#[derive(Debug, Clone, Copy)]
struct Extra {
    /// For what its last rows depend on below them.
    below: f64,
    /// For what its first rows depend on above them.
    above: f64,
    /// For the way to another thread and back.
    way: f64,
}

impl Extra {
    /// `None` where sharing takes longer than doing it alone.
    fn of(split: Split) -> Option<Self> {
        let (below, above, way) = match split {
            Split::Stem => return None,
            Split::Stage1 => (1.7, 3.2, 1.5),
            Split::Stage2 | Split::Stage3 | Split::Stage4 => (1.1, 2.5, 0.4),
        };
        Some(Self { below, above, way })
    }

    /// `rows` in shares that take about the same time, in their order, the first of them without a way. At most
    /// `parts`, and fewer where one would have nothing.
    fn shares(self, rows: usize, parts: usize) -> Vec<Range<usize>> {
        let last = parts.saturating_sub(1) as f64;
        let extra = last * (self.below + self.above + self.way);
        let time = (rows as f64 + extra) / (last + 1.0);
        let mut ends: Vec<usize> = (0..parts.saturating_sub(1))
            .map(|part| {
                // What has gone by behind this share, less what was not rows of its own.
                let before = part as f64;
                let extra = before * (self.below + self.above + self.way) + self.below;
                let end = ((before + 1.0) * time - extra).round();
                end.clamp(0.0, rows as f64) as usize
            })
            .collect();
        ends.push(rows);
        let mut from = 0;
        ends.into_iter()
            .filter_map(|end| {
                let share = from..end.max(from);
                from = share.end;
                (!share.is_empty()).then_some(share)
            })
            .collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn shares_take_about_the_same_time() {
        let stage2 = Extra::of(Split::Stage2).unwrap();
        // The upper half depends on less beside it, and needs no way.
        assert_eq!(stage2.shares(14, 2), [0..8, 8..14]);
        assert_eq!(stage2.shares(14, 4), [0..5, 5..8, 8..10, 10..14]);
        let stage1 = Extra::of(Split::Stage1).unwrap();
        assert_eq!(stage1.shares(28, 2), [0..16, 16..28]);
        assert!(Extra::of(Split::Stem).is_none());
    }

    #[test]
    fn shares_are_all_rows_and_none_is_empty() {
        for (rows, parts) in [(14, 3), (7, 7), (7, 16), (28, 3), (1, 4), (14, 80)] {
            for split in [Split::Stage1, Split::Stage2] {
                let shares = Extra::of(split).unwrap().shares(rows, parts);
                assert!((1..=parts).contains(&shares.len()));
                assert_eq!((shares[0].start, shares[shares.len() - 1].end), (0, rows));
                assert!(shares.windows(2).all(|two| two[0].end == two[1].start));
                assert!(shares.iter().all(|share| !share.is_empty()));
            }
        }
    }
}

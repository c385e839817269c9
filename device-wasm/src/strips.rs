//! A front shared between threads that share no memory: each computes some rows of the feature.

use std::future::Future;
use std::ops::Range;
use std::pin::Pin;

use aecnn::Split;
use aecnn::manifest::Manifest;
use aecnn::preprocess::{INPUT, Preprocessing};
use aecnn::resnet::Front;
use burn::tensor::{Device, Tensor, TensorData};

use crate::encode::{network_input, read_back};
use crate::error::DeviceError;
use crate::model::{LoadedModel, load_front};

/// Rows of a feature, `[channels, rows, width]`, on their way.
pub type Rows<'a> = Pin<Box<dyn Future<Output = Result<Vec<f32>, DeviceError>> + 'a>>;

/// Threads that compute rows of a feature beside this one.
pub trait Helpers {
    /// How many of them have the front of `split`.
    fn count(&self, split: Split) -> usize;

    /// Rows `rows` of the feature of `split` of what the network sees (224 rows of 224 pixels, red, green, blue). Begins at
    /// once, and is asked of another thread each time.
    fn ask(&self, split: Split, seen: &[u8], rows: Range<usize>) -> Rows<'_>;
}

/// What a helper has loaded: the fronts whose rows it computes.
#[derive(Debug, Default)]
pub struct Helper {
    fronts: Vec<Loaded>,
}

#[derive(Debug)]
struct Loaded {
    split: Split,
    front: Front,
    preprocessing: Preprocessing,
    /// Rows of its feature.
    height: usize,
}

impl Helper {
    /// Loads the front of `split`, in place of one that was there.
    ///
    /// # Errors
    ///
    /// When a part is missing or damaged, or the manifest is.
    pub fn load(
        &mut self,
        manifest: &[u8],
        split: Split,
        parts: &[(String, Vec<u8>)],
        device: &Device,
    ) -> Result<(), DeviceError> {
        let manifest = Manifest::parse(manifest)?;
        let front = load_front(&manifest, split, parts, device)?;
        self.fronts.retain(|loaded| loaded.split != split);
        self.fronts.push(Loaded {
            split,
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
        seen: &[u8],
        rows: Range<usize>,
        device: &Device,
    ) -> Result<Vec<f32>, DeviceError> {
        let loaded =
            (self.fronts.iter().find(|loaded| loaded.split == split)).ok_or_else(|| {
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

/// What the network sees to the feature, each of the helpers with its share of the rows. A share that does not come is
/// computed here.
pub(crate) async fn front(
    model: &LoadedModel,
    seen: &[u8],
    helpers: &dyn Helpers,
) -> Result<Tensor<4>, DeviceError> {
    let (split, device) = (model.split(), &model.device);
    let shape = model.feature();
    let shares = shares(shape.height, 1 + helpers.count(split));
    let rows = |rows: &Range<usize>| {
        let input = network_input(seen, &model.preprocessing, device);
        model.front.rows(input, rows.clone())
    };
    let asked: Vec<Rows<'_>> = (shares.iter().skip(1))
        .map(|share| helpers.ask(split, seen, share.clone()))
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

/// `rows` in about equal shares, at most `parts` of them, in their order. The first and the last are the larger ones:
/// the others depend on rows of two neighbours, which are computed again.
fn shares(rows: usize, parts: usize) -> Vec<Range<usize>> {
    let parts = parts.clamp(1, rows.max(1));
    let (least, more) = (rows / parts, rows % parts);
    let mut from = 0;
    (0..parts)
        .map(|part| {
            // Those that have one row more are taken from both ends in turn.
            let rank = (2 * part).min(2 * (parts - 1 - part) + 1);
            let share = from..from + least + usize::from(rank < more);
            from = share.end;
            share
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_even_and_the_outer_ones_larger() {
        assert_eq!(shares(14, 1), [0..14]);
        assert_eq!(shares(14, 2), [0..7, 7..14]);
        assert_eq!(shares(14, 4), [0..4, 4..7, 7..10, 10..14]);
        assert_eq!(shares(7, 3), [0..3, 3..5, 5..7]);
        for (rows, parts) in [(56, 5), (7, 7), (7, 9), (28, 3)] {
            let shares = shares(rows, parts);
            assert_eq!(shares.len(), parts.min(rows));
            assert_eq!((shares[0].start, shares[shares.len() - 1].end), (0, rows));
            assert!(shares.windows(2).all(|two| two[0].end == two[1].start));
        }
    }
}

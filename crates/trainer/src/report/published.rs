//! What others have published, as reference points.

use aecnn::Split;
use serde::Deserialize;

/// The file of published points.
#[derive(Debug, Deserialize)]
pub(super) struct Published {
    /// On what the points were measured.
    pub(super) about: String,
    /// Top-1 of the uncompressed network that they start from, 0 to 1.
    pub(super) uncompressed_top1: f64,
    pub(super) series: Vec<Series>,
}

/// One method's points.
#[derive(Debug, Deserialize)]
pub(super) struct Series {
    pub(super) method: String,
    /// Where its network is cut; none for pictures, and for encoders that replace the front.
    pub(super) split: Option<Split>,
    /// The place, where it is not quite one of our splits.
    pub(super) place: Option<String>,
    pub(super) source: String,
    /// Mean bytes a picture, and top-1 from 0 to 1.
    pub(super) points: Vec<(f64, f64)>,
}

impl Published {
    /// Bytes and the share lost against the network without compression.
    pub(super) fn drops<'a>(&'a self, series: &'a Series) -> impl Iterator<Item = (f64, f64)> {
        series
            .points
            .iter()
            .map(|(bytes, top1)| (*bytes, self.uncompressed_top1 - top1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_repositorys_points_are_drops_of_some_points() {
        let published: Published =
            serde_json::from_str(include_str!("../../../../docs/results/published.json")).unwrap();
        assert!(!published.series.is_empty());
        for series in &published.series {
            for (bytes, drop) in published.drops(series) {
                assert!((10.0..20_000.0).contains(&bytes), "{}", series.method);
                assert!((0.0..0.2).contains(&drop), "{}: {drop}", series.method);
            }
        }
    }
}

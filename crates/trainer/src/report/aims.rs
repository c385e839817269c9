//! What was aimed at, and how much of it was reached.

use aecnn::Split;
use serde::Deserialize;

use super::curve::{Curve, Reached, split_name};
use super::markdown::{bytes_cell, table, whole};

/// The file of aims.
#[derive(Debug, Deserialize)]
pub(super) struct Aims {
    places: Vec<Place>,
}

/// A method at a split, measured on a set of pictures.
#[derive(Debug, Deserialize)]
struct Place {
    /// The evaluation's title.
    title: String,
    /// As the document writes it.
    method: String,
    split: Split,
    /// Percentage points of top-1 lost, at most, and the mean bytes of a frame that were to do for it.
    aims: Vec<(f64, f64)>,
    /// Said where one of them is missed.
    missed: Option<Missed>,
}

/// Why, and what would be expected to reach it.
#[derive(Debug, Deserialize)]
struct Missed {
    cause: String,
    command: String,
    gpu_minutes: f64,
}

impl Aims {
    /// The section, with what the curves of `measured`, by title, say of each aim.
    pub(super) fn text(&self, measured: &[(&str, Vec<Curve<'_>>)]) -> String {
        let mut rows = Vec::new();
        let mut missed = String::new();
        for place in &self.places {
            let curve = place.curve(measured);
            let mut all = true;
            for (points, wanted) in &place.aims {
                let reached = curve.map_or(Reached::Never, |curve| curve.bytes_at(points / 100.0));
                let good = matches!(reached, Reached::At(bytes) | Reached::Below(bytes) if bytes <= *wanted);
                all &= good;
                rows.push(vec![
                    place.title.clone(),
                    place.method.clone(),
                    split_name(place.split),
                    points.to_string(),
                    whole(*wanted),
                    bytes_cell(reached),
                    if good { "yes" } else { "no" }.to_owned(),
                ]);
            }
            if let Some(why) = place.missed.as_ref().filter(|_| !all) {
                missed += &format!(
                    "\n{}, {}, {}: {} Expected to reach it, in some {} minutes on a GPU:\n\n```sh\n{}\n```\n",
                    place.title,
                    place.method,
                    split_name(place.split),
                    why.cause,
                    why.gpu_minutes,
                    why.command
                );
            }
        }
        let head = [
            "pictures",
            "method",
            "split",
            "points lost, at most",
            "bytes wanted",
            "bytes needed",
            "reached",
        ];
        format!(
            "\n## What was aimed at\n\n{ABOUT}\n\n{}{missed}",
            table(&head, &rows)
        )
    }
}

const ABOUT: &str = "Bytes needed are those from which on no measured rate loses more, as in the tables below; a dash: \
no measured rate does.";

impl Place {
    fn curve<'c, 'r>(&self, measured: &'c [(&str, Vec<Curve<'r>>)]) -> Option<&'c Curve<'r>> {
        let (_, curves) = measured.iter().find(|(title, _)| *title == self.title)?;
        curves
            .iter()
            .find(|curve| curve.method == self.method && curve.split == Some(self.split))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::curve::curves;
    use crate::report::fixture;
    use crate::report::read::EvaluationFile;

    fn text(method: &str, bytes: f64) -> String {
        let aims: Aims = serde_json::from_value(serde_json::json!({"places": [{
            "title": "A", "method": method, "split": "stage2", "aims": [[2, bytes], [4, 1200]],
            "missed": {"cause": "Too little training.", "command": "trainer train-rate", "gpu_minutes": 8},
        }]}))
        .unwrap();
        let file: EvaluationFile = serde_json::from_value(fixture::evaluation()).unwrap();
        aims.text(&[("A", curves(&file.methods))])
    }

    #[test]
    fn reached_and_missed_are_told_apart() {
        // The fixture's KLT needs 2,520 bytes for 2 points, and at most 1,000 for 4.
        let good = text("KLT", 2600.0);
        assert!(
            good.contains("| A | KLT | stage 2 | 2 | 2,600 | 2,520 | yes |"),
            "{good}"
        );
        assert!(
            good.contains("| A | KLT | stage 2 | 4 | 1,200 | ≤ 1,000 | yes |"),
            "{good}"
        );
        assert!(!good.contains("Too little training"), "{good}");
        let bad = text("KLT", 2500.0);
        assert!(bad.contains("| 2,500 | 2,520 | no |"), "{bad}");
        assert!(
            bad.contains("Too little training. Expected to reach it, in some 8 minutes"),
            "{bad}"
        );
    }

    #[test]
    fn what_was_not_measured_is_not_reached() {
        assert!(text("AECNN", 9999.0).contains("| 9,999 | – | no |"));
    }

    #[test]
    fn the_repositorys_aims_can_be_read() {
        let file = include_str!("../../../../docs/results/aims.json");
        let aims: Aims = serde_json::from_str(file).unwrap();
        assert!(aims.places.iter().all(|place| !place.aims.is_empty()));
    }
}

//! A method's rates as a curve: bytes against points lost.

use aecnn::Split;

use super::read::Row;

/// One method at one split, its rates from the fewest bytes on.
#[derive(Debug)]
pub(super) struct Curve<'a> {
    /// As people write it, without the split.
    pub(super) method: String,
    pub(super) split: Option<Split>,
    pub(super) rows: Vec<&'a Row>,
}

/// The curves of `rows`: from the first split to the last, then the picture codecs.
pub(super) fn curves(rows: &[Row]) -> Vec<Curve<'_>> {
    let mut curves: Vec<Curve<'_>> = Vec::new();
    for row in rows {
        let method = method_name(&row.name, row.split);
        match curves
            .iter_mut()
            .find(|curve| curve.method == method && curve.split == row.split)
        {
            Some(curve) => curve.rows.push(row),
            None => curves.push(Curve {
                method,
                split: row.split,
                rows: vec![row],
            }),
        }
    }
    for curve in &mut curves {
        curve
            .rows
            .sort_by(|a, b| a.mean_bytes.total_cmp(&b.mean_bytes));
    }
    curves.sort_by_key(|curve| (curve.split.is_none(), curve.split));
    curves
}

/// `klt-stage2` at stage 2 is KLT.
pub(super) fn method_name(name: &str, split: Option<Split>) -> String {
    let name = split
        .and_then(|split| name.strip_suffix(split.name())?.strip_suffix('-'))
        .unwrap_or(name);
    match name {
        "klt" => "KLT",
        "aecnn" => "AECNN",
        "paper" => "paper's AECNN",
        "bottlenet" | "bottlenet++" | "bottlenetpp" => "BottleNet++",
        "jpeg" => "JPEG",
        "webp" => "WebP",
        other => other,
    }
    .to_owned()
}

/// `stage 2`, as people write it.
pub(super) fn split_name(split: Split) -> String {
    split.name().replace("stage", "stage ")
}

/// The bytes from which on a method loses no more than was asked for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Reached {
    /// Here, between two measured rates.
    At(f64),
    /// Even at this one, the smallest measured rate.
    Below(f64),
    /// At no measured rate for good.
    Never,
}

impl Curve<'_> {
    /// The fewest mean bytes from which on no measured rate loses more than `lost` (a share),
    /// linear in the logarithm of the bytes between measured rates.
    pub(super) fn bytes_at(&self, lost: f64) -> Reached {
        let points: Vec<(f64, f64)> = self
            .rows
            .iter()
            .map(|row| (row.mean_bytes, row.drop))
            .collect();
        bytes_at(&points, lost)
    }
}

fn bytes_at(points: &[(f64, f64)], lost: f64) -> Reached {
    // Losses are whole pictures: 5 of 500 have to count as 1 %.
    let lost = lost + 1e-9;
    let good = points
        .iter()
        .rev()
        .take_while(|(_, drop)| *drop <= lost)
        .count();
    let first = points.len() - good;
    match (
        first.checked_sub(1).map(|at| points[at]),
        points.get(first).copied(),
    ) {
        (_, None) => Reached::Never,
        (None, Some((bytes, _))) => Reached::Below(bytes),
        (Some((bytes_before, drop_before)), Some((bytes, drop))) => {
            let way = (drop_before - lost) / (drop_before - drop);
            Reached::At(bytes_before * (bytes / bytes_before).powf(way))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_lie_between_rates_in_their_logarithm() {
        let points = [(100.0, 0.05), (400.0, 0.01)];
        let Reached::At(bytes) = bytes_at(&points, 0.03) else {
            panic!("not reached")
        };
        // Half the way in the logarithm is the geometric mean.
        assert!((bytes - 200.0).abs() < 1e-3, "{bytes}");
        let Reached::At(bytes) = bytes_at(&points, 0.01) else {
            panic!("not reached")
        };
        assert!((bytes - 400.0).abs() < 1e-3, "{bytes}");
    }

    #[test]
    fn ends_are_not_extrapolated() {
        let points = [(100.0, 0.05), (400.0, 0.01)];
        assert_eq!(bytes_at(&points, 0.005), Reached::Never);
        assert_eq!(bytes_at(&points, 0.06), Reached::Below(100.0));
        assert_eq!(bytes_at(&[], 0.06), Reached::Never);
    }

    #[test]
    fn luck_at_a_low_rate_does_not_count() {
        let points = [(100.0, 0.02), (200.0, 0.04), (400.0, 0.02)];
        let Reached::At(bytes) = bytes_at(&points, 0.03) else {
            panic!("not reached")
        };
        assert!(bytes > 200.0);
    }

    #[test]
    fn a_splits_name_is_no_part_of_a_methods() {
        assert_eq!(method_name("klt-stage2", Some(Split::Stage2)), "KLT");
        assert_eq!(
            method_name("mine-stage1", Some(Split::Stage2)),
            "mine-stage1"
        );
        assert_eq!(method_name("jpeg", None), "JPEG");
    }
}

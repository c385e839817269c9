//! Which pictures are drawn of an evaluation.

use aecnn::Split;
use anyhow::Result;

use super::curve::{Curve, curves, split_name};
use super::markdown::slug;
use super::plot::{Chart, Group, Line, Marker, Point, Scale, draw};
use super::published::{Published, Series};
use super::read::Row;
use crate::evaluate::wilson;

/// A drawn chart.
pub(super) struct Drawn {
    /// The file's name.
    pub(super) file: String,
    /// What it shows, for those who do not see it.
    pub(super) caption: String,
    pub(super) svg: String,
}

/// The charts of what was measured on some pictures: everything, agreement, then a small one for each split.
pub(super) fn of(
    title: &str,
    methods: &[Row],
    published: Option<&Published>,
) -> Result<Vec<Drawn>> {
    let curves = curves(methods);
    let name = slug(title);
    let mut charts = vec![
        (
            format!("{name}-lost"),
            Chart {
                title: format!("Bytes and points lost: {title}"),
                scale: LOST,
                size: (1120, 680),
                groups: lost_groups(&curves, published, |_| true),
            },
        ),
        (
            format!("{name}-agreement"),
            Chart {
                title: format!("Bytes and agreement: {title}"),
                scale: AGREEMENT,
                size: (1120, 560),
                groups: vec![Group {
                    heading: measured_heading(),
                    lines: curves
                        .iter()
                        .enumerate()
                        .map(|(at, curve)| measured(&curves, at, curve, agreement))
                        .collect(),
                }],
            },
        ),
    ];
    for split in Split::ALL {
        if curves.iter().any(|curve| curve.split == Some(split)) {
            charts.push((
                format!("{name}-lost-{split}"),
                Chart {
                    title: format!(
                        "Cut after {}{}: {}",
                        if split == Split::Stem { "the " } else { "" },
                        split_name(split),
                        title
                    ),
                    scale: LOST,
                    size: (900, 420),
                    groups: lost_groups(&curves, published, |of| of == Some(split)),
                },
            ));
        }
    }
    charts
        .into_iter()
        .map(|(file, chart)| {
            Ok(Drawn {
                file: format!("{file}.svg"),
                svg: draw(&chart)?,
                caption: chart.title,
            })
        })
        .collect()
}

/// More than this many points lost is of no use, and would squeeze what is.
const LOST: Scale = Scale {
    label: "points of top-1 accuracy lost",
    worst: 14.0,
    best: -2.0,
    step: 2.0,
};

const AGREEMENT: Scale = Scale {
    label: "same answer as the uncompressed network, %",
    worst: 70.0,
    best: 100.0,
    step: 5.0,
};

fn measured_heading() -> String {
    "measured here, with 95 % intervals".to_owned()
}

/// Measured and published lines at the wanted splits. Measured picture codecs are on every chart.
fn lost_groups(
    curves: &[Curve<'_>],
    published: Option<&Published>,
    wanted: impl Fn(Option<Split>) -> bool,
) -> Vec<Group> {
    let mut groups = vec![Group {
        heading: measured_heading(),
        lines: curves
            .iter()
            .enumerate()
            .filter(|(_, curve)| curve.split.is_none() || wanted(curve.split))
            .map(|(at, curve)| measured(curves, at, curve, lost))
            .collect(),
    }];
    if let Some(published) = published {
        let lines: Vec<Line> = published
            .series
            .iter()
            .filter(|series| wanted(series.split))
            .map(|series| reference(published, series))
            .collect();
        if !lines.is_empty() {
            groups.push(Group {
                heading: "published, other weights and pictures".to_owned(),
                lines,
            });
        }
    }
    groups
}

fn lost(row: &Row) -> Point {
    let (middle, error) = (100.0 * row.drop, 100.0 * row.drop_error);
    Point {
        bytes: row.mean_bytes,
        value: middle,
        interval: Some((middle - error, middle + error)),
    }
}

fn agreement(row: &Row) -> Point {
    let [low, high] = wilson((row.agreement * row.n as f64).round() as usize, row.n);
    Point {
        bytes: row.mean_bytes,
        value: 100.0 * row.agreement,
        interval: Some((100.0 * low, 100.0 * high)),
    }
}

fn measured(
    curves: &[Curve<'_>],
    at: usize,
    curve: &Curve<'_>,
    point: impl Fn(&Row) -> Point,
) -> Line {
    // The same method has the same marker at every split.
    let mut methods: Vec<&str> = Vec::new();
    for known in curves.iter().take(at + 1).filter(|c| c.split.is_some()) {
        if !methods.contains(&known.method.as_str()) {
            methods.push(&known.method);
        }
    }
    let number = methods.iter().position(|method| *method == curve.method);
    Line {
        label: match curve.split {
            Some(split) => format!("{}, {}", curve.method, split_name(split)),
            None => curve.method.clone(),
        },
        colour: colour(curve.split, &curve.method),
        marker: number.map_or_else(|| picture_marker(&curve.method), Marker::numbered),
        hollow: false,
        points: curve.rows.iter().map(|row| point(row)).collect(),
    }
}

fn reference(published: &Published, series: &Series) -> Line {
    let marker = match series.method.as_str() {
        "var-feat-comp" => Marker::Circle,
        "SPIC" => Marker::Square,
        "Entropic Student" => Marker::Star,
        "RAC, 33 k parameters" => Marker::Up,
        method if method.starts_with("RAC") => Marker::Diamond,
        method => picture_marker(method),
    };
    Line {
        label: match (&series.place, series.split) {
            (Some(place), Some(_)) => format!("{}, {place}", series.method),
            (None, Some(split)) => format!("{}, {}", series.method, split_name(split)),
            (_, None) => series.method.clone(),
        },
        colour: colour(series.split, &series.method),
        marker,
        hollow: true,
        points: published
            .drops(series)
            .map(|(bytes, drop)| Point {
                bytes,
                value: 100.0 * drop,
                interval: None,
            })
            .collect(),
    }
}

fn picture_marker(method: &str) -> Marker {
    match method {
        "JPEG" => Marker::Down,
        "WebP" => Marker::Up,
        _ => Marker::Star,
    }
}

/// Okabe and Ito's colours, which colour-blind people tell apart; one for each split.
fn colour(split: Option<Split>, method: &str) -> (u8, u8, u8) {
    match (split, method) {
        (Some(Split::Stem), _) => (230, 159, 0),
        (Some(Split::Stage1), _) => (86, 180, 233),
        (Some(Split::Stage2), _) => (0, 114, 178),
        (Some(Split::Stage3), _) => (0, 158, 115),
        (Some(Split::Stage4), _) => (204, 121, 167),
        (None, "JPEG") => (40, 40, 40),
        (None, "WebP" | "BPG") => (125, 125, 125),
        (None, _) => (213, 94, 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture;
    use crate::report::merge::merge;

    #[test]
    fn there_is_a_chart_of_everything_and_one_a_split() {
        let file = serde_json::from_value(fixture::evaluation()).unwrap();
        let evaluations = merge(vec![("a.json".into(), file)]).unwrap();
        let charts = of("Fixture pictures", &evaluations[0].methods, None).unwrap();
        let files: Vec<&str> = charts.iter().map(|chart| chart.file.as_str()).collect();
        assert_eq!(
            files,
            [
                "fixture-pictures-lost.svg",
                "fixture-pictures-agreement.svg",
                "fixture-pictures-lost-stage2.svg"
            ]
        );
        for chart in &charts {
            assert!(chart.svg.starts_with("<svg") && chart.svg.contains("KLT, stage 2"));
        }
    }
}

//! The comparison on Caltech-101, whose networks are trained for it.

use std::path::PathBuf;

use anyhow::Result;
use serde::Deserialize;

use super::markdown::{dash, factor, percent, table, whole};
use super::read::read_json;

/// What `trainer train-aecnn` and `train-bottlenet` write with `--json`.
#[derive(Debug, Deserialize)]
pub(super) struct Row {
    entropy_coded: Measured,
    uncompressed: Measured,
    setting: Setting,
}

#[derive(Debug, Deserialize)]
struct Measured {
    name: String,
    n: usize,
    mean_bytes: f64,
    p50_bytes: f64,
    p95_bytes: f64,
    ratio_to_whole_feature: Option<f64>,
    /// Shares, 0 to 1.
    top1: f64,
    top1_interval: [f64; 2],
    agreement: f64,
    drop: f64,
    drop_error: f64,
}

/// Of how it was trained, what tells the runs of a method apart.
#[derive(Debug, Deserialize)]
struct Setting {
    split: String,
    bits: u32,
    method: Size,
    #[serde(rename = "codec-features")]
    features: Phase,
    #[serde(rename = "codec-answers")]
    answers: Phase,
    #[serde(rename = "end-to-end")]
    end_to_end: Option<Phase>,
}

#[derive(Debug, Deserialize)]
struct Size {
    channels: usize,
    pool: Option<usize>,
    stride: Option<usize>,
}

#[derive(Debug, Deserialize)]
struct Phase {
    epochs: f64,
}

/// The rows of all files that are there, by split.
pub(super) fn read(paths: &[PathBuf]) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for path in paths {
        // A list of results that are still to come is no mistake.
        if path.exists() {
            rows.push(read_json::<Row>(path)?);
        } else {
            eprintln!("left out: {} is not there", path.display());
        }
    }
    rows.sort_by(|a, b| {
        let key = |row: &Row| (order(&row.setting.split), row.entropy_coded.name.clone());
        key(a).cmp(&key(b))
    });
    Ok(rows)
}

/// Splits from the input to the output; `stem` is in front of `stage1`, and not by its letters.
fn order(split: &str) -> (bool, String) {
    (split != "stem", split.to_owned())
}

/// The table of `rows`.
pub(super) fn rows_table(rows: &[Row]) -> String {
    let cells: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            let Row {
                entropy_coded: coded,
                uncompressed,
                setting,
            } = row;
            let [low, high] = coded.top1_interval;
            vec![
                setting.split.replace("stage", "stage "),
                match coded.name.as_str() {
                    "aecnn" => "AECNN, the paper's".to_owned(),
                    "bottlenet++" => "BottleNet++".to_owned(),
                    other => other.to_owned(),
                },
                setting.words(),
                whole(coded.mean_bytes),
                whole(coded.p50_bytes),
                whole(coded.p95_bytes),
                coded.ratio_to_whole_feature.map_or_else(dash, factor),
                format!(
                    "{} ({} to {})",
                    percent(coded.top1),
                    percent(low),
                    percent(high)
                ),
                format!("{} ± {}", percent(coded.drop), percent(coded.drop_error)),
                percent(coded.agreement),
                percent(uncompressed.top1),
                coded.n.to_string(),
            ]
        })
        .collect();
    table(
        &[
            "split",
            "method",
            "setting",
            "mean bytes",
            "p50",
            "p95",
            "x whole feature",
            "top-1 %",
            "points lost",
            "same answer %",
            "uncompressed %",
            "pictures",
        ],
        &cells,
    )
}

impl Setting {
    /// Such as `1024 channels, 6 bits, pool 7; 20 + 10 + 5 epochs`.
    fn words(&self) -> String {
        let Size {
            channels,
            pool,
            stride,
        } = self.method;
        let mut words = format!("{channels} channels, {} bits", self.bits);
        for (name, value) in [("pool", pool), ("stride", stride)] {
            if let Some(value) = value.filter(|value| *value > 1) {
                words += &format!(", {name} {value}");
            }
        }
        let last = self.end_to_end.as_ref().map_or(0.0, |phase| phase.epochs);
        words
            + &format!(
                "; {} + {} + {last} epochs",
                self.features.epochs, self.answers.epochs
            )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROW: &str = r#"{"entropy_coded": {"name": "aecnn", "n": 1000, "mean_bytes": 1234.4, "p50_bytes": 1200,
        "p95_bytes": 1500, "ratio_to_whole_feature": 1300.7, "top1": 0.905, "top1_interval": [0.885, 0.921],
        "agreement": 0.95, "drop": 0.025, "drop_error": 0.012},
        "uncompressed": {"name": "uncompressed", "n": 1000, "mean_bytes": 0, "p50_bytes": 0, "p95_bytes": 0,
        "ratio_to_whole_feature": null, "top1": 0.93, "top1_interval": [0.91, 0.94], "agreement": 1, "drop": 0,
        "drop_error": 0},
        "setting": {"split": "stage2", "bits": 8, "method": {"channels": 16, "pool": 2, "reduction": 16},
        "codec-features": {"epochs": 6.0}, "codec-answers": {"epochs": 1.5}, "end-to-end": {"epochs": 1.0}}}"#;

    fn rows_of(texts: &[&str]) -> Result<Vec<Row>> {
        let folder = tempfile::tempdir().unwrap();
        let mut paths = vec![folder.path().join("absent.json")];
        for (at, text) in texts.iter().enumerate() {
            paths.push(folder.path().join(format!("{at}.json")));
            std::fs::write(&paths[at + 1], text).unwrap();
        }
        read(&paths)
    }

    #[test]
    fn rows_stand_by_split_and_absent_files_are_left_out() {
        let stem = ROW
            .replace("stage2", "stem")
            .replace("aecnn", "bottlenet++");
        let table = rows_table(&rows_of(&[ROW, &stem]).unwrap());
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines.len(), 4);
        assert!(lines[2].starts_with("| stem | BottleNet++ |"), "{table}");
        let right = "| stage 2 | AECNN, the paper's | 16 channels, 8 bits, pool 2; 6 + 1.5 + 1 epochs \
             | 1,234 | 1,200 | 1,500 | 1,301 | 90.5 (88.5 to 92.1) | 2.5 ± 1.2 | 95.0 | 93.0 | 1000 |";
        assert_eq!(lines[3], right);
        assert!(rows_of(&[]).unwrap().is_empty());
    }

    #[test]
    fn errors_name_the_field() {
        let broken = ROW.replace("1234.4", "\"few\"");
        let error = format!("{:#}", rows_of(&[&broken]).unwrap_err());
        assert!(
            error.contains("0.json") && error.contains("entropy_coded.mean_bytes"),
            "{error}"
        );
    }
}

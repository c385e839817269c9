//! The comparison on Caltech-101, whose networks are trained for it.

use std::path::{Path, PathBuf};

use anyhow::Result;
use serde::Deserialize;

use super::markdown::{dash, factor, percent, table, whole};
use super::read::read_json;

/// A method at a split after training.
#[derive(Debug, Deserialize)]
pub(super) struct Row {
    method: String,
    split: String,
    /// What else was chosen; any JSON.
    #[serde(default)]
    setting: serde_json::Value,
    bytes: Bytes,
    ratio: Option<f64>,
    /// Shares, 0 to 1.
    top1: f64,
    uncompressed_top1: f64,
    n: usize,
    /// The 95 % interval of `top1`: its ends, or half its width.
    interval: Option<Interval>,
}

#[derive(Debug, Deserialize)]
struct Bytes {
    mean: f64,
    p50: Option<f64>,
    p95: Option<f64>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Interval {
    Ends([f64; 2]),
    Half(f64),
}

/// The rows of all files that are there, by split.
pub(super) fn read(paths: &[PathBuf]) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for path in paths {
        // A list of results that are still to come is no mistake.
        if path.exists() {
            rows.extend(read_file(path)?);
        } else {
            eprintln!("left out: {} is not there", path.display());
        }
    }
    rows.sort_by(|a, b| (order(&a.split), &a.method).cmp(&(order(&b.split), &b.method)));
    Ok(rows)
}

/// Splits from the input to the output; `stem` is in front of `stage1`, and not by its letters.
fn order(split: &str) -> (bool, &str) {
    (split != "stem", split)
}

fn read_file(path: &Path) -> Result<Vec<Row>> {
    // A file holds one row or a list of them. The shape first: errors then name the row's field, not
    // that no shape fits.
    if read_json::<serde_json::Value>(path)?.is_array() {
        read_json(path)
    } else {
        Ok(vec![read_json(path)?])
    }
}

/// The table of `rows`.
pub(super) fn rows_table(rows: &[Row]) -> String {
    let cells: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            let optional = |bytes: Option<f64>| bytes.map_or_else(dash, whole);
            let top1 = match &row.interval {
                Some(Interval::Ends([low, high])) => format!(
                    "{} ({} to {})",
                    percent(row.top1),
                    percent(*low),
                    percent(*high)
                ),
                Some(Interval::Half(half)) => {
                    format!("{} ± {}", percent(row.top1), percent(*half))
                }
                None => percent(row.top1),
            };
            vec![
                row.split.replace("stage", "stage "),
                row.method.clone(),
                setting(&row.setting),
                whole(row.bytes.mean),
                optional(row.bytes.p50),
                optional(row.bytes.p95),
                row.ratio.map_or_else(dash, factor),
                top1,
                percent(row.uncompressed_top1 - row.top1),
                row.n.to_string(),
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
            "pictures",
        ],
        &cells,
    )
}

/// Any JSON as a few words.
fn setting(value: &serde_json::Value) -> String {
    let text = match value {
        serde_json::Value::Null => dash(),
        serde_json::Value::String(text) => text.clone(),
        serde_json::Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| format!("{name} {}", setting(value)))
            .collect::<Vec<_>>()
            .join(", "),
        other => other.to_string(),
    };
    text.replace('|', "/")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROW: &str = r#"{"method": "AECNN", "split": "stage2", "bytes": {"mean": 1234.4, "p50": 1200,
        "p95": 1500}, "ratio": 1300.7, "top1": 0.905, "uncompressed_top1": 0.93, "n": 1000,
        "interval": [0.885, 0.921], "setting": {"channels": 16, "bits": 8}}"#;

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
    fn one_row_or_a_list_and_absent_files() {
        let stem = ROW
            .replace("stage2", "stem")
            .replace("[0.885, 0.921]", "0.018");
        let rows = rows_of(&[&format!("[{ROW}]"), &stem]).unwrap();
        let table = rows_table(&rows);
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines.len(), 4);
        assert!(lines[2].starts_with("| stem | AECNN"), "{table}");
        assert!(lines[2].contains("90.5 ± 1.8"), "{table}");
        assert!(
            lines[3]
                .ends_with("| 1,234 | 1,200 | 1,500 | 1,301 | 90.5 (88.5 to 92.1) | 2.5 | 1000 |"),
            "{table}"
        );
        assert!(lines[3].contains("bits 8"), "{table}");
        assert!(rows_of(&[]).unwrap().is_empty());
    }

    #[test]
    fn errors_name_the_field() {
        let broken = format!("[{}]", ROW.replace("1234.4", "\"few\""));
        let error = format!("{:#}", rows_of(&[&broken]).unwrap_err());
        assert!(
            error.contains("0.json") && error.contains("[0].bytes.mean"),
            "{error}"
        );
    }
}

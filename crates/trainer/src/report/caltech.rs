//! The comparison on Caltech-101, whose networks are trained for it.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Deserialize;

use super::curve::{method_name, split_name};
use super::markdown::{dash, percent, plus_minus, table, whole};
use super::read::{EvaluationFile, Row, read_json};

/// What was measured, by split, and what is said of it.
#[derive(Debug, Default)]
pub(super) struct Caltech {
    /// Evaluations' words on their pictures and codecs.
    pub(super) about: Vec<String>,
    /// What to type to evaluate again.
    pub(super) commands: Vec<String>,
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    measured: Row,
    /// How it was made, where rows of one method differ.
    setting: String,
    /// Top-1 of the uncompressed network, a share.
    uncompressed: f64,
}

/// What `trainer train-aecnn` and `train-bottlenet` write with `--json`.
#[derive(Debug, Deserialize)]
struct MethodFile {
    entropy_coded: Row,
    uncompressed: Row,
    setting: Setting,
}

/// Of how it was trained, what tells the runs of a method apart.
#[derive(Debug, Deserialize)]
struct Setting {
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

/// Tells a method's file from an evaluation.
#[derive(Debug, Deserialize)]
struct Probe {
    entropy_coded: Option<serde::de::IgnoredAny>,
}

impl Caltech {
    /// Reads the files that are there: results of the methods, and evaluations of rate-optimised codecs.
    pub(super) fn read(paths: &[PathBuf]) -> Result<Self> {
        let mut all = Self::default();
        for path in paths {
            // A list of results that are still to come is no mistake.
            if path.exists() {
                all.add(path)?;
            } else {
                eprintln!("left out: {} is not there", path.display());
            }
        }
        all.entries.sort_by(|a, b| {
            let key = |entry: &Entry| (entry.measured.split, entry.measured.name.clone());
            let bytes = (a.measured.mean_bytes).total_cmp(&b.measured.mean_bytes);
            key(a).cmp(&key(b)).then(bytes)
        });
        Ok(all)
    }

    fn add(&mut self, path: &Path) -> Result<()> {
        if read_json::<Probe>(path)?.entropy_coded.is_some() {
            let file: MethodFile = read_json(path)?;
            let mut measured = file.entropy_coded;
            if measured.name == "aecnn" {
                measured.name = "paper".to_owned();
            }
            let uncompressed = file.uncompressed;
            (measured.check("entropy_coded", uncompressed.n))
                .with_context(|| format!("reading {}", path.display()))?;
            self.entries.push(Entry {
                measured,
                setting: file.setting.words(),
                uncompressed: uncompressed.top1,
            });
            return Ok(());
        }
        let file = EvaluationFile::read(path)?;
        self.about.extend(file.about);
        self.commands.extend(file.command);
        self.entries
            .extend(file.methods.into_iter().map(|measured| Entry {
                setting: format!("rate {}", measured.rate),
                uncompressed: file.uncompressed.top1,
                measured,
            }));
        Ok(())
    }

    /// Every row, by split.
    pub(super) fn methods(&self) -> Vec<Row> {
        self.measured().cloned().collect()
    }

    fn measured(&self) -> impl Iterator<Item = &Row> {
        self.entries.iter().map(|entry| &entry.measured)
    }

    /// BottleNet++ as a table, with what does no worse by bytes of the two kinds of AECNN beside it.
    pub(super) fn beside(&self) -> String {
        let cells = |row: Option<&Row>| match row {
            Some(row) => [
                whole(row.mean_bytes),
                plus_minus(row.drop, row.drop_error),
                percent(row.agreement),
            ],
            None => [dash(), dash(), dash()],
        };
        let rivals = self
            .measured()
            .filter(|row| method_name(&row.name, row.split) == "BottleNet++");
        let rows: Vec<Vec<String>> = rivals
            .map(|rival| {
                let mut row = vec![rival.split.map_or_else(dash, split_name)];
                row.extend(cells(Some(rival)));
                for method in ["AECNN", "paper's AECNN"] {
                    row.extend(cells(self.no_more_than(rival, method)));
                }
                row
            })
            .collect();
        let figures = ["bytes", "points lost", "same answer %"];
        let head: Vec<String> = std::iter::once("split".to_owned())
            .chain(
                ["BottleNet++", "AECNN", "paper's AECNN"]
                    .iter()
                    .flat_map(|method| figures.map(|figure| format!("{method}: {figure}"))),
            )
            .collect();
        let head: Vec<&str> = head.iter().map(String::as_str).collect();
        table(&head, &rows)
    }

    /// The row of `method` at the rival's split that has the most bytes, but no more than the rival.
    fn no_more_than(&self, rival: &Row, method: &str) -> Option<&Row> {
        self.measured()
            .filter(|row| row.split == rival.split && row.mean_bytes <= rival.mean_bytes)
            .filter(|row| method_name(&row.name, row.split) == method)
            .max_by(|a, b| a.mean_bytes.total_cmp(&b.mean_bytes))
    }

    /// All rows as a table.
    pub(super) fn table(&self) -> String {
        let cells: Vec<Vec<String>> = self.entries.iter().map(Entry::cells).collect();
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
}

impl Entry {
    fn cells(&self) -> Vec<String> {
        let row = &self.measured;
        let [low, high] = row.top1_interval;
        vec![
            row.split.map_or_else(dash, split_name),
            method_name(&row.name, row.split),
            self.setting.clone(),
            whole(row.mean_bytes),
            whole(row.p50_bytes),
            whole(row.p95_bytes),
            (row.whole_feature_bytes).map_or_else(dash, |feature| whole(feature / row.mean_bytes)),
            format!(
                "{} ({} to {})",
                percent(row.top1),
                percent(low),
                percent(high)
            ),
            plus_minus(row.drop, row.drop_error),
            percent(row.agreement),
            percent(self.uncompressed),
            row.n.to_string(),
        ]
    }
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
    use crate::report::fixture;

    const ROW: &str = r#"{"entropy_coded": {"name": "aecnn", "rate": "8 bit, rANS", "split": "stage2", "n": 1000,
        "mean_bytes": 1234.4, "p50_bytes": 1200, "p95_bytes": 1500, "whole_feature_bytes": 1605632, "top1": 0.905,
        "top1_interval": [0.885, 0.921], "top5": 0.98, "agreement": 0.95, "drop": 0.025, "drop_error": 0.012},
        "uncompressed": {"name": "uncompressed", "rate": "", "n": 1000, "mean_bytes": 0, "p50_bytes": 0,
        "p95_bytes": 0, "top1": 0.93, "top1_interval": [0.91, 0.94], "top5": 0.99, "agreement": 1, "drop": 0,
        "drop_error": 0},
        "setting": {"split": "stage2", "bits": 8, "method": {"channels": 16, "pool": 2, "reduction": 16},
        "codec-features": {"epochs": 6.0}, "codec-answers": {"epochs": 1.5}, "end-to-end": {"epochs": 1.0}}}"#;

    fn read(texts: &[&str]) -> Result<Caltech> {
        let folder = tempfile::tempdir().unwrap();
        let mut paths = vec![folder.path().join("absent.json")];
        for (at, text) in texts.iter().enumerate() {
            paths.push(folder.path().join(format!("{at}.json")));
            std::fs::write(&paths[at + 1], text).unwrap();
        }
        Caltech::read(&paths)
    }

    #[test]
    fn rows_stand_by_split_and_absent_files_are_left_out() {
        let stem = ROW
            .replace("stage2", "stem")
            .replace("aecnn", "bottlenet++");
        let table = read(&[ROW, &stem]).unwrap().table();
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines.len(), 4);
        assert!(lines[2].starts_with("| stem | BottleNet++ |"), "{table}");
        let right = "| stage 2 | paper's AECNN | 16 channels, 8 bits, pool 2; 6 + 1.5 + 1 epochs \
             | 1,234 | 1,200 | 1,500 | 1,301 | 90.5 (88.5 to 92.1) | 2.5 ± 1.2 | 95.0 | 93.0 | 1000 |";
        assert_eq!(lines[3], right);
        assert!(read(&[]).unwrap().methods().is_empty());
    }

    #[test]
    fn bottlenet_has_the_aecnn_of_no_more_bytes_beside_it() {
        let rival = ROW
            .replace("aecnn", "bottlenet++")
            .replace("1234.4", "1300");
        let rate = fixture::evaluation().to_string().replace("klt-", "aecnn-");
        let table = read(&[ROW, &rival, &rate]).unwrap().beside();
        let right = "| stage 2 | 1,300 | 2.5 ± 1.2 | 95.0 | 1,000 | 4.0 ± 2.0 | 96.0 | 1,234 | 2.5 ± 1.2 | 95.0 |";
        assert_eq!(table.lines().nth(2), Some(right), "{table}");
        let smaller = rival.replace("1300", "900");
        let table = read(&[ROW, &smaller, &rate]).unwrap().beside();
        assert!(
            table.contains("| 95.0 | – | – | – | – | – | – |"),
            "{table}"
        );
    }

    #[test]
    fn evaluations_stand_beside_methods() {
        let evaluation = fixture::evaluation().to_string();
        let all = read(&[&evaluation, ROW]).unwrap();
        assert_eq!(all.about, ["Made for a test."]);
        let rates: Vec<String> = all.methods().into_iter().map(|row| row.rate).collect();
        assert_eq!(rates[..2], ["q10", "q90"]);
        // By name within a split, then by bytes.
        assert_eq!(rates[4..], ["a", "b", "8 bit, rANS"]);
        let start = "| stage 2 | KLT | rate a | 1,000 | 1,000 | 1,500 | 1,606 | 87.0 (";
        assert!(all.table().lines().any(|line| line.starts_with(start)));
    }

    #[test]
    fn errors_name_the_field() {
        let broken = ROW.replace("1234.4", "\"few\"");
        let error = format!("{:#}", read(&[&broken]).unwrap_err());
        assert!(
            error.contains("0.json") && error.contains("entropy_coded.mean_bytes"),
            "{error}"
        );
        let impossible = ROW.replace("0.95,", "95.0,");
        let error = format!("{:#}", read(&[&impossible]).unwrap_err());
        assert!(error.contains("entropy_coded.agreement"), "{error}");
    }
}

//! Several runs over the same pictures as one evaluation.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};

use super::read::{EvaluationFile, Row};

/// By how much the uncompressed network's accuracy may differ between runs over the same pictures:
/// another processor adds floating-point numbers in another order, which tips the closest calls.
const TIPPED: f64 = 0.002;

/// Everything measured on one set of pictures.
#[derive(Debug)]
pub(super) struct Evaluation {
    pub(super) title: String,
    /// What each run said of its pictures, the same words once.
    pub(super) about: Vec<String>,
    /// What to type to measure it again.
    pub(super) commands: Vec<String>,
    pub(super) model: String,
    pub(super) pictures: usize,
    pub(super) skipped: usize,
    pub(super) header_bytes: usize,
    pub(super) uncompressed: Row,
    pub(super) methods: Vec<Row>,
    /// The first file, which the others have to agree with.
    source: PathBuf,
}

/// Puts files of the same title together, in the order in which titles come.
pub(super) fn merge(files: Vec<(PathBuf, EvaluationFile)>) -> Result<Vec<Evaluation>> {
    let mut evaluations: Vec<Evaluation> = Vec::new();
    for (path, file) in files {
        let title = file.title.clone().unwrap_or_else(|| stem(&path));
        match evaluations.iter_mut().find(|known| known.title == title) {
            Some(known) => known.add(&path, file)?,
            None => evaluations.push(Evaluation {
                title,
                about: file.about.into_iter().collect(),
                commands: file.command.into_iter().collect(),
                model: file.model,
                pictures: file.pictures,
                skipped: file.skipped,
                header_bytes: file.header_bytes,
                uncompressed: file.uncompressed,
                methods: file.methods,
                source: path,
            }),
        }
    }
    Ok(evaluations)
}

impl Evaluation {
    fn add(&mut self, path: &Path, file: EvaluationFile) -> Result<()> {
        let both = format!(
            "{} and {} have the same title, `{}`",
            self.source.display(),
            path.display(),
            self.title
        );
        ensure!(
            self.model == file.model,
            "{both}, but other networks: field `model` is {} and {}",
            self.model,
            file.model
        );
        for (field, mine, other) in [
            ("pictures", self.pictures, file.pictures),
            ("header_bytes", self.header_bytes, file.header_bytes),
        ] {
            ensure!(
                mine == other,
                "{both}, but not the same pictures or frames: field `{field}` is {mine} and {other}"
            );
        }
        for (field, mine, other) in [
            ("top1", self.uncompressed.top1, file.uncompressed.top1),
            ("top5", self.uncompressed.top5, file.uncompressed.top5),
        ] {
            ensure!(
                (mine - other).abs() <= TIPPED + f64::EPSILON,
                "{both}, but not the same pictures: field `uncompressed.{field}` is {mine} and {other}"
            );
        }
        for row in file.methods {
            ensure!(
                !self.methods.iter().any(|known| known.name == row.name
                    && known.rate == row.rate
                    && known.split == row.split),
                "{both}, and both measure {} at {}; leave one out",
                row.name,
                row.rate
            );
            self.methods.push(row);
        }
        self.about
            .extend(file.about.filter(|about| !self.about.contains(about)));
        self.commands.extend(file.command);
        Ok(())
    }
}

fn stem(path: &Path) -> String {
    path.file_stem()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture;

    fn file(change: impl FnOnce(&mut serde_json::Value)) -> EvaluationFile {
        let mut json = fixture::evaluation();
        change(&mut json);
        serde_json::from_value(json).unwrap()
    }

    fn merged(change: impl FnOnce(&mut serde_json::Value)) -> Result<Vec<Evaluation>> {
        let other = file(|json| {
            for row in json["methods"].as_array_mut().unwrap() {
                row["name"] = "other".into();
            }
            change(json);
        });
        merge(vec![
            ("a.json".into(), file(|_| {})),
            ("b.json".into(), other),
        ])
    }

    #[test]
    fn runs_of_one_title_become_one() {
        let evaluations = merged(|_| {}).unwrap();
        let [evaluation] = evaluations.as_slice() else {
            panic!("{} evaluations", evaluations.len())
        };
        assert_eq!(evaluation.methods.len(), 2 * file(|_| {}).methods.len());
        assert_eq!(evaluation.commands.len(), 2);
        assert_eq!(evaluation.about, ["Made for a test."]);
        let more = merged(|json| json["about"] = "Not fitted to.".into()).unwrap();
        assert_eq!(more[0].about, ["Made for a test.", "Not fitted to."]);
        assert_eq!(merged(|json| json["title"] = "B".into()).unwrap().len(), 2);
    }

    #[test]
    fn a_tipped_call_is_let_pass_and_other_pictures_are_not() {
        assert!(merged(|json| json["uncompressed"]["top1"] = 0.912.into()).is_ok());
        for (field, value) in [("top1", 0.90), ("top5", 0.5)] {
            let error = merged(|json| json["uncompressed"][field] = value.into()).unwrap_err();
            let error = error.to_string();
            assert!(error.contains("b.json") && error.contains(field), "{error}");
        }
        let error = merged(|json| json["pictures"] = 499.into()).unwrap_err();
        assert!(error.to_string().contains("`pictures`"), "{error}");
    }

    #[test]
    fn the_same_measurement_twice_is_an_error() {
        let twice = vec![
            ("a.json".into(), file(|_| {})),
            ("b.json".into(), file(|_| {})),
        ];
        assert!(merge(twice).is_err());
    }
}

//! Reading JSON files, with errors that name the file and the field.

use std::path::Path;

use aecnn::Split;
use anyhow::{Context, Result, anyhow, ensure};
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// What `trainer evaluate --json` writes, as far as a report needs it.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct EvaluationFile {
    pub(crate) title: Option<String>,
    pub(crate) about: Option<String>,
    pub(crate) command: Option<String>,
    pub(crate) model: String,
    pub(crate) pictures: usize,
    #[serde(default)]
    pub(crate) skipped: usize,
    pub(crate) header_bytes: usize,
    pub(crate) uncompressed: Row,
    pub(crate) methods: Vec<Row>,
}

/// One method at one rate. Shares are 0 to 1.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) rate: String,
    pub(crate) split: Option<Split>,
    pub(crate) whole_feature_bytes: Option<f64>,
    pub(crate) sent_feature_bytes: Option<f64>,
    pub(crate) n: usize,
    pub(crate) mean_bytes: f64,
    pub(crate) p50_bytes: f64,
    pub(crate) p95_bytes: f64,
    pub(crate) top1: f64,
    pub(crate) top1_interval: [f64; 2],
    pub(crate) top5: f64,
    pub(crate) agreement: f64,
    /// Top-1 lost against the uncompressed network on the same pictures.
    pub(crate) drop: f64,
    /// Half the 95 % interval of the paired difference.
    pub(crate) drop_error: f64,
}

impl EvaluationFile {
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let file: Self = read_json(path)?;
        file.check()
            .with_context(|| format!("reading {}", path.display()))?;
        Ok(file)
    }

    fn check(&self) -> Result<()> {
        ensure!(self.pictures > 0, "field `pictures`: there are none");
        self.uncompressed.check("uncompressed", self.pictures)?;
        for (at, row) in self.methods.iter().enumerate() {
            let field = format!("methods[{at}]");
            row.check(&field, self.pictures)?;
            ensure!(
                row.mean_bytes > 0.0,
                "field `{field}.mean_bytes`: {} is not above 0",
                row.mean_bytes
            );
        }
        Ok(())
    }
}

impl Row {
    pub(super) fn check(&self, field: &str, pictures: usize) -> Result<()> {
        ensure!(
            self.n == pictures,
            "field `{field}.n`: {} pictures, but the evaluation has {pictures}",
            self.n
        );
        for (name, share) in [
            ("top1", self.top1),
            ("top1_interval[0]", self.top1_interval[0]),
            ("top1_interval[1]", self.top1_interval[1]),
            ("top5", self.top5),
            ("agreement", self.agreement),
        ] {
            ensure!(
                (0.0..=1.0).contains(&share),
                "field `{field}.{name}`: {share} is no share between 0 and 1"
            );
        }
        Ok(())
    }
}

/// A JSON file as `T`.
pub(super) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    parse(&text).with_context(|| format!("reading {}", path.display()))
}

/// The same where the file may be absent, which is said.
pub(super) fn read_if_there<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    if path.exists() {
        return read_json(path).map(Some);
    }
    eprintln!("left out: {} is not there", path.display());
    Ok(None)
}

fn parse<T: DeserializeOwned>(text: &str) -> Result<T> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let field = error.path().to_string();
        let inner = error.into_inner();
        if field == "." {
            anyhow!("{inner}")
        } else {
            anyhow!("field `{field}`: {inner}")
        }
    })?;
    reader.end().context("behind the end of the JSON")?;
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture;

    fn error_of(change: impl FnOnce(&mut serde_json::Value)) -> String {
        let mut json = fixture::evaluation();
        change(&mut json);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("broken.json");
        std::fs::write(&path, json.to_string()).unwrap();
        format!("{:#}", EvaluationFile::read(&path).unwrap_err())
    }

    #[test]
    fn errors_name_the_file_and_the_field() {
        let error = error_of(|json| json["methods"][1]["top1"] = "good".into());
        assert!(error.contains("broken.json"), "{error}");
        assert!(error.contains("`methods[1].top1`"), "{error}");

        let error = error_of(|json| {
            json["methods"][0]
                .as_object_mut()
                .unwrap()
                .remove("p95_bytes");
        });
        assert!(error.contains("broken.json"), "{error}");
        assert!(error.contains("`methods[0]"), "{error}");
        assert!(error.contains("p95_bytes"), "{error}");
    }

    #[test]
    fn impossible_figures_are_refused() {
        let error = error_of(|json| json["methods"][0]["agreement"] = 84.2.into());
        assert!(error.contains("`methods[0].agreement`"), "{error}");
        let error = error_of(|json| json["methods"][0]["mean_bytes"] = 0.into());
        assert!(error.contains("`methods[0].mean_bytes`"), "{error}");
        let error = error_of(|json| json["uncompressed"]["n"] = 7.into());
        assert!(error.contains("`uncompressed.n`"), "{error}");
    }
}

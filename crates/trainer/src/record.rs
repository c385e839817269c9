//! `trainer record`: what an evaluation measured, into the manifest.

use std::path::PathBuf;

use aecnn::manifest::CodecEntry;
use anyhow::{Context, Result, ensure};
use clap::Args;

use crate::model::{ModelFolder, write_manifest};
use crate::report::{EvaluationFile, Row};

/// Writes what evaluations measured into the manifest: each rate's mean bytes and its agreement.
///
/// Until then they stand there as measured on pictures held out of the training. Programs compare them with what
/// pictures cost at the same agreement, so all should be measured on the same pictures.
#[derive(Args, Debug)]
pub(crate) struct RecordArgs {
    /// The model folder.
    #[arg(long, default_value = "models/resnet50-imagenet")]
    model: PathBuf,
    /// A JSON file of `trainer evaluate`; repeat for several.
    #[arg(long = "evaluation", required = true)]
    evaluations: Vec<PathBuf>,
}

pub(crate) fn run(args: &RecordArgs) -> Result<()> {
    let mut folder = ModelFolder::open(&args.model)?;
    for path in &args.evaluations {
        let evaluation = EvaluationFile::read(path)?;
        ensure!(
            evaluation.model == folder.manifest.name,
            "{} is of the model `{}`, not of `{}`",
            path.display(),
            evaluation.model,
            folder.manifest.name
        );
        for codec in &mut folder.manifest.codecs {
            record(codec, &evaluation.methods)
                .with_context(|| format!("reading {}", path.display()))?;
        }
    }
    write_manifest(&folder.path, &folder.manifest)
}

/// Takes over what `rows` say of the codec, if they do.
fn record(codec: &mut CodecEntry, rows: &[Row]) -> Result<()> {
    let rows: Vec<&Row> = rows.iter().filter(|row| row.name == codec.name).collect();
    if rows.is_empty() {
        return Ok(());
    }
    for rate in &mut codec.rates {
        let row = rows.iter().find(|row| row.rate == rate.name);
        let row = row.with_context(|| {
            format!(
                "`{}` was evaluated without its rate `{}`: evaluate it anew",
                codec.name, rate.name
            )
        })?;
        rate.mean_bytes = (row.mean_bytes * 10.0).round() / 10.0;
        rate.agreement = (row.agreement * 1000.0).round() / 1000.0;
        crate::say!(
            "{} {}: {:.1} bytes, {:.1} % agreement",
            codec.name,
            rate.name,
            rate.mean_bytes,
            100.0 * rate.agreement
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use aecnn::Split;
    use aecnn::manifest::{FileEntry, RateEntry};

    use super::*;

    fn row(name: &str, rate: &str, mean_bytes: f64) -> Row {
        let json = serde_json::json!({
            "name": name, "rate": rate, "split": "stage2", "n": 4, "mean_bytes": mean_bytes, "p50_bytes": 1.0,
            "p95_bytes": 1.0, "top1": 1.0, "top1_interval": [0.5, 1.0], "top5": 1.0, "agreement": 0.75, "drop": 0.0,
            "drop_error": 0.0
        });
        serde_json::from_value(json).unwrap()
    }

    fn entry() -> CodecEntry {
        let rate = |name: &str| RateEntry {
            name: name.to_owned(),
            channels: 3,
            mean_bytes: 1.0,
            agreement: 0.1,
        };
        CodecEntry {
            name: "mine".to_owned(),
            method: "klt".to_owned(),
            split: Split::Stage2,
            file: FileEntry::of("mine.safetensors", b""),
            device: None,
            rates: vec![rate("low"), rate("high")],
            default_rate: 0,
        }
    }

    #[test]
    fn figures_go_to_their_rates() {
        let mut codec = entry();
        let rows = [
            row("mine", "high", 800.04),
            row("other", "low", 7.0),
            row("mine", "low", 300.0),
        ];
        record(&mut codec, &rows).unwrap();
        let bytes: Vec<f64> = codec.rates.iter().map(|rate| rate.mean_bytes).collect();
        assert_eq!(bytes, [300.0, 800.0]);
        assert_eq!(codec.rates[0].agreement, 0.75);
    }

    #[test]
    fn other_codecs_stay_and_missing_rates_are_named() {
        let mut codec = entry();
        record(&mut codec, &[row("other", "low", 7.0)]).unwrap();
        assert_eq!(codec, entry());
        let error = record(&mut codec, &[row("mine", "low", 7.0)]).unwrap_err();
        assert!(error.to_string().contains("rate `high`"), "{error}");
    }
}

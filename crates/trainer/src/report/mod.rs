//! `trainer report`: evaluations as a document with plots.

mod aims;
mod caltech;
mod charts;
mod curve;
#[cfg(test)]
mod fixture;
mod markdown;
mod merge;
mod plot;
mod published;
mod read;
mod text;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;

use aims::Aims;
use caltech::Caltech;
use published::Published;
pub(crate) use read::{EvaluationFile, Row};
use text::Document;

/// Writes RESULTS.md and plots from what `trainer evaluate --json` measured.
///
/// Files of the same title are taken as runs over the same pictures and put together.
#[derive(Args, Debug)]
pub(crate) struct ReportArgs {
    /// Files that `trainer evaluate --json` wrote; may be given several times.
    #[arg(long, required = true, num_args = 1..)]
    evaluation: Vec<PathBuf>,
    /// Results of `trainer train-aecnn` and `train-bottlenet` on Caltech-101, and evaluations of rate-optimised
    /// codecs for the same network; files that are not there are left out.
    #[arg(long, num_args = 1..)]
    caltech: Vec<PathBuf>,
    /// What others published, as reference points; left out if it is not there.
    #[arg(long, default_value = "docs/results/published.json")]
    published: PathBuf,
    /// What was aimed at, and what is said where it is missed; left out if it is not there.
    #[arg(long, default_value = "docs/results/aims.json")]
    aims: PathBuf,
    /// The folder for RESULTS.md and the folder `plots`.
    #[arg(long, default_value = "docs")]
    out: PathBuf,
}

pub(crate) fn run(args: &ReportArgs) -> Result<()> {
    let files = args
        .evaluation
        .iter()
        .map(|path| Ok((path.clone(), EvaluationFile::read(path)?)))
        .collect::<Result<Vec<_>>>()?;
    let published: Option<Published> = read::read_if_there(&args.published)?;
    let aims: Option<Aims> = read::read_if_there(&args.aims)?;
    let caltech = Caltech::read(&args.caltech)?;
    let methods = caltech.methods();
    let caltech_charts = if methods.is_empty() {
        Vec::new()
    } else {
        charts::of(text::CALTECH, &methods, None)?
    };
    let evaluations = merge::merge(files)?
        .into_iter()
        .map(|evaluation| {
            let charts = charts::of(&evaluation.title, &evaluation.methods, published.as_ref())?;
            Ok((evaluation, charts))
        })
        .collect::<Result<Vec<_>>>()?;

    let plots = args.out.join("plots");
    std::fs::create_dir_all(&plots).with_context(|| format!("making {}", plots.display()))?;
    let charts = evaluations.iter().flat_map(|(_, charts)| charts);
    for chart in charts.chain(&caltech_charts) {
        write(&plots.join(&chart.file), &chart.svg)?;
    }
    let document = Document {
        command: command(args),
        evaluations: &evaluations,
        caltech: (&caltech, &caltech_charts),
        published: published.as_ref(),
        aims: aims.as_ref(),
    };
    write(&args.out.join("RESULTS.md"), &document.text())
}

fn write(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).with_context(|| format!("writing {}", path.display()))?;
    crate::say!("wrote {}", path.display());
    Ok(())
}

/// What to type to write the same again.
fn command(args: &ReportArgs) -> String {
    let mut words = vec!["cargo run --release -p trainer -- report".to_owned()];
    for path in &args.evaluation {
        words.push(format!("--evaluation {}", path.display()));
    }
    for path in &args.caltech {
        words.push(format!("--caltech {}", path.display()));
    }
    words.push(format!("--out {}", args.out.display()));
    words.join(" \\\n    ")
}

//! The run folder: checkpoint and log.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use burn::module::Module;
use burn::optim::OptimizerRecord;
use burn::tensor::Device;
use serde::{Deserialize, Serialize};

use super::Trainer;
use super::prior::Prior;
use super::step::Outcome;

/// Steps that one line of the log covers.
const LOG_EVERY: usize = 20;

const CODEC: &str = "codec.bpk";
const OPTIMIZER: &str = "optimizer.bpk";
const STATE: &str = "state.json";

#[derive(Serialize, Deserialize)]
struct State {
    step: usize,
    prior: Prior,
}

/// Writes a checkpoint beside the old one, then takes its place.
pub(super) fn save(run: &Path, trainer: &Trainer) -> Result<()> {
    let new = run.join("new");
    std::fs::create_dir_all(&new).with_context(|| format!("creating {}", new.display()))?;
    trainer
        .codec
        .clone()
        .save_file(new.join(CODEC))
        .with_context(|| format!("writing {}", new.join(CODEC).display()))?;
    trainer
        .optimizer
        .to_record()
        .save(new.join(OPTIMIZER))
        .with_context(|| format!("writing {}", new.join(OPTIMIZER).display()))?;
    let state = State {
        step: trainer.step,
        prior: trainer.prior.clone(),
    };
    std::fs::write(new.join(STATE), serde_json::to_vec(&state)?)
        .with_context(|| format!("writing {}", new.join(STATE).display()))?;
    let (current, old) = (run.join("checkpoint"), run.join("old"));
    if current.exists() {
        std::fs::rename(&current, &old)?;
    }
    std::fs::rename(&new, &current)?;
    if old.exists() {
        std::fs::remove_dir_all(&old)?;
    }
    Ok(())
}

/// Goes on from the checkpoint in `run`, if there is one.
pub(super) fn resume(run: &Path, trainer: &mut Trainer, device: &Device) -> Result<()> {
    let checkpoint = run.join("checkpoint");
    if !checkpoint.exists() {
        return Ok(());
    }
    let path = checkpoint.join(STATE);
    let json = std::fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
    let state: State =
        serde_json::from_slice(&json).with_context(|| format!("reading {}", path.display()))?;
    let path = checkpoint.join(CODEC);
    let codec = trainer
        .codec
        .clone()
        .try_load_file(&path)
        .with_context(|| format!("{} does not fit this codec", path.display()))?;
    ensure!(
        codec.num_params() == trainer.codec.num_params(),
        "{} is of another codec",
        path.display()
    );
    let path = checkpoint.join(OPTIMIZER);
    let record =
        OptimizerRecord::load(&path).with_context(|| format!("reading {}", path.display()))?;
    trainer.codec = codec.to_device(device).trainable();
    trainer.optimizer = trainer.optimizer.clone().load_record(record);
    trainer.prior = state.prior;
    trainer.step = state.step;
    crate::say!("going on after {} steps", trainer.step);
    Ok(())
}

/// One line of the log: means over the steps since the last.
#[derive(Serialize)]
struct Line {
    step: usize,
    loss: f64,
    /// Divergence relative to that before training.
    divergence: f64,
    /// Estimated bytes a picture at each rate; none where no picture was sent at it.
    bytes: Vec<Option<f64>>,
    pictures_per_second: f64,
}

/// Keeps a log on disk and on the terminal.
pub(super) struct Log {
    file: File,
    since: Instant,
    steps: usize,
    pictures: usize,
    loss: f64,
    divergence: f64,
    bytes: Vec<(f64, usize)>,
}

impl Log {
    pub(super) fn open(run: &Path) -> Result<Self> {
        let path = run.join("log.jsonl");
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&path)
            .with_context(|| format!("opening {}", path.display()))?;
        Ok(Self {
            file,
            since: Instant::now(),
            steps: 0,
            pictures: 0,
            loss: 0.0,
            divergence: 0.0,
            bytes: Vec::new(),
        })
    }

    pub(super) fn add(&mut self, step: usize, outcome: &Outcome) -> Result<()> {
        self.steps += 1;
        self.pictures += outcome.rates.len();
        self.loss += outcome.value;
        self.divergence += outcome.divergence;
        for (rate, bits) in outcome.rates.iter().zip(&outcome.bits) {
            if self.bytes.len() <= *rate {
                self.bytes.resize(rate + 1, (0.0, 0));
            }
            self.bytes[*rate].0 += bits / 8.0;
            self.bytes[*rate].1 += 1;
        }
        if self.steps < LOG_EVERY {
            return Ok(());
        }
        let steps = self.steps as f64;
        let line = Line {
            step,
            loss: self.loss / steps,
            divergence: self.divergence / steps,
            bytes: self
                .bytes
                .iter()
                .map(|(sum, n)| (*n > 0).then(|| (sum / *n as f64).round()))
                .collect(),
            pictures_per_second: self.pictures as f64 / self.since.elapsed().as_secs_f64(),
        };
        let json = serde_json::to_string(&line)?;
        writeln!(self.file, "{json}").context("writing the log")?;
        crate::say!("{json}");
        self.since = Instant::now();
        (self.steps, self.pictures, self.loss, self.divergence) = (0, 0, 0.0, 0.0);
        self.bytes.clear();
        Ok(())
    }
}

//! The loop.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use burn::module::Module;
use burn::optim::{AdamConfig, GradientsParams, ModuleOptimizer};
use burn::tensor::Tensor;
use serde_json::{Map, Value};

use super::checkpoint::Checkpoint;
use super::parameters::{learning, set_learning};
use super::schedule::Schedule;
use super::{Group, Named, RunFolder, Stop, collect, restore};
use crate::progress::bar;

/// How a run trains.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// Shown beside the progress bar.
    pub(crate) name: &'static str,
    pub(crate) steps: u64,
    /// The peak learning rate of Adam.
    pub(crate) rate: f64,
    /// Steps until the peak.
    pub(crate) warm_up: u64,
    /// What learns; everything else is frozen.
    pub(crate) groups: Vec<Group>,
    /// Between two checkpoints.
    pub(crate) checkpoint_every: Duration,
    /// Steps in one line of the log.
    pub(crate) log_every: u64,
}

/// What one step gives.
pub(crate) struct Step {
    /// One value: what is to become smaller.
    pub(crate) loss: Tensor<1>,
    pub(crate) samples: usize,
    /// Further values for the log, averaged over its steps.
    pub(crate) measures: Vec<(&'static str, f64)>,
}

/// A run between two steps.
pub(crate) struct Run<M> {
    folder: RunFolder,
    settings: Settings,
    module: M,
    optimiser: ModuleOptimizer,
    step: u64,
    seconds: f64,
}

impl<M: Module> Run<M> {
    /// Starts a run, or goes on from the folder's checkpoint. `module` must be on a device with automatic
    /// differentiation and hold the values to start from.
    pub(crate) fn begin(folder: RunFolder, settings: Settings, module: M) -> Result<Self> {
        let mut run = Self {
            module: set_learning(module, &settings.groups),
            optimiser: AdamConfig::new().with_epsilon(1e-8).init(),
            step: 0,
            seconds: 0.0,
            folder,
            settings,
        };
        ensure!(
            !learning(&run.module, &run.settings.groups).is_empty(),
            "nothing would learn"
        );
        if let Some(checkpoint) = run.folder.checkpoint()? {
            ensure!(
                checkpoint.steps == run.settings.steps,
                "the checkpoint is of a run of {} steps; this one has {}",
                checkpoint.steps,
                run.settings.steps
            );
            if !checkpoint.optimiser.is_empty() {
                run.optimiser = run
                    .optimiser
                    .from_bytes(checkpoint.optimiser())
                    .context("reading the optimiser's state")?;
            }
            run.module = restore(run.module, checkpoint.parameters)?;
            run.step = checkpoint.step;
            run.seconds = checkpoint.seconds;
        }
        run.folder.cut_log(run.step)?;
        Ok(run)
    }

    /// The first step that [`Self::train`] will do.
    pub(crate) fn next_step(&self) -> u64 {
        self.step
    }

    /// Trains to the end; the module is then on the plain device, for evaluation. `None`: it was time to stop before,
    /// and a checkpoint was written. `forward` gives the loss of a step.
    pub(crate) fn train(
        mut self,
        stop: &Stop,
        mut forward: impl FnMut(u64, &M) -> Result<Step>,
    ) -> Result<Option<M>> {
        let schedule = Schedule {
            peak: self.settings.rate,
            warm_up: self.settings.warm_up,
            steps: self.settings.steps,
        };
        let groups = learning(&self.module, &self.settings.groups);
        let progress = bar(self.settings.steps as usize, self.settings.name);
        progress.set_position(self.step);
        progress.reset_eta();
        let mut saved = Instant::now();
        let mut line = Line::default();
        // A finished run that is asked for again stays as it is.
        let unfinished = self.step < self.settings.steps;
        while self.step < self.settings.steps {
            if stop.now() {
                progress.finish_and_clear();
                self.save()?;
                return Ok(None);
            }
            let began = Instant::now();
            let rate = schedule.rate(self.step);
            let Step {
                loss,
                samples,
                measures,
            } = forward(self.step, &self.module)?;
            let value = f64::from(loss.clone().try_into_scalar::<f32>()?);
            ensure!(
                value.is_finite(),
                "the loss is {value} at step {}; a lower learning rate may help",
                self.step
            );
            let mut gradients = loss.backward();
            for (factor, ids) in &groups {
                let of_group = GradientsParams::from_params(&mut gradients, &self.module, ids);
                self.module = self.optimiser.step(rate * factor, self.module, of_group);
            }
            self.step += 1;
            let seconds = began.elapsed().as_secs_f64();
            self.seconds += seconds;
            progress.inc(1);
            line.add(samples, seconds, value, &measures);
            if self.step.is_multiple_of(self.settings.log_every) || self.step == self.settings.steps
            {
                self.folder
                    .log(&std::mem::take(&mut line).finish(self.step, rate))?;
            }
            if saved.elapsed() >= self.settings.checkpoint_every {
                self.save()?;
                saved = Instant::now();
            }
        }
        progress.finish_and_clear();
        if unfinished {
            self.save()?;
        }
        Ok(Some(self.module.valid()))
    }

    fn save(&self) -> Result<()> {
        let done = self.step >= self.settings.steps;
        let all = collect(&self.module)?;
        let groups = &self.settings.groups;
        // A frozen parameter stands where it came from.
        let parameters: Named = all
            .into_iter()
            .filter(|(name, _)| groups.iter().any(|group| name.starts_with(&group.prefix)))
            .collect();
        Checkpoint {
            step: self.step,
            steps: self.settings.steps,
            seconds: self.seconds,
            parameters,
            optimiser: if done {
                Vec::new()
            } else {
                self.optimiser.into_bytes()?.to_vec()
            },
        }
        .write(&self.folder.checkpoint_path())
    }
}

/// Sums for one line of the log.
#[derive(Default)]
struct Line {
    steps: usize,
    samples: usize,
    seconds: f64,
    sums: Vec<(&'static str, f64)>,
}

impl Line {
    fn add(&mut self, samples: usize, seconds: f64, loss: f64, measures: &[(&'static str, f64)]) {
        self.steps += 1;
        self.samples += samples;
        self.seconds += seconds;
        for (name, value) in [("loss", loss)].iter().chain(measures) {
            match self.sums.iter_mut().find(|(other, _)| other == name) {
                Some((_, sum)) => *sum += value,
                None => self.sums.push((name, *value)),
            }
        }
    }

    fn finish(self, step: u64, rate: f64) -> Value {
        let mut line = Map::new();
        line.insert("step".to_owned(), step.into());
        for (name, sum) in &self.sums {
            line.insert((*name).to_owned(), (sum / self.steps as f64).into());
        }
        line.insert("learning_rate".to_owned(), rate.into());
        let speed = self.samples as f64 / self.seconds.max(1e-9);
        line.insert("images_per_second".to_owned(), speed.into());
        line.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig};
    use burn::tensor::{Device, TensorData};
    use serde_json::json;

    use crate::random::Random;
    use crate::train::initialise;

    #[derive(Module, Debug)]
    struct Net {
        first: Linear,
        norm: BatchNorm,
        second: Linear,
    }

    fn net() -> Net {
        let device = Device::flex().autodiff();
        let net = Net {
            first: LinearConfig::new(4, 8).init(&device),
            norm: BatchNormConfig::new(8).init(&device),
            second: LinearConfig::new(8, 1).init(&device),
        };
        let zero = collect(&net)
            .unwrap()
            .into_iter()
            .filter(|(name, _)| name.ends_with("bias"))
            .map(|(name, data)| (name, TensorData::zeros::<f32, _>(data.shape().clone())))
            .collect();
        initialise(restore(net, zero).unwrap(), "", 3).unwrap()
    }

    fn settings(groups: Vec<Group>) -> Settings {
        Settings {
            name: "test",
            steps: 20,
            rate: 0.02,
            warm_up: 2,
            groups,
            checkpoint_every: Duration::from_secs(3600),
            log_every: 5,
        }
    }

    /// The product of two inputs is to be learned.
    fn forward(step: u64, net: &Net) -> Result<Step> {
        let device = Device::flex().autodiff();
        let mut random = Random::of(&[step]);
        let x: Vec<f32> = (0..64).map(|_| random.normal() as f32).collect();
        let y: Vec<f32> = x.chunks(4).map(|row| row[0] * row[1]).collect();
        let x = Tensor::<2>::from_data(TensorData::new(x, [16, 4]), &device);
        let y = Tensor::<2>::from_data(TensorData::new(y, [16, 1]), &device);
        let hidden = burn::tensor::activation::relu(net.norm.forward(net.first.forward(x)));
        let error = net.second.forward(hidden) - y;
        Ok(Step {
            loss: error.square().mean(),
            samples: 16,
            measures: Vec::new(),
        })
    }

    fn run(folder: &std::path::Path, stop_at: Option<u64>) -> Option<Net> {
        let groups = vec![Group::new("", 1.0), Group::new("second", 0.5)];
        let folder = RunFolder::open(folder, &json!({"a": 1})).unwrap();
        let run = Run::begin(folder, settings(groups), net()).unwrap();
        let stop = Stop::default();
        run.train(&stop, |step, net| {
            if Some(step) == stop_at {
                stop.interrupt();
            }
            forward(step, net)
        })
        .unwrap()
    }

    fn bits(net: &Net) -> Vec<(String, Vec<u32>)> {
        collect(net)
            .unwrap()
            .into_iter()
            .map(|(name, data)| (name, data.iter::<f32>().map(f32::to_bits).collect()))
            .collect()
    }

    #[test]
    fn going_on_equals_no_interruption_bit_for_bit() {
        let folder = tempfile::tempdir().unwrap();
        let (whole, parts) = (folder.path().join("whole"), folder.path().join("parts"));
        let Some(expected) = run(&whole, None) else {
            panic!("not done");
        };
        assert!(run(&parts, Some(6)).is_none());
        assert!(run(&parts, Some(11)).is_none());
        let Some(net) = run(&parts, None) else {
            panic!("not done");
        };
        assert_eq!(bits(&net), bits(&expected));
        let steps = |path: &std::path::Path| {
            let log = std::fs::read_to_string(path.join("log.jsonl")).unwrap();
            log.lines()
                .map(|line| serde_json::from_str::<Value>(line).unwrap()["step"].as_u64())
                .collect::<Vec<_>>()
        };
        assert_eq!(steps(&whole), [Some(5), Some(10), Some(15), Some(20)]);
        assert_eq!(steps(&parts), steps(&whole));
    }

    #[test]
    fn what_is_frozen_stays_and_what_learns_moves() {
        let folder = tempfile::tempdir().unwrap();
        let folder = RunFolder::open(folder.path(), &json!({})).unwrap();
        let run = Run::begin(folder, settings(vec![Group::new("second", 1.0)]), net()).unwrap();
        let Some(after) = run.train(&Stop::default(), forward).unwrap() else {
            panic!("not done");
        };
        let (before, after) = (bits(&net()), bits(&after));
        for ((name, before), (_, after)) in before.iter().zip(&after) {
            let moves = name.starts_with("second");
            assert_eq!(before != after, moves, "{name}");
        }
    }

    #[test]
    fn the_loss_falls() {
        let folder = tempfile::tempdir().unwrap();
        run(folder.path(), None);
        let log = std::fs::read_to_string(folder.path().join("log.jsonl")).unwrap();
        let losses: Vec<f64> = log
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok()?["loss"].as_f64())
            .collect();
        assert!(losses[3] < losses[0], "{losses:?}");
    }
}

//! Pictures of a pack in the order of training, decoded ahead of time.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

use aecnn::preprocess::{Preprocessing, centre_crop};
use anyhow::{Result, ensure};
use rayon::prelude::*;

use super::augment::augmented;
use super::pack::{Pack, SIDE};
use crate::random::Random;

/// Batches that wait decoded.
const AHEAD: usize = 4;

/// In which order samples are seen, as a function of the step alone: a run that goes on where another stopped
/// sees what that one would have seen.
#[derive(Debug, Clone)]
pub(crate) struct Order {
    pub(crate) seed: u64,
    /// Samples in an epoch.
    pub(crate) samples: usize,
    /// Samples in a step.
    pub(crate) batch: usize,
    /// How often each sample is drawn, relative to the others; without weights, once an epoch.
    pub(crate) weights: Option<Vec<f64>>,
}

impl Order {
    /// Steps in so many epochs, at least one.
    pub(crate) fn steps(&self, epochs: f64) -> u64 {
        ((epochs * self.samples as f64 / self.batch as f64).ceil() as u64).max(1)
    }

    /// The samples of one epoch in their order.
    fn epoch(&self, epoch: u64) -> Vec<usize> {
        let mut random = Random::of(&[self.seed, epoch]);
        match &self.weights {
            None => {
                let mut order: Vec<usize> = (0..self.samples).collect();
                random.shuffle(&mut order);
                order
            }
            Some(weights) => {
                let mut sums = Vec::with_capacity(weights.len());
                let mut sum = 0.0;
                for weight in weights {
                    sum += weight;
                    sums.push(sum);
                }
                (0..self.samples)
                    .map(|_| {
                        let at = random.unit() * sum;
                        sums.partition_point(|s| *s <= at).min(weights.len() - 1)
                    })
                    .collect()
            }
        }
    }

    /// The samples of a step, where it does not matter in which epoch they are seen.
    pub(crate) fn samples_of(&self, step: u64) -> Vec<usize> {
        self.step(step).into_iter().map(|(_, at)| at).collect()
    }

    /// `(epoch, sample)` of a step. A step may begin in one epoch and end in the next.
    pub(crate) fn step(&self, step: u64) -> Vec<(u64, usize)> {
        let first = step * self.batch as u64;
        let mut current: Option<(u64, Vec<usize>)> = None;
        (first..first + self.batch as u64)
            .map(|at| {
                let epoch = at / self.samples as u64;
                let order = match current.take() {
                    Some((e, order)) if e == epoch => order,
                    _ => self.epoch(epoch),
                };
                let sample = order[(at % self.samples as u64) as usize];
                current = Some((epoch, order));
                (epoch, sample)
            })
            .collect()
    }
}

/// Weights with which every class is seen equally often.
pub(crate) fn balanced(classes: &[usize]) -> Vec<f64> {
    let most = classes.iter().copied().max().unwrap_or(0);
    let mut counts = vec![0usize; most + 1];
    for class in classes {
        counts[*class] += 1;
    }
    classes
        .iter()
        .map(|class| 1.0 / counts[*class] as f64)
        .collect()
}

/// Decoded pictures of one step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Batch {
    /// 224x224 RGB each.
    pub(crate) pixels: Vec<Vec<u8>>,
    pub(crate) classes: Vec<usize>,
}

/// How a picture is seen.
#[derive(Debug, Clone)]
pub(crate) enum View {
    /// The centre, as in evaluation.
    Centre(Preprocessing),
    /// A random window in each epoch.
    Random {
        /// Decides the windows.
        seed: u64,
    },
}

/// One picture of a pack, 224x224 RGB.
pub(crate) fn view(pack: &Pack, picture: usize, epoch: u64, view: &View) -> Result<Vec<u8>> {
    let pixels = pack.pixels(picture)?;
    match view {
        View::Centre(preprocessing) => {
            let side = SIDE as u32;
            Ok(centre_crop(&pixels, 3, side, side, preprocessing)?)
        }
        View::Random { seed } => augmented(&pixels, *seed, epoch, picture),
    }
}

/// Batches of training, step after step.
pub(crate) struct Batches {
    receiver: Receiver<Result<Batch>>,
}

impl Batches {
    /// Starts decoding `pictures` (numbers in the pack) from step `first` up to step `end`.
    pub(crate) fn start(
        pack: Arc<Pack>,
        pictures: Vec<usize>,
        order: Order,
        seen: View,
        first: u64,
        end: u64,
    ) -> Result<Self> {
        ensure!(
            !pictures.is_empty() && order.samples == pictures.len() && order.batch > 0,
            "there are {} pictures for epochs of {}",
            pictures.len(),
            order.samples
        );
        let (sender, receiver) = sync_channel(AHEAD);
        thread::Builder::new()
            .name("decode".to_owned())
            .spawn(move || {
                for step in first..end {
                    // Whoever trains has stopped: there is nobody to decode for.
                    if sender
                        .send(decode(&pack, &pictures, &order.step(step), &seen))
                        .is_err()
                    {
                        return;
                    }
                }
            })?;
        Ok(Self { receiver })
    }
}

impl Iterator for Batches {
    type Item = Result<Batch>;

    fn next(&mut self) -> Option<Self::Item> {
        self.receiver.recv().ok()
    }
}

fn decode(pack: &Pack, pictures: &[usize], samples: &[(u64, usize)], seen: &View) -> Result<Batch> {
    let pixels = samples
        .par_iter()
        .map(|(epoch, sample)| view(pack, pictures[*sample], *epoch, seen))
        .collect::<Result<_>>()?;
    let classes = samples
        .iter()
        .map(|(_, sample)| pack.pictures[pictures[*sample]].class)
        .collect();
    Ok(Batch { pixels, classes })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::pack::{NewPicture, write};
    use crate::data::packing::encode;
    use crate::data::partition::Part;

    fn order() -> Order {
        Order {
            seed: 5,
            samples: 10,
            batch: 4,
            weights: None,
        }
    }

    #[test]
    fn an_epoch_sees_every_sample_once() {
        let order = order();
        let mut seen: Vec<_> = (0..5).flat_map(|step| order.step(step)).collect();
        assert_eq!(seen.iter().filter(|(epoch, _)| *epoch == 1).count(), 10);
        let first: Vec<_> = seen[..10].iter().map(|(_, s)| *s).collect();
        assert_ne!(
            first,
            seen[10..].iter().map(|(_, s)| *s).collect::<Vec<_>>()
        );
        seen.sort_unstable();
        let expected: Vec<_> = (0..2).flat_map(|e| (0..10).map(move |s| (e, s))).collect();
        assert_eq!(seen, expected);
    }

    #[test]
    fn rare_classes_are_drawn_as_often_as_others() {
        let classes: Vec<usize> = (0..1000).map(|at| usize::from(at < 100)).collect();
        let order = Order {
            samples: 1000,
            weights: Some(balanced(&classes)),
            ..order()
        };
        let rare = order.epoch(0).iter().filter(|at| **at < 100).count();
        assert!((420..580).contains(&rare), "{rare}");
    }

    #[test]
    fn batches_do_not_depend_on_threads_or_on_where_they_start() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.pack");
        let pictures: Vec<_> = (0..10u32)
            .map(|seed| {
                let noise = |at: u32| (at.wrapping_mul(2_654_435_761 + seed) >> 24) as u8;
                let rgb: Vec<u8> = (0..(SIDE * SIDE * 3) as u32).map(noise).collect();
                NewPicture {
                    class: seed as usize % 2,
                    part: Part::Train,
                    source_sha256: String::new(),
                    jpeg: encode(&rgb).unwrap(),
                }
            })
            .collect();
        write(&path, vec!["a".into(), "b".into()], &pictures).unwrap();
        let batches = |threads, first| -> Vec<Batch> {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap();
            let pack = Arc::new(Pack::open(&path).unwrap());
            let seen = View::Random { seed: 9 };
            if threads == 0 {
                let all = pack.of(Part::Train);
                let batches = Batches::start(pack, all, order(), seen, first, 5).unwrap();
                return batches.map(Result::unwrap).collect();
            }
            let all = pack.of(Part::Train);
            pool.install(|| {
                (first..5)
                    .map(|step| decode(&pack, &all, &order().step(step), &seen).unwrap())
                    .collect()
            })
        };
        let ahead = batches(0, 0);
        assert_eq!(ahead.len(), 5);
        assert!(ahead == batches(1, 0) && ahead == batches(3, 0));
        assert!(ahead[2..] == batches(0, 2)[..]);
        assert_ne!(ahead[0], ahead[1]);
    }
}

//! The bounded queue and the one thread behind it.
//!
//! GPU work is ordered by operating system thread, and a network on the CPU uses all cores by
//! itself: so all inference happens on one thread, which never moves. Everything else in the
//! server is asynchronous and only waits for it.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::batch::{Entry, take_batch};
use super::{Engine, EngineError, Input};

/// What an entry gave.
#[derive(Debug, Clone, PartialEq)]
pub struct Finished {
    /// The logits.
    pub logits: Vec<f32>,
    /// Time in the queue.
    pub queue: Duration,
    /// Time of the batch for the codecs' decoder networks.
    pub restore: Duration,
    /// Time of the batch for the rest of the network.
    pub tail: Duration,
    /// How many entries were computed together.
    pub batch: usize,
}

/// An entry that was not computed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QueueError {
    /// As many entries are in the server as it takes.
    #[error("the server has {0} frames to compute already")]
    Full(usize),
    /// The engine failed on this entry.
    #[error("inference failed: {0}")]
    Failed(String),
    /// The server is about to end.
    #[error("the server is shutting down")]
    Closed,
}

/// A place among the entries that the server lets in.
#[derive(Debug)]
pub struct Ticket(#[expect(dead_code, reason = "held for its drop")] Option<OwnedSemaphorePermit>);

impl Ticket {
    #[cfg(test)]
    pub(super) fn unlimited() -> Self {
        Self(None)
    }
}

/// The way to the inference thread; cheap to clone. The thread ends with the last clone.
#[derive(Debug, Clone)]
pub struct Queue {
    sender: mpsc::Sender<Entry>,
    places: Arc<Semaphore>,
    depth: usize,
    healthy: Arc<AtomicBool>,
}

impl Queue {
    /// Asks for a place, before any work is put into the request.
    ///
    /// # Errors
    ///
    /// When the server is full.
    pub fn admit(&self) -> Result<Ticket, QueueError> {
        Arc::clone(&self.places)
            .try_acquire_owned()
            .map(|permit| Ticket(Some(permit)))
            .map_err(|_| QueueError::Full(self.depth))
    }

    /// Queues an input and waits for its answer. Dropping the future takes the input out of the
    /// queue, unless it is being computed.
    ///
    /// # Errors
    ///
    /// When the computation fails, or the server ends first.
    pub async fn submit(&self, ticket: Ticket, input: Input) -> Result<Finished, QueueError> {
        let (reply, answer) = oneshot::channel();
        let entry = Entry {
            input,
            reply,
            since: Instant::now(),
            ticket,
        };
        self.sender.send(entry).map_err(|_| QueueError::Closed)?;
        answer.await.map_err(|_| QueueError::Closed)?
    }

    /// How many entries may be in the server.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// How many entries are in the server.
    #[must_use]
    pub fn used(&self) -> usize {
        self.depth.saturating_sub(self.places.available_permits())
    }

    /// Whether the last batch was computed.
    #[must_use]
    pub fn healthy(&self) -> bool {
        self.healthy.load(Ordering::Relaxed)
    }
}

/// The inference thread.
#[derive(Debug)]
pub struct Inference {
    thread: JoinHandle<()>,
}

/// The inference thread did not come up.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The system gave no thread.
    #[error("no thread for inference: {0}")]
    Thread(#[from] std::io::Error),
    /// The engine could not be built.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// Building the engine panicked, as some GPU drivers make it.
    #[error("the backend could not be started; its message stands above")]
    Panicked,
}

impl Inference {
    /// Starts the thread, builds the engine on it, and waits until it is there.
    ///
    /// At most `depth` entries are let in, and at most `most` are computed together.
    ///
    /// # Errors
    ///
    /// When the engine cannot be built.
    pub fn start<E: Engine>(
        depth: usize,
        most: usize,
        build: impl FnOnce() -> Result<E, EngineError> + Send + 'static,
    ) -> Result<(Self, Queue), StartError> {
        let (sender, entries) = mpsc::channel();
        let (ready, built) = mpsc::channel();
        let healthy = Arc::new(AtomicBool::new(true));
        let flag = Arc::clone(&healthy);
        let thread = std::thread::Builder::new()
            .name("inference".to_owned())
            .spawn(move || {
                let mut engine = match build() {
                    Ok(engine) => engine,
                    Err(error) => {
                        let _ = ready.send(Err(error));
                        return;
                    }
                };
                // Nobody waits any more only if the program is ending.
                if ready.send(Ok(())).is_ok() {
                    work(&mut engine, &entries, most.max(1), &flag);
                }
            })?;
        built.recv().map_err(|_| StartError::Panicked)??;
        let places = Arc::new(Semaphore::new(depth));
        Ok((
            Self { thread },
            Queue {
                sender,
                places,
                depth,
                healthy,
            },
        ))
    }

    /// Waits for the thread, which ends when every [`Queue`] is gone.
    pub fn join(self) {
        if self.thread.join().is_err() {
            tracing::error!("the inference thread ended by a panic");
        }
    }
}

fn work(
    engine: &mut impl Engine,
    entries: &mpsc::Receiver<Entry>,
    most: usize,
    healthy: &AtomicBool,
) {
    let mut waiting = VecDeque::new();
    loop {
        if waiting.is_empty() {
            let Ok(entry) = entries.recv() else { return };
            waiting.push_back(entry);
        }
        waiting.extend(entries.try_iter());
        let batch = take_batch(&mut waiting, most);
        if !batch.is_empty() {
            compute(engine, batch, healthy);
        }
    }
}

/// Computes a batch and answers its entries. Should a batch fail, its entries are tried one by
/// one, so that what one client sent cannot cost another client its answer.
fn compute(engine: &mut impl Engine, batch: Vec<Entry>, healthy: &AtomicBool) {
    let started = Instant::now();
    let inputs: Vec<&Input> = batch.iter().map(|entry| &entry.input).collect();
    let result = catch_unwind(AssertUnwindSafe(|| engine.run(&inputs)));
    let result = match result {
        Ok(Ok(output)) if output.logits.len() == batch.len() => Ok(output),
        Ok(Ok(output)) => Err(EngineError::Shape {
            expected: batch.len(),
            got: output.logits.len(),
        }
        .to_string()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(panic) => Err(panic_message(panic.as_ref())),
    };
    let size = batch.len();
    match result {
        Ok(output) => {
            healthy.store(true, Ordering::Relaxed);
            for (entry, logits) in batch.into_iter().zip(output.logits) {
                let finished = Finished {
                    logits,
                    queue: started.saturating_duration_since(entry.since),
                    restore: output.restore,
                    tail: output.tail,
                    batch: size,
                };
                // The client may have left in the meantime.
                let _ = entry.reply.send(Ok(finished));
            }
        }
        Err(message) if size == 1 => {
            healthy.store(false, Ordering::Relaxed);
            tracing::error!(%message, "inference failed");
            for entry in batch {
                let _ = entry.reply.send(Err(QueueError::Failed(message.clone())));
            }
        }
        Err(message) => {
            tracing::warn!(%message, size, "a batch failed; computing its entries one by one");
            for entry in batch {
                compute(engine, vec![entry], healthy);
            }
        }
    }
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "a panic without a message".to_owned())
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::super::Output;
    use super::*;

    /// Answers with the picture's first value; 13 panics, 14 fails.
    struct Fake {
        sizes: Arc<Mutex<Vec<usize>>>,
        gate: mpsc::Receiver<()>,
    }

    impl Engine for Fake {
        fn run(&mut self, inputs: &[&Input]) -> Result<Output, EngineError> {
            let _ = self.gate.recv();
            self.sizes.lock().unwrap().push(inputs.len());
            let logits = inputs
                .iter()
                .map(|input| match input {
                    Input::Picture { planes, .. } => match planes[0] {
                        13.0 => panic!("thirteen"),
                        14.0 => Err(EngineError::Device("fourteen".to_owned())),
                        _ => Ok(planes.clone()),
                    },
                    Input::Latent { .. } => Err(EngineError::Unknown),
                })
                .collect::<Result<_, _>>()?;
            Ok(Output {
                logits,
                restore: Duration::ZERO,
                tail: Duration::from_millis(1),
            })
        }
    }

    fn picture(value: f32) -> Input {
        Input::Picture {
            model: 0,
            planes: vec![value],
        }
    }

    type Started = (Inference, Queue, mpsc::Sender<()>, Arc<Mutex<Vec<usize>>>);

    fn start(depth: usize) -> Started {
        let sizes = Arc::new(Mutex::new(Vec::new()));
        let (open, gate) = mpsc::channel();
        let fake_sizes = Arc::clone(&sizes);
        let (inference, queue) = Inference::start(depth, 8, move || {
            Ok(Fake {
                sizes: fake_sizes,
                gate,
            })
        })
        .unwrap();
        (inference, queue, open, sizes)
    }

    fn submit(queue: &Queue, value: f32) -> tokio::task::JoinHandle<Result<Finished, QueueError>> {
        let ticket = queue.admit().unwrap();
        let queue = queue.clone();
        tokio::spawn(async move { queue.submit(ticket, picture(value)).await })
    }

    /// Lets every spawned task run up to where it waits for the engine.
    async fn settle() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }

    #[tokio::test]
    async fn what_waits_is_computed_together() {
        let (inference, queue, open, sizes) = start(16);
        let first = submit(&queue, 1.0);
        settle().await;
        let others: Vec<_> = (2..6).map(|value| submit(&queue, value as f32)).collect();
        settle().await;
        drop(open);
        assert_eq!(first.await.unwrap().unwrap().batch, 1);
        for (value, other) in (2..6).zip(others) {
            let finished = other.await.unwrap().unwrap();
            assert_eq!((finished.logits[0], finished.batch), (value as f32, 4));
            assert!(
                finished.queue >= Duration::from_millis(20),
                "{:?}",
                finished.queue
            );
        }
        assert_eq!(*sizes.lock().unwrap(), [1, 4]);
        drop(queue);
        inference.join();
    }

    #[tokio::test]
    async fn a_panic_costs_only_the_entry_that_caused_it() {
        let (_inference, queue, open, _) = start(16);
        let first = submit(&queue, 1.0);
        settle().await;
        let batch = [
            submit(&queue, 2.0),
            submit(&queue, 13.0),
            submit(&queue, 14.0),
            submit(&queue, 3.0),
        ];
        settle().await;
        drop(open);
        assert!(first.await.unwrap().is_ok());
        let mut answers = Vec::new();
        for answer in batch {
            answers.push(answer.await.unwrap());
        }
        assert_eq!(answers[0].as_ref().unwrap().logits, [2.0]);
        assert!(matches!(&answers[1], Err(QueueError::Failed(why)) if why == "thirteen"));
        assert!(matches!(&answers[2], Err(QueueError::Failed(why)) if why.contains("fourteen")));
        assert_eq!(answers[3].as_ref().unwrap().logits, [3.0]);
        assert!(queue.healthy(), "the last entry was computed");
    }

    #[tokio::test]
    async fn places_are_bounded_and_come_back() {
        let (_inference, queue, open, _) = start(2);
        let first = submit(&queue, 1.0);
        let second = submit(&queue, 2.0);
        assert_eq!(queue.admit().unwrap_err(), QueueError::Full(2));
        assert_eq!(queue.used(), 2);
        drop(open);
        first.await.unwrap().unwrap();
        second.await.unwrap().unwrap();
        settle().await;
        assert_eq!(queue.used(), 0);
        assert!(queue.admit().is_ok());
    }

    #[tokio::test]
    async fn who_left_is_not_computed() {
        let (_inference, queue, open, sizes) = start(16);
        let first = submit(&queue, 1.0);
        settle().await;
        let leaver = submit(&queue, 2.0);
        let stayer = submit(&queue, 3.0);
        settle().await;
        leaver.abort();
        settle().await;
        drop(open);
        first.await.unwrap().unwrap();
        assert_eq!(stayer.await.unwrap().unwrap().batch, 1);
        assert_eq!(*sizes.lock().unwrap(), [1, 1]);
    }

    #[test]
    fn an_engine_that_cannot_be_built_is_reported() {
        let failed = Inference::start::<Fake>(1, 1, || Err(EngineError::Unknown));
        assert!(matches!(
            failed,
            Err(StartError::Engine(EngineError::Unknown))
        ));
        let panicked = Inference::start::<Fake>(1, 1, || panic!("no driver"));
        assert!(matches!(panicked, Err(StartError::Panicked)));
    }
}

//! The bounded queue and the one thread behind it.
//!
//! GPU work is ordered by operating system thread, and a network on the CPU uses all cores by
//! itself: so all inference of an engine happens on one thread, which never moves. Everything else
//! in the server is asynchronous and only waits for it. There is a second thread only while sessions
//! still use models that were replaced ([`crate::models`]).

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::batch::{Entry, Waiting};
use super::{Engine, EngineError, Input};
use crate::metrics::Metrics;

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
    /// A newer frame of the same client took its place.
    #[error("a newer frame took its place")]
    Superseded,
    /// Its turn came too late.
    #[error("its turn did not come within {} ms", .0.as_millis())]
    Expired(Duration),
    /// The engine failed on this entry.
    #[error("inference failed: {0}")]
    Failed(String),
    /// The server is about to end.
    #[error("the server is shutting down")]
    Closed,
}

/// What the server asks of its queue.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// How many entries are let in at once.
    pub depth: usize,
    /// How many are computed together at most.
    pub most: usize,
    /// How old an entry may be when its turn comes, counted from its admission.
    pub max_age: Duration,
}

/// A place among the entries that the server lets in.
#[derive(Debug)]
pub struct Ticket {
    #[expect(dead_code, reason = "held for its drop")]
    place: Option<OwnedSemaphorePermit>,
    client: Option<u64>,
    order: u64,
    admitted: Instant,
    patience: Option<Duration>,
}

impl Ticket {
    /// The same place, of a client that waits no longer than this.
    #[must_use]
    pub fn within(self, patience: Duration) -> Self {
        Self {
            patience: Some(patience),
            ..self
        }
    }

    /// How old the entry may be when its turn comes, where the server allows `max_age`.
    #[must_use]
    pub fn max_age(&self, max_age: Duration) -> Duration {
        self.patience
            .map_or(max_age, |patience| patience.min(max_age))
    }

    /// The client whose stream of frames this entry is of, where it is of one.
    #[must_use]
    pub fn client(&self) -> Option<u64> {
        self.client
    }

    /// Counts admissions: of two tickets the later one has the higher number.
    #[must_use]
    pub fn order(&self) -> u64 {
        self.order
    }

    /// When it was given.
    #[must_use]
    pub fn admitted(&self) -> Instant {
        self.admitted
    }

    #[cfg(test)]
    pub(super) fn unlimited(client: Option<u64>, order: u64) -> Self {
        Self {
            place: None,
            client,
            order,
            admitted: Instant::now(),
            patience: None,
        }
    }
}

/// The way to the inference thread; cheap to clone. The thread ends with the last clone.
#[derive(Debug, Clone)]
pub struct Queue {
    shared: Arc<Shared>,
    _open: Arc<Open>,
}

#[derive(Debug)]
struct Shared {
    rules: Rules,
    places: Arc<Semaphore>,
    admitted: AtomicU64,
    waiting: Mutex<Line>,
    changed: Condvar,
    healthy: AtomicBool,
}

/// Entries, and whether more can come.
#[derive(Debug, Default)]
struct Line {
    waiting: Waiting,
    closed: bool,
}

/// Held by every [`Queue`]: dropping the last one ends the thread.
#[derive(Debug)]
struct Open(Arc<Shared>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.line().closed = true;
        self.0.changed.notify_all();
    }
}

impl Shared {
    fn line(&self) -> MutexGuard<'_, Line> {
        // Nothing that holds it can panic half-way through a change.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the next batch; `None` when no more can come.
    fn next(&self) -> Option<Vec<Entry>> {
        let mut line = self.line();
        loop {
            let batch = line
                .waiting
                .take(self.rules.most, self.rules.max_age, Instant::now());
            if !batch.is_empty() {
                return Some(batch);
            }
            if line.closed {
                return None;
            }
            line = self
                .changed
                .wait(line)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Queue {
    /// Asks for a place, before any work is put into the request. Of the entries that name the
    /// same `client`, only the newest waits; entries without one are all computed.
    ///
    /// # Errors
    ///
    /// When the server is full.
    pub fn admit(&self, client: Option<u64>) -> Result<Ticket, QueueError> {
        let place = Arc::clone(&self.shared.places)
            .try_acquire_owned()
            .map_err(|_| QueueError::Full(self.shared.rules.depth))?;
        Ok(Ticket {
            place: Some(place),
            client,
            order: self.shared.admitted.fetch_add(1, Ordering::Relaxed),
            admitted: Instant::now(),
            patience: None,
        })
    }

    /// Queues an input and waits for its answer. Dropping the future takes the input out of the
    /// queue, unless it is being computed.
    ///
    /// # Errors
    ///
    /// When a newer frame takes the input's place, its turn comes too late, the computation
    /// fails, or the server ends first.
    pub async fn submit(&self, ticket: Ticket, input: Input) -> Result<Finished, QueueError> {
        let (reply, answer) = oneshot::channel();
        self.shared.line().waiting.push(Entry {
            input,
            reply,
            since: Instant::now(),
            ticket,
        });
        self.shared.changed.notify_one();
        answer.await.map_err(|_| QueueError::Closed)?
    }

    /// How many entries may be in the server.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.shared.rules.depth
    }

    /// How many entries are in the server.
    #[must_use]
    pub fn used(&self) -> usize {
        self.depth()
            .saturating_sub(self.shared.places.available_permits())
    }

    /// How many entries wait for their turn.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.shared.line().waiting.len()
    }

    /// Whether the last batch was computed.
    #[must_use]
    pub fn healthy(&self) -> bool {
        self.shared.healthy.load(Ordering::Relaxed)
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
    /// # Errors
    ///
    /// When the engine cannot be built.
    pub fn start<E: Engine>(
        rules: Rules,
        metrics: Metrics,
        build: impl FnOnce() -> Result<E, EngineError> + Send + 'static,
    ) -> Result<(Self, Queue), StartError> {
        let places = Arc::new(Semaphore::new(rules.depth));
        Self::with_places(rules, places, metrics, build)
    }

    /// As [`Self::start`], beside a thread that runs already: with its rules, and with its places,
    /// so that the server lets in no more than before.
    ///
    /// # Errors
    ///
    /// When the engine cannot be built.
    pub fn beside<E: Engine>(
        queue: &Queue,
        metrics: Metrics,
        build: impl FnOnce() -> Result<E, EngineError> + Send + 'static,
    ) -> Result<(Self, Queue), StartError> {
        let places = Arc::clone(&queue.shared.places);
        Self::with_places(queue.shared.rules, places, metrics, build)
    }

    fn with_places<E: Engine>(
        rules: Rules,
        places: Arc<Semaphore>,
        metrics: Metrics,
        build: impl FnOnce() -> Result<E, EngineError> + Send + 'static,
    ) -> Result<(Self, Queue), StartError> {
        let (ready, built) = mpsc::channel();
        let shared = Arc::new(Shared {
            rules,
            places,
            admitted: AtomicU64::new(0),
            waiting: Mutex::default(),
            changed: Condvar::new(),
            healthy: AtomicBool::new(true),
        });
        let for_thread = Arc::clone(&shared);
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
                    while let Some(batch) = for_thread.next() {
                        compute(&mut engine, batch, &for_thread.healthy, &metrics);
                    }
                }
            })?;
        built.recv().map_err(|_| StartError::Panicked)??;
        let open = Arc::new(Open(Arc::clone(&shared)));
        Ok((
            Self { thread },
            Queue {
                shared,
                _open: open,
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

/// Computes a batch and answers its entries. Should a batch fail, its entries are tried one by
/// one, so that what one client sent cannot cost another client its answer.
fn compute(engine: &mut impl Engine, batch: Vec<Entry>, healthy: &AtomicBool, metrics: &Metrics) {
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
            metrics.batch(size, output.restore, output.tail);
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
            metrics.batch_failed();
            tracing::error!(%message, "inference failed");
            for entry in batch {
                let _ = entry.reply.send(Err(QueueError::Failed(message.clone())));
            }
        }
        Err(message) => {
            tracing::warn!(%message, size, "a batch failed; computing its entries one by one");
            for entry in batch {
                compute(engine, vec![entry], healthy, metrics);
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
                    Input::Latent { .. } | Input::Feature { .. } => Err(EngineError::Unknown),
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

    fn rules(depth: usize) -> Rules {
        Rules {
            depth,
            most: 8,
            max_age: Duration::from_secs(60),
        }
    }

    fn start(depth: usize) -> Started {
        let sizes = Arc::new(Mutex::new(Vec::new()));
        let (open, gate) = mpsc::channel();
        let fake_sizes = Arc::clone(&sizes);
        let (inference, queue) =
            Inference::start(rules(depth), Metrics::new().unwrap(), move || {
                Ok(Fake {
                    sizes: fake_sizes,
                    gate,
                })
            })
            .unwrap();
        (inference, queue, open, sizes)
    }

    fn submit(queue: &Queue, value: f32) -> tokio::task::JoinHandle<Result<Finished, QueueError>> {
        submit_of(queue, None, value)
    }

    fn submit_of(
        queue: &Queue,
        client: Option<u64>,
        value: f32,
    ) -> tokio::task::JoinHandle<Result<Finished, QueueError>> {
        let ticket = queue.admit(client).unwrap();
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
    async fn the_newest_frame_of_a_client_is_computed_and_its_older_one_told_at_once() {
        let (_inference, queue, open, sizes) = start(16);
        let first = submit_of(&queue, Some(1), 1.0);
        settle().await;
        let older = submit_of(&queue, Some(1), 2.0);
        let other = submit_of(&queue, Some(2), 3.0);
        settle().await;
        let newer = submit_of(&queue, Some(1), 4.0);
        // While the first is still being computed.
        assert_eq!(older.await.unwrap(), Err(QueueError::Superseded));
        assert_eq!((queue.used(), queue.waiting()), (3, 2));
        drop(open);
        assert!(first.await.unwrap().is_ok(), "what is being computed stays");
        assert_eq!(newer.await.unwrap().unwrap().logits, [4.0]);
        assert_eq!(other.await.unwrap().unwrap().batch, 2);
        assert_eq!(*sizes.lock().unwrap(), [1, 2]);
    }

    #[tokio::test]
    async fn places_are_bounded_and_come_back() {
        let (_inference, queue, open, _) = start(2);
        let first = submit(&queue, 1.0);
        let second = submit(&queue, 2.0);
        assert_eq!(queue.admit(None).unwrap_err(), QueueError::Full(2));
        assert_eq!(queue.used(), 2);
        drop(open);
        first.await.unwrap().unwrap();
        second.await.unwrap().unwrap();
        settle().await;
        assert_eq!(queue.used(), 0);
        assert!(queue.admit(None).is_ok());
    }

    #[tokio::test]
    async fn queues_beside_each_other_share_their_places_and_nothing_else() {
        let (inference, queue, open, _) = start(2);
        let (second_inference, second) = Inference::beside(&queue, Metrics::new().unwrap(), || {
            Ok(Fake {
                sizes: Arc::default(),
                gate: mpsc::channel().1,
            })
        })
        .unwrap();
        let (first, other) = (submit(&queue, 1.0), submit(&second, 2.0));
        assert_eq!(queue.admit(None).unwrap_err(), QueueError::Full(2));
        assert_eq!(second.admit(None).unwrap_err(), QueueError::Full(2));
        // The first engine still waits.
        assert_eq!(other.await.unwrap().unwrap().logits, [2.0]);
        drop(second);
        second_inference.join();
        drop(open);
        assert_eq!(first.await.unwrap().unwrap().logits, [1.0]);
        drop(queue);
        inference.join();
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
        let failed = Inference::start::<Fake>(rules(1), Metrics::new().unwrap(), || {
            Err(EngineError::Unknown)
        });
        assert!(matches!(
            failed,
            Err(StartError::Engine(EngineError::Unknown))
        ));
        let panicked =
            Inference::start::<Fake>(rules(1), Metrics::new().unwrap(), || panic!("no driver"));
        assert!(matches!(panicked, Err(StartError::Panicked)));
    }
}

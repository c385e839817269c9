//! The models that are in use: read when the server starts, and anew when the operator asks.
//!
//! Each reading is a [`Generation`] with an inference thread of its own. A session keeps the
//! generation that it greeted with, so that its codec's number and digests stay right; a request
//! takes the newest. Who uses a generation holds it, and its engine ends with the last of them.

use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};

#[cfg(unix)]
use tokio::signal::unix::Signal;
use tokio::task::JoinError;
use tokio_util::task::TaskTracker;

use crate::app::App;
use crate::catalogue::{Catalogue, CatalogueError, Model};
use crate::engine::{Engine, EngineError, Inference, Queue, StartError};

/// Models that were read at one time, and the way to the engine that runs them.
#[derive(Debug)]
pub struct Generation {
    /// Counts the readings; 1 are the models that the server started with.
    pub number: u64,
    /// The models.
    pub catalogue: Arc<Catalogue>,
    /// The way to their engine.
    pub queue: Queue,
}

/// The generation for new sessions and requests, and those that are still in use.
#[derive(Debug)]
pub struct Models {
    current: RwLock<Arc<Generation>>,
    all: Mutex<Vec<Weak<Generation>>>,
    engines: TaskTracker,
}

impl Models {
    /// The first generation.
    #[must_use]
    pub fn new(catalogue: Arc<Catalogue>, queue: Queue) -> Self {
        let first = Arc::new(Generation {
            number: 1,
            catalogue,
            queue,
        });
        Self {
            all: Mutex::new(vec![Arc::downgrade(&first)]),
            current: RwLock::new(first),
            engines: TaskTracker::new(),
        }
    }

    /// For a session or a request that comes now.
    #[must_use]
    pub fn current(&self) -> Arc<Generation> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&current)
    }

    /// Every generation that somebody uses, the oldest first.
    #[must_use]
    pub fn in_use(&self) -> Vec<Arc<Generation>> {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|generation| generation.strong_count() > 0);
        all.iter().filter_map(Weak::upgrade).collect()
    }

    /// The engines' threads: the tracker is empty when all of them have ended.
    #[must_use]
    pub fn engines(&self) -> &TaskTracker {
        &self.engines
    }

    /// Watches over a generation's thread until it ends.
    pub fn look_after(&self, number: u64, inference: Inference) {
        self.engines.spawn_blocking(move || {
            inference.join();
            tracing::info!(generation = number, "models freed");
        });
    }

    /// What comes from now on uses these models.
    fn replace(&self, catalogue: Arc<Catalogue>, queue: Queue) -> Arc<Generation> {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        let fresh = Arc::new(Generation {
            number: current.number + 1,
            catalogue,
            queue,
        });
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.push(Arc::downgrade(&fresh));
        *current = Arc::clone(&fresh);
        fresh
    }
}

/// What reading the models anew came to, where nothing was wrong.
#[derive(Debug)]
pub enum Reloaded {
    /// New models are in use.
    Fresh(Arc<Generation>),
    /// They are those that were in use.
    Same,
}

/// Models that were read anew and are not used: those from before are.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// A folder, manifest or file is not right.
    #[error(transparent)]
    Catalogue(#[from] CatalogueError),
    /// They cannot be loaded, or do not run.
    #[error(transparent)]
    Start(#[from] StartError),
    /// Reading them panicked.
    #[error("reading the models failed: {0}")]
    Failed(#[from] JoinError),
}

/// Reads the models' folder anew and, where they are right, `build`s an engine for them and has
/// what comes from now on use it. All of it happens beside the running engine and off the async
/// threads.
///
/// # Errors
///
/// When a model is not right or does not run; nothing has changed then.
pub async fn reload<E, B>(app: &App, build: B) -> Result<Reloaded, ReloadError>
where
    E: Engine,
    B: FnOnce(&Catalogue) -> Result<E, EngineError> + Send + 'static,
{
    let before = app.models.current();
    let (folder, metrics) = (app.config.models.clone(), app.metrics.clone());
    let loading = tokio::task::spawn_blocking(move || {
        let catalogue = Arc::new(Catalogue::read(&folder)?);
        if manifests(&catalogue).eq(manifests(&before.catalogue)) {
            return Ok::<_, ReloadError>(None);
        }
        let for_engine = Arc::clone(&catalogue);
        let (inference, queue) =
            Inference::beside(&before.queue, metrics, move || build(&for_engine))?;
        Ok(Some((catalogue, inference, queue)))
    });
    let Some((catalogue, inference, queue)) = loading.await?? else {
        return Ok(Reloaded::Same);
    };
    let fresh = app.models.replace(catalogue, queue);
    app.models.look_after(fresh.number, inference);
    Ok(Reloaded::Fresh(fresh))
}

/// What decides whether models are the same: a manifest has the digest of every file.
fn manifests(catalogue: &Catalogue) -> impl Iterator<Item = &aecnn::manifest::Manifest> {
    catalogue.models().iter().map(|model| &model.manifest)
}

/// Says what was read.
pub fn announce(models: &[Model]) {
    for model in models {
        tracing::info!(
            model = %model.manifest.name,
            digest = %model.manifest.digest,
            codecs = model.codecs.len(),
            "model read"
        );
    }
}

/// Reads the models anew whenever the signal comes, until the server ends, and says in the log what
/// came of it. Signals that come while models are being read are one more.
#[cfg(unix)]
pub async fn keep_fresh<E, B>(app: Arc<App>, mut asked: Signal, build: B)
where
    E: Engine,
    B: Fn(&Catalogue) -> Result<E, EngineError> + Clone + Send + 'static,
{
    while let Some(Some(())) = app.stop.run_until_cancelled(asked.recv()).await {
        tracing::info!(folder = %app.config.models.display(), "reading the models anew");
        let outcome = match reload(&app, build.clone()).await {
            Ok(Reloaded::Fresh(fresh)) => {
                announce(fresh.catalogue.models());
                tracing::info!(
                    generation = fresh.number,
                    "new models in use; sessions that are open keep theirs"
                );
                "taken"
            }
            Ok(Reloaded::Same) => {
                tracing::info!("the models are as they were");
                "same"
            }
            Err(error) => {
                tracing::error!(%error, "the old models stay in use");
                "refused"
            }
        };
        app.metrics.reloaded(outcome);
    }
}

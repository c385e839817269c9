//! What every request and every connection shares.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::catalogue::Catalogue;
use crate::config::Config;
use crate::engine::Queue;
use crate::guests::Guests;
use crate::metrics::Metrics;
use crate::models::Models;
use crate::page::Page;

/// The name and version that the server tells its clients.
pub const SERVER: &str = concat!("edge-server/", env!("CARGO_PKG_VERSION"));

/// The server's shared state.
#[derive(Debug)]
pub struct App {
    /// What the user set.
    pub config: Config,
    /// The models, and the way to inference.
    pub models: Models,
    /// What is counted.
    pub metrics: Metrics,
    /// Who is connected.
    pub guests: Arc<Guests>,
    /// The page.
    pub page: Page,
    /// Cancelled when the server is to end.
    pub stop: CancellationToken,
    /// The open sockets.
    pub sockets: TaskTracker,
    /// Places for decoding pictures: as many as there are cores.
    pub decoders: Arc<Semaphore>,
    /// When the server came up.
    pub started: Instant,
    sessions: AtomicU64,
}

impl App {
    /// Puts the state together.
    #[must_use]
    pub fn new(
        config: Config,
        catalogue: Arc<Catalogue>,
        queue: Queue,
        page: Page,
        metrics: Metrics,
    ) -> Arc<Self> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let guests = Guests::new(config.guest_limits());
        Arc::new(Self {
            config,
            models: Models::new(catalogue, queue),
            metrics,
            guests,
            page,
            stop: CancellationToken::new(),
            sockets: TaskTracker::new(),
            decoders: Arc::new(Semaphore::new(cores)),
            started: Instant::now(),
            sessions: AtomicU64::new(1),
        })
    }

    /// Whether requests should come here: the last batch was computed, and no end is near.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        !self.stop.is_cancelled() && self.models.current().queue.healthy()
    }

    /// A number for a new session, unique while the server runs.
    #[must_use]
    pub fn next_session(&self) -> u64 {
        self.sessions.fetch_add(1, Ordering::Relaxed)
    }
}

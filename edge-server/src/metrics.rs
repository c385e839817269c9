//! What an operator sees of the server: counters, gauges and histograms in Prometheus' format.
//!
//! What happens is counted where it happens; what is only a state (connections, the queue) is read
//! when somebody asks.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use metrics_exporter_prometheus::{
    BuildError, Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder,
};
use tokio_util::sync::CancellationToken;

use crate::answer::Clock;
use crate::app::App;
use crate::engine::Finished;

/// Upper bounds of times, in seconds: finer where an answer still feels instant.
const SECONDS: [f64; 14] = [
    0.0001, 0.0005, 0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.35, 0.5, 1.0, 2.5, 10.0,
];
/// Upper bounds of batch sizes.
const SIZES: [f64; 9] = [1.0, 2.0, 3.0, 4.0, 8.0, 16.0, 32.0, 64.0, 256.0];

/// How often what histograms were told is summed up, so that it takes no room where nobody asks.
const UPKEEP: Duration = Duration::from_secs(5);

const FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// How a request came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A message over a WebSocket.
    Frame,
    /// A picture by `/v1/classify`.
    Picture,
    /// A request of the Open Inference Protocol.
    Infer,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Frame => "frame",
            Self::Picture => "picture",
            Self::Infer => "infer",
        }
    }
}

/// Counters and histograms; cheap to clone, and all clones count together.
#[derive(Clone)]
pub struct Metrics {
    recorder: Arc<PrometheusRecorder>,
    handle: PrometheusHandle,
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Metrics")
    }
}

impl Metrics {
    /// Nothing counted yet.
    ///
    /// # Errors
    ///
    /// Never with the buckets that stand here; the library's constructor asks for it.
    pub fn new() -> Result<Self, BuildError> {
        let recorder = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)?
            .set_buckets_for_metric(Matcher::Suffix("_size".to_owned()), &SIZES)?
            .build_recorder();
        let metrics = Self {
            handle: recorder.handle(),
            recorder: Arc::new(recorder),
        };
        metrics.record(describe);
        Ok(metrics)
    }

    fn record(&self, what: impl FnOnce()) {
        metrics::with_local_recorder(self.recorder.as_ref(), what);
    }

    /// A frame, picture or request of so many bytes is there.
    pub fn received(&self, kind: Kind, bytes: usize) {
        self.record(|| {
            counter!("edge_received_total", "kind" => kind.name()).increment(1);
            counter!("edge_received_bytes_total", "kind" => kind.name()).increment(bytes as u64);
        });
    }

    /// It was answered with labels; where its time went.
    pub fn answered(&self, kind: Kind, clock: &Clock, finished: &Finished) {
        self.record(|| {
            counter!("edge_answers_total", "kind" => kind.name()).increment(1);
            for (step, time) in [
                ("decode", clock.decode),
                ("preprocess", clock.preprocess),
                ("queue", finished.queue),
                ("total", clock.arrived.elapsed()),
            ] {
                histogram!("edge_step_seconds", "step" => step).record(time);
            }
        });
    }

    /// Something was refused; `reason` is the error's code.
    pub fn refused(&self, reason: &'static str) {
        self.record(|| counter!("edge_refusals_total", "reason" => reason).increment(1));
    }

    /// A connection was refused before anything was read from it.
    pub fn connection_refused(&self, reason: &'static str) {
        self.record(|| {
            counter!("edge_connections_refused_total", "reason" => reason).increment(1);
        });
    }

    /// A session was opened.
    pub fn session(&self) {
        self.record(|| counter!("edge_sessions_total").increment(1));
    }

    /// A batch of so many inputs was computed in these times.
    pub fn batch(&self, size: usize, restore: Duration, tail: Duration) {
        self.record(|| {
            histogram!("edge_batch_size").record(size as f64);
            histogram!("edge_step_seconds", "step" => "restore").record(restore);
            histogram!("edge_step_seconds", "step" => "tail").record(tail);
        });
    }

    /// A batch could not be computed.
    pub fn batch_failed(&self) {
        self.record(|| counter!("edge_batch_failures_total").increment(1));
    }

    /// The models were read anew: `taken`, `same` as before, or `refused`.
    pub fn reloaded(&self, outcome: &'static str) {
        self.record(|| counter!("edge_model_reloads_total", "outcome" => outcome).increment(1));
    }

    /// All of it, and how the server is right now, in Prometheus' text format.
    #[must_use]
    pub fn text(&self, app: &App) -> String {
        self.record(|| {
            gauge!("edge_connections").set(app.guests.connections());
            gauge!("edge_sessions").set(app.sockets.len() as f64);
            // Places are those of all generations together; each has a line of its own.
            let queue = &app.models.current().queue;
            let in_use = app.models.in_use();
            let waiting: usize = in_use.iter().map(|models| models.queue.waiting()).sum();
            gauge!("edge_in_server").set(queue.used() as f64);
            gauge!("edge_in_server_limit").set(queue.depth() as f64);
            gauge!("edge_waiting").set(waiting as f64);
            gauge!("edge_healthy").set(f64::from(u8::from(queue.healthy())));
            gauge!("edge_model_generations").set(in_use.len() as f64);
            gauge!("edge_uptime_seconds").set(app.started.elapsed().as_secs_f64());
        });
        self.handle.render()
    }

    /// Sums up what was told, again and again, until `stop`.
    pub async fn keep_up(self, stop: CancellationToken) {
        while stop
            .run_until_cancelled(tokio::time::sleep(UPKEEP))
            .await
            .is_some()
        {
            self.handle.run_upkeep();
        }
    }
}

fn describe() {
    // There from the start, or the first refusal would be no increase.
    for outcome in ["taken", "same", "refused"] {
        counter!("edge_model_reloads_total", "outcome" => outcome).increment(0);
    }
    describe_counter!(
        "edge_received_total",
        "Frames, pictures and requests that came"
    );
    describe_counter!("edge_received_bytes_total", "Their bytes");
    describe_counter!("edge_answers_total", "Answers with labels");
    describe_counter!(
        "edge_refusals_total",
        "What was refused, by the error's code"
    );
    describe_counter!(
        "edge_connections_refused_total",
        "Connections refused before anything was read from them"
    );
    describe_counter!("edge_sessions_total", "Sessions opened");
    describe_counter!(
        "edge_batch_failures_total",
        "Batches that could not be computed"
    );
    describe_counter!(
        "edge_model_reloads_total",
        "Times that the models were read anew: taken, same as before, or refused"
    );
    describe_histogram!("edge_batch_size", "Inputs computed together");
    describe_histogram!(
        "edge_step_seconds",
        "Where time goes: decode, preprocess, queue and total of each input, restore and tail of each batch"
    );
    describe_gauge!("edge_connections", "Open connections");
    describe_gauge!("edge_sessions", "Open sessions");
    describe_gauge!(
        "edge_in_server",
        "Frames, pictures and requests in the server"
    );
    describe_gauge!(
        "edge_in_server_limit",
        "How many of them the server lets in"
    );
    describe_gauge!("edge_waiting", "How many of them wait for the network");
    describe_gauge!("edge_healthy", "1 when the last batch was computed");
    describe_gauge!(
        "edge_model_generations",
        "Readings of the models that are in use: more than 1 while sessions keep older models"
    );
    describe_gauge!("edge_uptime_seconds", "Time since the server came up");
}

/// The routes of the metrics' own port.
pub fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .with_state(app)
}

async fn metrics(State(app): State<Arc<App>>) -> Response {
    ([(CONTENT_TYPE, FORMAT)], app.metrics.text(&app)).into_response()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Mutex;

    use metrics::{
        Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit,
    };

    use super::*;

    /// Keeps the names of what is described.
    #[derive(Default)]
    struct Names(Mutex<BTreeSet<String>>);

    impl Names {
        fn keep(&self, name: &KeyName) {
            self.0.lock().unwrap().insert(name.as_str().to_owned());
        }
    }

    impl Recorder for Names {
        fn describe_counter(&self, name: KeyName, _: Option<Unit>, _: SharedString) {
            self.keep(&name);
        }

        fn describe_gauge(&self, name: KeyName, _: Option<Unit>, _: SharedString) {
            self.keep(&name);
        }

        fn describe_histogram(&self, name: KeyName, _: Option<Unit>, _: SharedString) {
            self.keep(&name);
        }

        fn register_counter(&self, _: &Key, _: &Metadata<'_>) -> Counter {
            Counter::noop()
        }

        fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
            Gauge::noop()
        }

        fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
            Histogram::noop()
        }
    }

    #[test]
    fn alerts_and_dashboard_ask_for_metrics_that_there_are() {
        let names = Names::default();
        metrics::with_local_recorder(&names, describe);
        let names = names.0.into_inner().unwrap();
        assert!(names.len() > 10, "{names:?}");
        for text in [
            include_str!("../../deploy/prometheus-alerts.yaml"),
            include_str!("../../deploy/grafana/edge-server.json"),
        ] {
            let words = text.split(|c: char| !(c.is_ascii_lowercase() || c == '_'));
            let asked: Vec<_> = words.filter(|word| word.starts_with("edge_")).collect();
            assert!(!asked.is_empty());
            for word in asked {
                let name = ["_bucket", "_sum", "_count"]
                    .iter()
                    .find_map(|part| word.strip_suffix(part))
                    .unwrap_or(word);
                assert!(names.contains(name), "there is no metric {word}");
            }
        }
    }
}

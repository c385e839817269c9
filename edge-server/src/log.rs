//! What the server tells while it runs: lines for people or machines, and spans for a collector.

use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{EnvFilter, Layer, fmt, registry};

use crate::config::{Config, LogFormat};
use crate::traces;

/// The spans that are exported, whatever is logged: sessions and frames.
const EXPORTED: &str = "edge_server=debug";

/// Logging that did not begin.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The filter does not parse.
    #[error(transparent)]
    Filter(#[from] ParseError),
    /// Something else logs already.
    #[error(transparent)]
    Twice(#[from] TryInitError),
}

/// Logs until the program ends.
#[derive(Debug)]
#[must_use]
pub struct Log {
    spans: Option<SdkTracerProvider>,
}

impl Log {
    /// Begins to log to standard error, and to export spans where the settings name a collector.
    ///
    /// # Errors
    ///
    /// When the filter is none, or this is called twice.
    pub fn begin(config: &Config) -> Result<Self, LogError> {
        let lines = fmt::layer()
            .with_writer(std::io::stderr)
            .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()));
        let lines = match config.log_format {
            LogFormat::Text => lines.boxed(),
            LogFormat::Json => lines.json().flatten_event(true).boxed(),
        };
        let spans = config.otlp_endpoint.as_ref().map(traces::provider);
        let exported = spans.as_ref().map(|spans| {
            tracing_opentelemetry::layer()
                .with_tracer(spans.tracer(traces::SERVICE))
                .with_location(false)
                .with_threads(false)
        });
        registry()
            .with(lines.with_filter(EnvFilter::try_new(&config.log)?))
            .with(exported.with_filter(EnvFilter::try_new(EXPORTED)?))
            .try_init()?;
        Ok(Self { spans })
    }

    /// Exports what is not exported yet.
    pub async fn end(self) {
        let Some(spans) = self.spans else {
            return;
        };
        // It waits for its thread, which waits for the runtime.
        let ended = tokio::task::spawn_blocking(move || spans.shutdown()).await;
        if let Ok(Err(error)) = ended {
            tracing::debug!(%error, "the last spans were not exported");
        }
    }
}

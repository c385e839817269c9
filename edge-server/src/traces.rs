//! Spans for those who collect them: OTLP over HTTP, as protobuf, to a collector nearby.
//!
//! The exporter of the OpenTelemetry project is not used: it brings an HTTP client of its own, and
//! features of shared libraries with which the neural-network library would be compiled anew. What is
//! sent is made by the project's own crates.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, HOST};
use axum::http::{Request, StatusCode, Uri};
use futures_util::future::join;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::transform::common::tonic::ResourceAttributesWithSchema;
use opentelemetry_proto::transform::trace::tonic::group_spans_by_resource_and_scope;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData, SpanExporter};
use prost::Message;
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::time::timeout;

/// What spans are said to be of, unless `OTEL_SERVICE_NAME` says otherwise.
pub const SERVICE: &str = "edge-server";
/// A collector must take a batch of spans within this time.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where spans were not taken.
#[derive(Debug, thiserror::Error)]
enum CollectorError {
    #[error("no connection: {0}")]
    Connect(#[from] std::io::Error),
    #[error("no request: {0}")]
    Request(#[from] axum::http::Error),
    #[error("no answer: {0}")]
    Answer(#[from] hyper::Error),
    #[error("it answers {0}")]
    Status(StatusCode),
    #[error("it takes too long")]
    TimedOut,
    #[error("the server ends")]
    Ending,
}

/// Sends finished spans in batches, from a thread of its own, to the collector at this address
/// (`http://host:port`, and a path where there is one). How many is the business of
/// `OTEL_TRACES_SAMPLER` and its like. To be called where the async runtime is.
#[must_use]
pub fn provider(endpoint: &Uri) -> SdkTracerProvider {
    let mut resource = Resource::builder();
    if std::env::var_os("OTEL_SERVICE_NAME").is_none() {
        resource = resource.with_service_name(SERVICE);
    }
    SdkTracerProvider::builder()
        .with_batch_exporter(Collector {
            endpoint: endpoint.clone(),
            runtime: Handle::current(),
            resource: ResourceAttributesWithSchema::default(),
            failing: AtomicBool::new(false),
        })
        .with_resource(resource.build())
        .build()
}

/// A collector of spans.
#[derive(Debug)]
struct Collector {
    endpoint: Uri,
    /// The batches' thread has no runtime.
    runtime: Handle,
    resource: ResourceAttributesWithSchema,
    failing: AtomicBool,
}

impl SpanExporter for Collector {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        let request = ExportTraceServiceRequest {
            resource_spans: group_spans_by_resource_and_scope(batch, &self.resource),
        };
        let (endpoint, body) = (self.endpoint.clone(), request.encode_to_vec());
        // The whole of it there: a timeout, too, belongs to the runtime where it is made.
        let sending = async move { timeout(PATIENCE, post(endpoint, body)).await };
        let sent = match self.runtime.spawn(sending).await {
            Ok(Ok(sent)) => sent,
            Ok(Err(_)) => Err(CollectorError::TimedOut),
            Err(_) => Err(CollectorError::Ending),
        };
        let failed = self.failing.swap(sent.is_err(), Ordering::Relaxed);
        sent.map_err(|error| {
            // Said once, and not every few seconds.
            if !failed {
                tracing::warn!(endpoint = %self.endpoint, %error, spans, "spans were not exported");
            }
            OTelSdkError::InternalFailure(error.to_string())
        })
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.resource = resource.into();
    }
}

/// One request on a connection of its own: batches are seconds apart.
async fn post(endpoint: Uri, body: Vec<u8>) -> Result<(), CollectorError> {
    let host = endpoint.host().unwrap_or_default();
    let port = endpoint.port_u16().unwrap_or(80);
    let stream = TcpStream::connect(format!("{host}:{port}")).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::post(format!(
        "{}/v1/traces",
        endpoint.path().trim_end_matches('/')
    ))
    .header(HOST, format!("{host}:{port}"))
    .header(CONTENT_TYPE, "application/x-protobuf")
    .body(Body::from(body))?;
    // The sender is dropped with the answer, and with it the connection ends.
    let answer = async move {
        let answer = sender.send_request(request).await?;
        match answer.status() {
            status if status.is_success() => Ok(()),
            status => Err(CollectorError::Status(status)),
        }
    };
    // How the connection ends is of no interest when there is an answer, and told by it otherwise.
    join(answer, connection).await.0
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// Posts to a collector that answers so, and then closes.
    async fn answered(answer: &'static [u8]) -> Result<(), CollectorError> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}/base/", listener.local_addr().unwrap());
        let collector = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 4096];
            let mut length = 0;
            while !request[..length].ends_with(b"spans") {
                length += stream.read(&mut request[length..]).await.unwrap();
            }
            stream.write_all(answer).await.unwrap();
            request.truncate(length);
            request
        });
        let posted = post(endpoint.parse().unwrap(), b"spans".to_vec()).await;
        let request = collector.await.unwrap();
        assert!(request.starts_with(b"POST /base/v1/traces HTTP/1.1\r\n"));
        posted
    }

    #[tokio::test]
    async fn what_a_collector_answers_is_told() {
        for right in [
            &b"HTTP/1.0 200 OK\r\n\r\n"[..],
            b"HTTP/1.1 202 Accepted\r\ncontent-length: 2\r\n\r\nok",
        ] {
            answered(right).await.unwrap();
        }
        let refused = answered(b"HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n").await;
        assert!(matches!(refused, Err(CollectorError::Status(status)) if status == 503));
        let gone = answered(b"").await;
        assert!(matches!(gone, Err(CollectorError::Answer(_))), "{gone:?}");
    }
}

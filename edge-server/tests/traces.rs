//! Spans as a collector gets them.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]
#![cfg(unix)]

mod support;

use axum::Router;
use axum::body::Bytes;
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use support::Device;
use support::process::{Program, committed_models};
use support::stem::Stem;
use tokio::net::TcpListener;
use tokio::sync::mpsc::unbounded_channel;
use wire::ServerMessage;

/// An attribute as text.
fn attribute(attributes: &[KeyValue], key: &str) -> Option<String> {
    let found = attributes.iter().find(|attribute| attribute.key == key)?;
    match found.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => Some(text.clone()),
        Value::IntValue(number) => Some(number.to_string()),
        _ => None,
    }
}

#[tokio::test]
async fn a_collector_gets_a_span_for_each_frame() {
    let (sender, mut batches) = unbounded_channel();
    let collector = Router::new().route(
        "/v1/traces",
        post(async move |body: Bytes| {
            let batch = ExportTraceServiceRequest::decode(body).unwrap();
            sender.send(batch).unwrap();
        }),
    );
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, collector).await });

    let models = committed_models();
    let stem = Stem::read(&models.join("resnet50-imagenet"));
    // What is logged is not what is exported.
    let flags = ["--otlp-endpoint", &endpoint, "--log", "edge_server=info"];
    let program = Program::start(&models, &flags).await;
    let mut device = Device::connect(program.address).await;
    let welcome = device.hello(stem.hello()).await;
    for sequence in [41, 42] {
        device.binary(stem.frame(sequence)).await;
        let answer = device.receive().await;
        assert!(matches!(answer, Ok(ServerMessage::Result(_))), "{answer:?}");
    }
    // What was not exported yet is exported at the end.
    program.signal("-TERM");
    let ended = tokio::task::spawn_blocking(|| program.ended_well());
    assert!(ended.await.unwrap());

    let mut spans: Vec<Span> = Vec::new();
    while let Ok(batch) = batches.try_recv() {
        for resource in batch.resource_spans {
            let attributes = resource.resource.unwrap().attributes;
            let service = attribute(&attributes, "service.name");
            assert_eq!(service.as_deref(), Some("edge-server"));
            let scopes = resource.scope_spans.into_iter();
            spans.extend(scopes.flat_map(|scope| scope.spans));
        }
    }
    let frames: Vec<&Span> = spans.iter().filter(|span| span.name == "frame").collect();
    let told = |span: &Span, key| attribute(&span.attributes, key).unwrap();
    let sequences: Vec<_> = frames.iter().map(|frame| told(frame, "sequence")).collect();
    assert_eq!(sequences, ["41", "42"], "{spans:#?}");
    assert_ne!(frames[0].trace_id, frames[1].trace_id);
    for frame in frames {
        assert_eq!(told(frame, "session"), welcome.session.to_string());
        // Where its time went.
        let answered = frame.events.iter().find(|event| event.name == "answered");
        let times = &answered.expect("it was answered").attributes;
        assert!(attribute(times, "queue_us").is_some(), "{times:?}");
    }
    assert!(
        spans.iter().any(|span| span.name == "session"),
        "{spans:#?}"
    );
}

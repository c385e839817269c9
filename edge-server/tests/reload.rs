//! Models that are replaced while sessions run.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod support;

use std::sync::Arc;
use std::time::Duration;

use edge_server::engine::EngineError;
use edge_server::models::{ReloadError, Reloaded, reload};
use support::stem::Stem;
use support::{Device, Fake, TestServer, hello, write_model, write_model_with};
use tokio::time::timeout;
use wire::{ErrorCode, ServerMessage};

#[tokio::test]
async fn a_session_keeps_its_models_and_they_are_freed_with_it() {
    let server = TestServer::start(&[]).await;
    let models = server.folder.path().join("models");
    let mut old = server.device().await;
    let generation = Arc::downgrade(&server.app.models.current());
    let fresh = write_model_with(&models, "something else");
    let reloaded = reload(&server.app, |_| Ok(Fake)).await;
    assert!(matches!(reloaded, Ok(Reloaded::Fresh(fresh)) if fresh.number == 2));

    old.send_frame(1, 5).await;
    assert_eq!(old.class().await.1, 5);
    let mut new = server.connect().await;
    let welcome = new.hello(hello(&fresh)).await;
    assert_eq!(welcome.codecs[0].digest, fresh.codecs[0].file.sha256);
    assert_ne!(
        welcome.codecs[0].digest,
        server.manifest.codecs[0].file.sha256
    );
    new.send_frame(1, 6).await;
    assert_eq!(new.class().await.1, 6);

    let metrics = server.app.metrics.text(&server.app);
    assert!(metrics.contains("edge_model_generations 2"), "{metrics}");
    old.socket.close(None).await.unwrap();
    let freed = async {
        while generation.strong_count() > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(support::PATIENCE, freed).await.unwrap();
    let metrics = server.app.metrics.text(&server.app);
    assert!(metrics.contains("edge_model_generations 1"), "{metrics}");
}

#[tokio::test]
async fn what_is_not_right_changes_nothing() {
    let server = TestServer::start(&[]).await;
    let models = server.folder.path().join("models");
    let same = reload(&server.app, |_| Ok(Fake)).await;
    assert!(matches!(same, Ok(Reloaded::Same)), "{same:?}");

    write_model_with(&models, "something else");
    let failed = reload::<Fake, _>(&server.app, |_| Err(EngineError::Unknown)).await;
    assert!(matches!(failed, Err(ReloadError::Start(_))), "{failed:?}");
    std::fs::write(models.join("tiny/labels.json"), "[]").unwrap();
    let damaged = reload(&server.app, |_| Ok(Fake)).await.unwrap_err();
    assert!(damaged.to_string().contains("labels.json"), "{damaged}");
    assert_eq!(server.app.models.current().number, 1);
    let mut device = server.device().await;
    device.send_frame(1, 5).await;
    assert_eq!(device.class().await.1, 5);

    // As it was in the beginning.
    write_model(&models);
    let same = reload(&server.app, |_| Ok(Fake)).await;
    assert!(matches!(same, Ok(Reloaded::Same)), "{same:?}");
}

/// Sends a frame and waits for its labels.
async fn is_answered(device: &mut Device, stem: &Stem, sequence: u32) {
    device.binary(stem.frame(sequence)).await;
    match device.receive().await {
        Ok(ServerMessage::Result(result)) => assert_eq!(result.sequence, sequence),
        other => panic!("expected a result, got {other:?}"),
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_signal_replaces_the_models_of_a_running_program() {
    let folder = tempfile::tempdir().unwrap();
    let model = support::process::copy_model(folder.path());
    let before = Stem::read(&model);
    let mut program = support::process::Program::start(folder.path(), &[]).await;
    let mut old = Device::connect(program.address).await;
    old.hello(before.hello()).await;
    is_answered(&mut old, &before, 1).await;

    let after = Stem::read(&model).replace(&model);
    assert_ne!(before.digest(), after.digest());
    program.signal("-HUP");
    program.line("new models in use").await;
    is_answered(&mut old, &before, 2).await;
    let mut new = Device::connect(program.address).await;
    let welcome = new.hello(after.hello()).await;
    assert_eq!(welcome.codecs[after.index].digest, after.digest());
    is_answered(&mut new, &after, 1).await;
    // Who comes with what was replaced is told so.
    let mut late = Device::connect(program.address).await;
    let message = wire::ClientMessage::Hello(before.hello());
    late.text(&message.to_json().unwrap()).await;
    assert_eq!(late.refused().await.0.code, ErrorCode::UnknownCodec);

    std::fs::write(model.join("manifest.json"), "{").unwrap();
    program.signal("-HUP");
    let line = program.line("the old models stay in use").await;
    assert!(line.contains("resnet50-imagenet"), "{line}");
    is_answered(&mut old, &before, 3).await;
    is_answered(&mut new, &after, 2).await;
    let mut newest = Device::connect(program.address).await;
    newest.hello(after.hello()).await;

    old.socket.close(None).await.unwrap();
    let line = program.line("models freed").await;
    assert!(line.contains("generation=1"), "{line}");
    is_answered(&mut new, &after, 3).await;
}

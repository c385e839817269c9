//! The Open Inference Protocol over real connections.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod support;

use serde_json::{Value, json};
use support::{Answer, CLASSES, TestServer, frame};

const FEATURE: usize = 512 * 14 * 14;

/// A request with one input of binary data.
async fn infer(server: &TestServer, model: &str, mut head: Value, binary: &[u8]) -> Answer {
    head["inputs"][0]["parameters"] = json!({"binary_data_size": binary.len()});
    let head = serde_json::to_vec(&head).unwrap();
    let headers = format!("Inference-Header-Content-Length: {}\r\n", head.len());
    let body = [&head[..], binary].concat();
    server
        .post(&format!("/v2/models/{model}/infer"), &headers, &body)
        .await
}

fn strings(strings: &[&[u8]]) -> Vec<u8> {
    let with_length = |text: &&[u8]| {
        let length = u32::try_from(text.len()).unwrap().to_le_bytes();
        [&length[..], text].concat()
    };
    strings.iter().flat_map(with_length).collect()
}

fn picture() -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    image::RgbImage::new(40, 30)
        .write_to(&mut bytes, image::ImageFormat::Png)
        .unwrap();
    bytes.into_inner()
}

#[tokio::test]
async fn health_and_metadata_are_there() {
    let server = TestServer::start(&[]).await;
    assert_eq!(server.get("/v2/health/live", "").await.status, 200);
    assert_eq!(server.get("/v2/health/ready", "").await.status, 200);
    let about: Value = server.get("/v2", "").await.json();
    assert_eq!(about["extensions"][0], "binary_tensor_data");
    for (name, input, datatype) in [
        ("tiny", "picture", "BYTES"),
        ("tiny.stage2", "feature", "FP32"),
        ("tiny.test", "frame", "BYTES"),
    ] {
        let metadata: Value = server.get(&format!("/v2/models/{name}"), "").await.json();
        assert_eq!(metadata["name"], name);
        assert_eq!(metadata["inputs"][0]["name"], input);
        assert_eq!(metadata["inputs"][0]["datatype"], datatype);
        assert_eq!(metadata["outputs"][0]["shape"], json!([-1, CLASSES]));
        let ready = format!("/v2/models/{name}/versions/1/ready");
        assert_eq!(server.get(&ready, "").await.status, 200);
    }
    for unknown in [
        "/v2/models/other",
        "/v2/models/tiny.other",
        "/v2/models/tiny/versions/2",
    ] {
        let answer = server.get(unknown, "").await;
        assert_eq!(answer.status, 404, "{unknown}");
        assert!(answer.json::<Value>()["error"].is_string());
    }
    server.app.stop.cancel();
}

#[tokio::test]
async fn pictures_features_and_frames_are_computed() {
    let server = TestServer::start(&[]).await;
    let picture = picture();
    let head =
        json!({"id": "7", "inputs": [{"name": "picture", "shape": [2], "datatype": "BYTES"}]});
    let answer = infer(&server, "tiny", head, &strings(&[&picture, &picture])).await;
    assert_eq!(answer.status, 200);
    let response: Value = answer.json();
    assert_eq!(response["id"], "7");
    assert_eq!(response["outputs"][0]["shape"], json!([2, CLASSES]));
    let values = response["outputs"][0]["data"].as_array().unwrap();
    assert!(values[3].as_f64().unwrap() > 0.99 && values[CLASSES + 3].as_f64().unwrap() > 0.99);

    let head = json!({
        "inputs": [{"name": "frame", "shape": [2], "datatype": "BYTES"}],
        "outputs": [{"name": "logits", "parameters": {"classification": 2}}],
    });
    let answer = infer(
        &server,
        "tiny.test",
        head,
        &strings(&[&frame(1, 5), &frame(2, 6)]),
    )
    .await;
    let response: Value = answer.json();
    assert_eq!(response["outputs"][0]["shape"], json!([2, 2]));
    assert_eq!(response["outputs"][0]["data"][0], "10:5:class 5");
    assert_eq!(response["outputs"][0]["data"][2], "10:6:class 6");

    let head = json!({
        "inputs": [{"name": "feature", "shape": [1, 512, 14, 14], "datatype": "FP32"}],
        "outputs": [{"name": "logits", "parameters": {"binary_data": true}}],
    });
    let answer = infer(&server, "tiny.stage2", head, &vec![0; 4 * FEATURE]).await;
    let header: usize = answer
        .header("inference-header-content-length")
        .unwrap()
        .parse()
        .unwrap();
    assert_eq!(answer.body.len() - header, 4 * CLASSES);
    let logits = &answer.body[header..];
    assert_eq!(f32::from_le_bytes(logits[12..16].try_into().unwrap()), 10.0);
}

#[tokio::test]
async fn what_does_not_fit_is_refused_in_the_protocols_form() {
    let server = TestServer::start(&["--max-infer", "1000000"]).await;
    let one = |name: &str, shape: Value, datatype: &str| json!({"inputs": [{"name": name, "shape": shape, "datatype": datatype}]});
    let cases = [
        (
            "tiny",
            one("feature", json!([1]), "BYTES"),
            strings(&[b"x"]),
            400,
        ),
        (
            "tiny",
            one("picture", json!([1]), "BYTES"),
            strings(&[b"no picture"]),
            415,
        ),
        ("tiny", one("picture", json!([0]), "BYTES"), Vec::new(), 400),
        (
            "tiny",
            one("picture", json!([17]), "BYTES"),
            strings(&[&b""[..]; 17]),
            400,
        ),
        (
            "tiny.test",
            one("frame", json!([1]), "BYTES"),
            strings(&[b"short"]),
            400,
        ),
        (
            "tiny.test",
            one("frame", json!([1]), "FP32"),
            vec![0; 4],
            400,
        ),
        (
            "tiny.stage2",
            one("feature", json!([1, 2]), "FP32"),
            vec![0; 8],
            400,
        ),
        ("tiny", json!({"inputs": [{}]}), Vec::new(), 400),
        (
            "tiny",
            one("picture", json!([1]), "BYTES"),
            vec![0; 1_000_000],
            413,
        ),
    ];
    for (model, head, binary, status) in cases {
        let shown = head.to_string();
        let answer = infer(&server, model, head, &binary).await;
        assert_eq!(answer.status, status, "{shown}");
        assert!(answer.json::<Value>()["error"].is_string(), "{shown}");
    }
    let other = json!({
        "inputs": [{"name": "picture", "shape": [1], "datatype": "BYTES"}],
        "outputs": [{"name": "labels"}],
    });
    assert_eq!(
        infer(&server, "tiny", other, &strings(&[&picture()]))
            .await
            .status,
        400
    );
}

#[tokio::test]
async fn a_clients_own_deadline_is_kept() {
    let server = TestServer::start(&[]).await;
    let mut slow = server.device().await;
    slow.send_frame(1, support::SLOW).await;
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    let head = json!({
        "parameters": {"timeout": 50_000},
        "inputs": [{"name": "frame", "shape": [1], "datatype": "BYTES"}],
    });
    let answer = infer(&server, "tiny.test", head, &strings(&[&frame(1, 5)])).await;
    assert_eq!(answer.status, 503);
    assert!(
        answer.json::<Value>()["error"]
            .as_str()
            .unwrap()
            .contains("50 ms")
    );
}

#[tokio::test]
async fn what_happens_is_counted() {
    let server = TestServer::start(&[]).await;
    let mut device = server.device().await;
    device.send_frame(1, 5).await;
    device.class().await;
    server.post("/v1/classify", "", &picture()).await;
    server.post("/v1/classify", "", b"no picture").await;
    device.binary(b"nonsense".to_vec()).await;
    device.refused().await;
    let text = server.app.metrics.text(&server.app);
    for line in [
        "edge_answers_total{kind=\"frame\"} 1",
        "edge_answers_total{kind=\"picture\"} 1",
        "edge_received_total{kind=\"frame\"} 2",
        "edge_refusals_total{reason=\"bad_frame\"} 1",
        "edge_refusals_total{reason=\"bad_picture\"} 1",
        "edge_sessions_total 1",
        "edge_batch_size_count 2",
        "edge_step_seconds_count{step=\"queue\"} 2",
        "edge_in_server_limit 64",
        "edge_healthy 1",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
    assert!(
        text.contains("edge_batch_size_bucket{le=\"1\"} 2"),
        "{text}"
    );
}

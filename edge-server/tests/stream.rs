//! Sessions over real sockets.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod support;

use std::io::Cursor;
use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use image::{ImageFormat, RgbImage};
use support::{CHANNELS, NO_NUMBER, PANIC, SLOW, TestServer, frame, header, picture_frame};
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::{Error, Message};
use wire::{ErrorCode, Frame, Hello, PictureFormat, Pong, RAW_BYTES, ServerMessage, close};

#[tokio::test]
async fn a_hello_is_welcomed_and_frames_are_answered() {
    let server = TestServer::start(&["--max-payload", "5000", "--in-flight", "3"]).await;
    let mut device = server.connect().await;
    let welcome = device
        .hello(Hello {
            top_k: Some(2),
            ..server.hello()
        })
        .await;
    assert_eq!(welcome.model, server.manifest.digest);
    assert_eq!(welcome.codecs.len(), 1);
    let codec = welcome
        .codec(&server.manifest.codecs[0].file.sha256)
        .unwrap();
    assert_eq!((codec.id, codec.split, codec.rates), (0, 2, 1));
    assert_eq!(
        (
            welcome.limits.max_payload,
            welcome.limits.max_frames_in_flight
        ),
        (5000, 3)
    );

    let sent = frame(41, 7);
    let payload = sent.len() - wire::HEADER_BYTES;
    device.binary(sent).await;
    let Ok(ServerMessage::Result(result)) = device.receive().await else {
        panic!("no result")
    };
    assert_eq!(result.sequence, 41);
    assert_eq!(result.capture_time_us, header(0).capture_time_us);
    assert_eq!(result.payload_bytes as usize, payload);
    assert_eq!(result.top.len(), 2);
    assert_eq!(
        (result.top[0].class, result.top[0].label.as_str()),
        (7, "class 7")
    );
    // Softmax of one logit of 10 among nine of 0.
    assert!(
        (result.top[0].probability - 0.999_591).abs() < 1e-5,
        "{:?}",
        result.top[0]
    );
    assert_eq!(
        (result.timings.restore_us, result.timings.tail_us),
        (10, 20)
    );
    assert!(result.timings.total_us >= result.timings.decode_us + result.timings.queue_us);
}

#[tokio::test]
async fn a_farewell_is_answered() {
    let server = TestServer::start(&[]).await;
    let mut device = server.device().await;
    device.socket.close(None).await.unwrap();
    assert!(device.receive().await.is_err());
    let ended = async {
        while !server.app.sockets.is_empty() {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_secs(1), ended)
        .await
        .expect("the session ends at once");
}

#[tokio::test]
async fn another_protocol_is_refused_before_the_upgrade() {
    let server = TestServer::start(&[]).await;
    for protocol in [None, Some("aecnn.v0"), Some("chat")] {
        let error = server
            .try_connect(protocol, None)
            .await
            .err()
            .expect("no upgrade");
        let Error::Http(response) = *error else {
            panic!("{error}")
        };
        assert_eq!(response.status(), 400);
        let body = String::from_utf8(response.into_body().unwrap()).unwrap();
        assert!(body.contains("aecnn.v1"), "{body}");
    }
    assert!(
        server
            .try_connect(Some("chat, aecnn.v1"), None)
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn pages_of_other_origins_are_refused() {
    let server = TestServer::start(&["--allow-origin", "https://friend.example"]).await;
    let own = format!("http://{}", server.address);
    for origin in [own.as_str(), "https://friend.example"] {
        assert!(
            server
                .try_connect(Some(wire::SUBPROTOCOL), Some(origin))
                .await
                .is_ok(),
            "{origin}"
        );
    }
    for origin in ["https://evil.example", "http://friend.example", "null"] {
        let refused = server
            .try_connect(Some(wire::SUBPROTOCOL), Some(origin))
            .await;
        let Some(Error::Http(response)) = refused.err().map(|error| *error) else {
            panic!("{origin} was let in")
        };
        assert_eq!(response.status(), 403);
    }
}

#[tokio::test]
async fn what_is_not_served_is_named() {
    let server = TestServer::start(&[]).await;
    let other = "0".repeat(64);
    let cases = [
        (
            Hello {
                model: other.clone(),
                ..server.hello()
            },
            ErrorCode::UnknownModel,
        ),
        (
            Hello {
                codec: other.clone(),
                ..server.hello()
            },
            ErrorCode::UnknownCodec,
        ),
        (
            Hello {
                rate: 1,
                ..server.hello()
            },
            ErrorCode::UnknownRate,
        ),
        (
            Hello {
                split: 1,
                ..server.hello()
            },
            ErrorCode::WrongSplit,
        ),
    ];
    for (hello, expected) in cases {
        let mut device = server.connect().await;
        device
            .text(&wire::ClientMessage::Hello(hello).to_json().unwrap())
            .await;
        let (error, code, reason) = device.refused().await;
        assert_eq!((error.code, code), (expected, expected.close_code()));
        assert!(error.message.starts_with(&reason), "{reason}");
        assert!(!error.hint.is_empty());
    }
}

#[tokio::test]
async fn messages_out_of_turn_end_the_session() {
    let server = TestServer::start(&[]).await;

    let mut early = server.connect().await;
    early.send_frame(1, 1).await;
    assert_eq!(early.refused().await.1, close::POLICY);

    let mut nonsense = server.connect().await;
    nonsense.text("{\"type\":\"hello\"}").await;
    assert_eq!(nonsense.refused().await.1, close::BAD_MESSAGE);

    let mut hasty = server.connect().await;
    hasty.ping(1, 0).await;
    assert_eq!(hasty.refused().await.1, close::POLICY);

    let mut twice = server.device().await;
    twice
        .text(
            &wire::ClientMessage::Hello(server.hello())
                .to_json()
                .unwrap(),
        )
        .await;
    let (error, code, _) = twice.refused().await;
    assert_eq!(
        (error.code, code),
        (ErrorCode::UnexpectedMessage, close::POLICY)
    );
}

/// Bytes that are no right frame, and what each is refused with.
fn malformed() -> Vec<(&'static str, Vec<u8>, ErrorCode, u16)> {
    let with = |change: fn(&mut wire::FrameHeader)| {
        let mut changed = header(9);
        change(&mut changed);
        let right = frame(9, 1);
        Frame {
            header: changed,
            payload: &right[wire::HEADER_BYTES..],
        }
        .encode()
    };
    let mut kind = frame(9, 1);
    kind[0] = 200;
    let garbage = Frame {
        header: header(9),
        payload: &[0xa5; 333],
    }
    .encode();
    vec![
        ("empty", Vec::new(), ErrorCode::BadFrame, close::BAD_FRAME),
        (
            "cut",
            frame(9, 1)[..10].to_vec(),
            ErrorCode::BadFrame,
            close::BAD_FRAME,
        ),
        ("kind", kind, ErrorCode::BadFrame, close::BAD_FRAME),
        ("garbage", garbage, ErrorCode::BadPayload, close::BAD_FRAME),
        (
            "codec",
            with(|header| header.codec = 7),
            ErrorCode::UnknownCodec,
            close::NOT_SERVED,
        ),
        (
            "rate",
            with(|header| header.rate = 7),
            ErrorCode::UnknownRate,
            close::NOT_SERVED,
        ),
        (
            "split",
            with(|header| header.split = 0),
            ErrorCode::WrongSplit,
            close::BAD_FRAME,
        ),
        (
            "channels",
            with(|header| header.channels = CHANNELS as u16 + 1),
            ErrorCode::BadFrame,
            close::BAD_FRAME,
        ),
        (
            "no number",
            frame(9, NO_NUMBER),
            ErrorCode::BadPayload,
            close::BAD_FRAME,
        ),
    ]
}

#[tokio::test]
async fn bad_bytes_close_only_their_senders_socket() {
    let server = TestServer::start(&[]).await;
    let mut bystander = server.device().await;
    for (sequence, (name, bytes, expected, expected_close)) in (0..).zip(malformed()) {
        let mut vandal = server.device().await;
        bystander.send_frame(sequence, 5).await;
        vandal.binary(bytes.clone()).await;
        let (error, code, reason) = vandal.refused().await;
        assert_eq!(
            (error.code, code),
            (expected, expected_close),
            "{name}: {error:?}"
        );
        assert!(!reason.is_empty(), "{name}");
        if bytes.len() >= wire::HEADER_BYTES && name != "kind" {
            assert_eq!(error.sequence, Some(9), "{name}");
        }
        let (answered, class, _) = bystander.class().await;
        assert_eq!(
            (answered, class),
            (sequence, 5),
            "the bystander, beside `{name}`"
        );
    }
}

#[tokio::test]
async fn what_is_too_long_is_refused() {
    let server = TestServer::start(&["--max-payload", "1000", "--max-picture", "1024"]).await;
    let mut long = server.device().await;
    let bytes = Frame {
        header: header(3),
        payload: &[0; 1001],
    }
    .encode();
    long.binary(bytes).await;
    let (error, code, _) = long.refused().await;
    assert_eq!((error.code, code), (ErrorCode::TooLarge, close::TOO_BIG));
    assert_eq!(error.sequence, Some(3));

    // Above the socket's own limit: refused by the length that it announces.
    let mut vast = server.device().await;
    vast.binary(vec![0; 100_000]).await;
    let (error, code, _) = vast.refused().await;
    assert_eq!((error.code, code), (ErrorCode::TooLarge, close::TOO_BIG));

    let mut wordy = server.connect().await;
    wordy.text(&" ".repeat(wire::MAX_CLIENT_TEXT + 1)).await;
    assert_eq!(wordy.refused().await.1, close::TOO_BIG);
}

#[tokio::test]
async fn a_failing_engine_costs_one_frame() {
    let server = TestServer::start(&[]).await;
    let mut device = server.device().await;
    device.send_frame(1, PANIC).await;
    let error = device.error().await;
    assert_eq!(
        (error.code, error.sequence, error.fatal),
        (ErrorCode::Internal, Some(1), false)
    );
    assert_eq!(server.get("/healthz", "").await.status, 503);
    device.send_frame(2, 4).await;
    assert_eq!(device.class().await, (2, 4, 1));
    assert_eq!(server.get("/healthz", "").await.status, 200);
}

#[tokio::test]
async fn frames_that_wait_together_are_computed_together() {
    let server = TestServer::start(&[]).await;
    let mut slow = server.device().await;
    let mut others = [
        server.device().await,
        server.device().await,
        server.device().await,
    ];
    slow.send_frame(0, SLOW).await;
    sleep(Duration::from_millis(100)).await;
    for (class, other) in (1..).zip(&mut others) {
        other.send_frame(u32::from(class as u16), class).await;
    }
    assert_eq!(slow.class().await, (0, 0, 1));
    for (class, other) in (1u16..).zip(&mut others) {
        assert_eq!(other.class().await, (u32::from(class), class, 3));
    }
}

#[tokio::test]
async fn too_many_at_once_costs_frames_not_the_session() {
    let server = TestServer::start(&["--in-flight", "2"]).await;
    let mut device = server.device().await;
    device.send_frame(1, SLOW).await;
    sleep(Duration::from_millis(100)).await;
    device.send_frame(2, 5).await;
    device.send_frame(3, 6).await;
    let error = device.error().await;
    assert_eq!(
        (error.code, error.sequence),
        (ErrorCode::TooManyInFlight, Some(3))
    );
    assert_eq!(device.class().await.0, 1);
    assert_eq!(device.class().await.0, 2);
    device.send_frame(4, 7).await;
    assert_eq!(device.class().await.1, 7);
}

#[tokio::test]
async fn the_newest_frame_of_a_client_is_answered_instead_of_its_older_one() {
    let server = TestServer::start(&[]).await;
    let mut device = server.device().await;
    device.send_frame(1, SLOW).await;
    sleep(Duration::from_millis(100)).await;
    device.send_frame(2, 5).await;
    sleep(Duration::from_millis(100)).await;
    device.send_frame(3, 6).await;
    let error = device.error().await;
    assert_eq!(
        (error.code, error.sequence, error.fatal),
        (ErrorCode::Superseded, Some(2), false)
    );
    assert_eq!(device.class().await.0, 1);
    assert_eq!(device.class().await, (3, 6, 1));
}

#[tokio::test]
async fn a_frame_whose_turn_comes_too_late_is_refused() {
    let server = TestServer::start(&["--max-age", "600"]).await;
    let mut slow = server.device().await;
    let mut late = server.device().await;
    slow.send_frame(1, SLOW).await;
    sleep(Duration::from_millis(100)).await;
    late.send_frame(1, 5).await;
    let error = late.error().await;
    assert_eq!(
        (error.code, error.sequence, error.fatal),
        (ErrorCode::Expired, Some(1), false)
    );
    assert_eq!(slow.class().await.0, 1);
    late.send_frame(2, 5).await;
    assert_eq!(late.class().await, (2, 5, 1));
}

#[tokio::test]
async fn a_full_queue_refuses_at_once() {
    let server = TestServer::start(&["--queue", "1"]).await;
    let mut first = server.device().await;
    let mut second = server.device().await;
    first.send_frame(1, SLOW).await;
    sleep(Duration::from_millis(100)).await;
    let asked = Instant::now();
    second.send_frame(1, 5).await;
    let error = second.error().await;
    assert_eq!((error.code, error.fatal), (ErrorCode::Overloaded, false));
    assert!(
        asked.elapsed() < Duration::from_millis(500),
        "{:?}",
        asked.elapsed()
    );
    assert_eq!(first.class().await.0, 1);
}

#[tokio::test]
async fn too_fast_costs_frames_not_the_session() {
    let server = TestServer::start(&["--max-rate", "1"]).await;
    let mut device = server.device().await;
    for sequence in 1..=2 {
        device.send_frame(sequence, 5).await;
        assert_eq!(device.class().await.0, sequence);
    }
    device.send_frame(3, 5).await;
    let error = device.error().await;
    assert_eq!((error.code, error.sequence), (ErrorCode::TooFast, Some(3)));
    sleep(Duration::from_millis(1100)).await;
    device.send_frame(4, 5).await;
    assert_eq!(device.class().await.0, 4);
}

#[tokio::test]
async fn more_clients_than_allowed_are_refused() {
    let server = TestServer::start(&["--max-clients", "1"]).await;
    let first = server.device().await;
    let refused = server
        .try_connect(Some(wire::SUBPROTOCOL), None)
        .await
        .err()
        .expect("refused");
    assert!(matches!(*refused, Error::Http(response) if response.status() == 503));
    drop(first);
    sleep(Duration::from_millis(100)).await;
    assert!(
        server
            .try_connect(Some(wire::SUBPROTOCOL), None)
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn silence_is_ended_unless_pings_are_answered() {
    let server = TestServer::start(&["--idle-timeout", "0.4"]).await;
    let mut alive = server.device().await;
    let mut mute = server.device().await;
    // Reading answers pings; not reading does not.
    let silent = tokio::spawn(async move {
        let listening =
            async { while let Some(Ok(Message::Ping(_))) = alive.socket.next().await {} };
        let closed = timeout(Duration::from_millis(1500), listening)
            .await
            .is_ok();
        assert!(!closed, "closed although it answered pings");
        alive.send_frame(1, 5).await;
        alive.class().await
    });
    sleep(Duration::from_millis(700)).await;
    let (error, code, _) = mute.refused().await;
    assert_eq!((error.code, code), (ErrorCode::IdleTimeout, close::POLICY));
    assert_eq!(silent.await.unwrap().1, 5);
}

#[tokio::test]
async fn a_broken_websocket_is_refused() {
    use tokio::io::AsyncWriteExt;
    let server = TestServer::start(&[]).await;
    let mut device = server.device().await;
    // A text frame that a client must mask, unmasked.
    device
        .socket
        .get_mut()
        .write_all(b"\x81\x02hi")
        .await
        .unwrap();
    let (error, code, _) = device.refused().await;
    assert_eq!(
        (error.code, code),
        (ErrorCode::BadMessage, close::BAD_MESSAGE)
    );
}

#[tokio::test]
async fn the_end_closes_sockets_with_1001() {
    let server = TestServer::start(&[]).await;
    let mut quiet = server.device().await;
    let mut waiting = server.device().await;
    let mut fresh = server.connect().await;
    waiting.send_frame(1, SLOW).await;
    sleep(Duration::from_millis(50)).await;

    server.app.stop.cancel();
    for device in [&mut quiet, &mut waiting, &mut fresh] {
        let Err(Some(frame)) = device.receive().await else {
            panic!("no close frame")
        };
        assert_eq!(u16::from(frame.code), close::GOING_AWAY);
        assert!(!frame.reason.is_empty());
        // The client's part of the farewell.
        let _ = device.socket.close(None).await;
    }
    let ended = timeout(Duration::from_secs(3), server.serving)
        .await
        .expect("serving ends");
    ended.unwrap().unwrap();
    assert!(
        tokio::net::TcpStream::connect(server.address)
            .await
            .is_err(),
        "still listening"
    );
}

#[tokio::test]
async fn who_leaves_leaves_the_queue() {
    let server = TestServer::start(&[]).await;
    let mut slow = server.device().await;
    let mut leaver = server.device().await;
    let mut stayer = server.device().await;
    slow.send_frame(1, SLOW).await;
    sleep(Duration::from_millis(100)).await;
    // Were this computed, it would take as long again.
    leaver.send_frame(1, SLOW).await;
    sleep(Duration::from_millis(50)).await;
    drop(leaver);
    stayer.send_frame(1, 5).await;
    slow.class().await;
    let answered = Instant::now();
    assert_eq!(stayer.class().await, (1, 5, 1));
    assert!(
        answered.elapsed() < Duration::from_millis(500),
        "{:?}",
        answered.elapsed()
    );
}

#[tokio::test]
async fn a_probe_of_the_link_does_not_wait_for_frames() {
    let server = TestServer::start(&["--in-flight", "1"]).await;
    let mut device = server.connect().await;
    assert!(device.hello(server.hello()).await.pings);
    device.send_frame(1, SLOW).await;
    for (id, padding) in [(0, 0), (u32::MAX, 4000)] {
        device.ping(id, padding).await;
        assert_eq!(
            device.receive().await.unwrap(),
            ServerMessage::Pong(Pong { id })
        );
    }
    assert_eq!(device.class().await.0, 1, "the frame's answer comes later");
}

#[tokio::test]
async fn probes_count_as_frames_do() {
    let server = TestServer::start(&["--max-rate", "1"]).await;
    let mut device = server.device().await;
    device.ping(1, 0).await;
    device.ping(2, 0).await;
    device.ping(3, 0).await;
    for id in [1, 2] {
        assert_eq!(
            device.receive().await.unwrap(),
            ServerMessage::Pong(Pong { id })
        );
    }
    let error = device.error().await;
    assert_eq!(
        (error.code, error.ping, error.sequence, error.fatal),
        (ErrorCode::TooFast, Some(3), None, false)
    );
    device.send_frame(4, 5).await;
    assert_eq!(device.error().await.sequence, Some(4));
}

#[tokio::test]
async fn a_ping_is_answered() {
    let server = TestServer::start(&[]).await;
    let mut device = server.device().await;
    device
        .socket
        .send(Message::Ping(b"hello"[..].into()))
        .await
        .unwrap();
    let pong = timeout(Duration::from_secs(1), device.socket.next())
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    assert_eq!(pong, Message::Pong(b"hello"[..].into()));
}

fn encoded(format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    RgbImage::from_pixel(224, 224, image::Rgb([90, 120, 30]))
        .write_to(&mut bytes, format)
        .unwrap();
    bytes.into_inner()
}

#[tokio::test]
async fn pictures_and_features_share_a_session() {
    let server = TestServer::start(&[]).await;
    let mut device = server.connect().await;
    let limits = device.hello(server.hello()).await.limits;
    assert!(limits.max_picture as usize >= RAW_BYTES, "{limits:?}");

    let pictures = [
        (PictureFormat::Jpeg, encoded(ImageFormat::Jpeg)),
        (PictureFormat::WebP, encoded(ImageFormat::WebP)),
        (PictureFormat::Png, encoded(ImageFormat::Png)),
        (PictureFormat::Raw, vec![100; RAW_BYTES]),
    ];
    for (sequence, (format, bytes)) in (1..).zip(pictures) {
        device.binary(picture_frame(sequence, format, &bytes)).await;
        let Ok(ServerMessage::Result(result)) = device.receive().await else {
            panic!("no result for {format:?}")
        };
        assert_eq!((result.sequence, result.top[0].class), (sequence, 3));
        assert_eq!(result.payload_bytes as usize, bytes.len());
        assert_eq!(result.capture_time_us, header(0).capture_time_us);
        device.send_frame(sequence + 100, 7).await;
        assert_eq!(device.class().await, (sequence + 100, 7, 1));
    }
}

#[tokio::test]
async fn what_is_no_picture_ends_the_session() {
    let server = TestServer::start(&["--max-picture", "200000"]).await;
    let png = encoded(ImageFormat::Png);
    let cases = [
        (
            PictureFormat::Png,
            png[..60].to_vec(),
            ErrorCode::BadPicture,
        ),
        (PictureFormat::Jpeg, png, ErrorCode::BadPicture),
        (PictureFormat::WebP, Vec::new(), ErrorCode::BadPicture),
        (PictureFormat::Raw, vec![0; 17], ErrorCode::BadFrame),
        (PictureFormat::Png, vec![0; 200_001], ErrorCode::TooLarge),
    ];
    for (format, bytes, expected) in cases {
        let mut device = server.device().await;
        device.binary(picture_frame(5, format, &bytes)).await;
        let (error, code, _) = device.refused().await;
        assert_eq!(
            (error.code, code, error.sequence),
            (expected, expected.close_code(), Some(5)),
            "{format:?}"
        );
        assert!(!error.hint.is_empty());
    }
}

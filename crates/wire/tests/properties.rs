//! What must hold for all messages and for all bytes.

#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

use proptest::collection::vec;
use proptest::prelude::*;
use wire::{
    ClientMessage, CodecInfo, ErrorCode, ErrorMessage, Frame, FrameError, FrameHeader, FrameResult,
    HEADER_BYTES, Hello, Limits, MAX_CLIENT_TEXT, MAX_SERVER_TEXT, MessageError, PictureFormat,
    PictureFrame, PictureHeader, Ping, Pong, Prediction, RAW_BYTES, ServerMessage, Timings, Upload,
    Welcome,
};

fn header() -> impl Strategy<Value = FrameHeader> {
    (
        0..5u8,
        any::<u8>(),
        any::<u8>(),
        any::<u32>(),
        any::<u64>(),
        1..=u16::MAX,
    )
        .prop_map(
            |(split, codec, rate, sequence, capture_time_us, channels)| FrameHeader {
                split,
                codec,
                rate,
                sequence,
                capture_time_us,
                channels,
            },
        )
}

fn picture_header() -> impl Strategy<Value = PictureHeader> {
    let format = prop::sample::select(PictureFormat::ALL.to_vec());
    (format, any::<u32>(), any::<u64>()).prop_map(|(format, sequence, capture_time_us)| {
        PictureHeader {
            format,
            sequence,
            capture_time_us,
        }
    })
}

fn digest() -> impl Strategy<Value = String> {
    "[0-9a-f]{64}"
}

fn hello() -> impl Strategy<Value = Hello> {
    let backend = proptest::option::of(".{0,32}");
    (
        ".{0,32}",
        digest(),
        digest(),
        0..5u8,
        any::<u8>(),
        proptest::option::of(1..=100u8),
        backend,
    )
        .prop_map(
            |(client, model, codec, split, rate, top_k, backend)| Hello {
                client,
                model,
                codec,
                split,
                rate,
                top_k,
                backend,
            },
        )
}

fn welcome() -> impl Strategy<Value = Welcome> {
    let codec = (any::<u8>(), digest(), ".{0,20}", 0..5u8, any::<u8>()).prop_map(
        |(id, digest, name, split, rates)| CodecInfo {
            id,
            digest,
            name,
            split,
            rates,
        },
    );
    let limits = (any::<u32>(), any::<u16>(), any::<u16>(), any::<u32>()).prop_map(
        |(max_payload, max_frames_in_flight, max_frames_per_second, idle_timeout_ms)| Limits {
            max_payload,
            max_frames_in_flight,
            max_frames_per_second,
            idle_timeout_ms,
            ..Limits::default()
        },
    );
    (
        0..1u64 << 53,
        ".{0,32}",
        digest(),
        vec(codec, 0..6),
        limits,
        any::<bool>(),
    )
        .prop_map(|(session, server, model, codecs, limits, pings)| Welcome {
            session,
            server,
            model,
            codecs,
            limits,
            pings,
        })
}

fn result() -> impl Strategy<Value = FrameResult> {
    let prediction =
        (any::<u16>(), ".{0,40}", 0.0..=1.0f32).prop_map(|(class, label, probability)| {
            Prediction {
                class,
                label,
                probability,
            }
        });
    let timings =
        any::<[u32; 5]>().prop_map(|[queue_us, decode_us, restore_us, tail_us, total_us]| {
            Timings {
                queue_us,
                decode_us,
                restore_us,
                tail_us,
                total_us,
            }
        });
    (
        any::<u32>(),
        any::<u64>(),
        vec(prediction, 0..10),
        timings,
        any::<u16>(),
        any::<u32>(),
    )
        .prop_map(
            |(sequence, capture_time_us, top, timings, batch, payload_bytes)| FrameResult {
                sequence,
                capture_time_us,
                top,
                timings,
                batch,
                payload_bytes,
            },
        )
}

proptest! {
    #[test]
    fn frames_round_trip(header in header(), payload in vec(any::<u8>(), 0..100)) {
        let frame = Frame { header, payload: &payload };
        let message = frame.encode();
        prop_assert_eq!(message.len(), HEADER_BYTES + payload.len());
        prop_assert_eq!(Frame::parse(&message, 100), Ok(frame));
        prop_assert_eq!(FrameHeader::parse(&header.encode()), Ok(header));
    }

    #[test]
    fn any_bytes_are_a_frame_or_an_error(bytes in vec(any::<u8>(), 0..64), kind in any::<bool>(), limit in 0..50u32) {
        let mut bytes = bytes;
        if let (true, Some(first)) = (kind, bytes.first_mut()) {
            *first = wire::KIND_FEATURE;
        }
        if let Ok(frame) = Frame::parse(&bytes, limit) {
            prop_assert!(frame.payload.len() <= limit as usize);
            prop_assert_eq!(frame.encode(), bytes);
        }
    }

    #[test]
    fn picture_frames_round_trip(header in picture_header(), payload in vec(any::<u8>(), 0..100)) {
        let payload = if header.format == PictureFormat::Raw { vec![7; RAW_BYTES] } else { payload };
        let frame = PictureFrame { header, payload: &payload };
        let message = frame.encode();
        prop_assert_eq!(Upload::parse(&message, &Limits::default()), Ok(Upload::Picture(frame)));
        prop_assert_eq!(Upload::sequence_of(&message), Some(header.sequence));
        prop_assert_eq!(PictureHeader::parse(&header.encode()), Ok(header));
    }

    #[test]
    fn any_bytes_are_an_upload_or_an_error(bytes in vec(any::<u8>(), 0..64), kind in 0..3u8) {
        let mut bytes = bytes;
        if let (1.., Some(first)) = (kind, bytes.first_mut()) {
            *first = kind;
        }
        match Upload::parse(&bytes, &Limits::default()) {
            Ok(Upload::Feature(frame)) => prop_assert_eq!(frame.encode(), bytes),
            Ok(Upload::Picture(frame)) => prop_assert_eq!(frame.encode(), bytes),
            Err(_) => {}
        }
    }

    #[test]
    fn a_frame_with_one_byte_changed_is_a_frame_or_an_error(
        header in header(), at in 0..HEADER_BYTES, to in any::<u8>(),
    ) {
        let mut bytes = header.encode();
        bytes[at] = to;
        if let Ok(other) = FrameHeader::parse(&bytes) {
            prop_assert_eq!(other.encode(), bytes);
        }
    }

    #[test]
    fn the_messages_of_clients_round_trip(hello in hello(), id in any::<u32>(), padding in ".{0,200}") {
        for message in [ClientMessage::Hello(hello), ClientMessage::Ping(Ping { id, padding })] {
            prop_assert_eq!(ClientMessage::parse(&message.to_json().unwrap()).unwrap(), message);
        }
    }

    #[test]
    fn the_messages_of_servers_round_trip(welcome in welcome(), result in result(), id in any::<u32>()) {
        let refused = ErrorMessage::new(ErrorCode::TooFast, "", "").about_ping(id);
        for message in [
            ServerMessage::Welcome(welcome),
            ServerMessage::Result(result),
            ServerMessage::Pong(Pong { id }),
            ServerMessage::Error(refused),
        ] {
            prop_assert_eq!(ServerMessage::parse(&message.to_json().unwrap()).unwrap(), message);
        }
    }

    #[test]
    fn any_text_is_a_message_or_an_error(text in ".{0,200}") {
        let _ = ClientMessage::parse(&text);
        let _ = ServerMessage::parse(&text);
    }

    #[test]
    fn a_cut_message_is_an_error(hello in hello(), welcome in welcome(), at in any::<prop::sample::Index>()) {
        let text = ClientMessage::Hello(hello).to_json().unwrap();
        let cut = (0..at.index(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        prop_assert!(ClientMessage::parse(&text[..cut]).is_err());
        let text = ServerMessage::Welcome(welcome).to_json().unwrap();
        let cut = (0..at.index(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        prop_assert!(ServerMessage::parse(&text[..cut]).is_err());
    }
}

fn a_hello() -> Hello {
    Hello {
        client: "test".to_owned(),
        model: "0".repeat(64),
        codec: "f".repeat(64),
        split: 0,
        rate: 0,
        top_k: None,
        backend: None,
    }
}

/// The field that a hello is refused for, when it is written and when it is read alike.
fn refused_field(hello: Hello) -> &'static str {
    let text = serde_json::to_string(&ClientMessage::Hello(hello.clone())).unwrap();
    let errors = [
        ClientMessage::parse(&text).err(),
        ClientMessage::Hello(hello).to_json().err(),
    ];
    match errors {
        [
            Some(MessageError::Field { field, .. }),
            Some(MessageError::Field { field: written, .. }),
        ] => {
            assert_eq!(field, written);
            field
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_field_out_of_range_is_named() {
    assert_eq!(
        refused_field(Hello {
            model: "F".repeat(64),
            ..a_hello()
        }),
        "model"
    );
    assert_eq!(
        refused_field(Hello {
            codec: "0".repeat(63),
            ..a_hello()
        }),
        "codec"
    );
    assert_eq!(
        refused_field(Hello {
            split: 5,
            ..a_hello()
        }),
        "split"
    );
    assert_eq!(
        refused_field(Hello {
            top_k: Some(0),
            ..a_hello()
        }),
        "top_k"
    );
    assert_eq!(
        refused_field(Hello {
            top_k: Some(101),
            ..a_hello()
        }),
        "top_k"
    );
    assert_eq!(
        refused_field(Hello {
            client: "x".repeat(129),
            ..a_hello()
        }),
        "client"
    );
    assert_eq!(
        refused_field(Hello {
            backend: Some("x".repeat(129)),
            ..a_hello()
        }),
        "backend"
    );
}

#[test]
fn text_beyond_the_limit_is_not_even_read() {
    let error = ClientMessage::parse(&" ".repeat(MAX_CLIENT_TEXT + 1)).unwrap_err();
    assert!(matches!(error, MessageError::TooLong { .. }));
    assert_eq!(error.code(), ErrorCode::TooLarge);
    let error = ServerMessage::parse(&" ".repeat(MAX_SERVER_TEXT + 1)).unwrap_err();
    assert!(matches!(error, MessageError::TooLong { .. }));
    let long = ErrorMessage::new(ErrorCode::Internal, "x".repeat(MAX_CLIENT_TEXT), "");
    assert!(matches!(
        ClientMessage::Error(long).to_json(),
        Err(MessageError::TooLong { .. })
    ));
}

#[test]
fn a_ping_is_as_long_as_a_text_may_be() {
    let ping = |length| {
        ClientMessage::Ping(Ping {
            id: 7,
            padding: "x".repeat(length),
        })
        .to_json()
    };
    let around = ping(1).unwrap().len() - 1;
    let longest = ping(MAX_CLIENT_TEXT - around).unwrap();
    assert_eq!(longest.len(), MAX_CLIENT_TEXT);
    assert!(ClientMessage::parse(&longest).is_ok());
    assert!(matches!(
        ping(MAX_CLIENT_TEXT - around + 1),
        Err(MessageError::TooLong { .. })
    ));
    for wrong in [
        r#"{"type":"ping"}"#,
        r#"{"type":"ping","id":-1}"#,
        r#"{"type":"ping","id":4294967296}"#,
        r#"{"type":"ping","id":1,"padding":9}"#,
    ] {
        assert_eq!(
            ClientMessage::parse(wrong).unwrap_err().code(),
            ErrorCode::BadMessage,
            "{wrong}"
        );
    }
}

#[test]
fn a_server_that_does_not_name_pings_answers_none() {
    let ServerMessage::Welcome(welcome) = ServerMessage::parse(&format!(
        r#"{{"type":"welcome","session":1,"server":"","model":"{}","codecs":[]}}"#,
        "0".repeat(64)
    ))
    .unwrap() else {
        panic!("it is a welcome");
    };
    assert!(!welcome.pings);
}

#[test]
fn deep_nesting_is_an_error() {
    let text = format!("{{\"type\":\"hello\",\"client\":{}", "[".repeat(3000));
    assert!(matches!(
        ClientMessage::parse(&text),
        Err(MessageError::Malformed(_))
    ));
}

#[test]
fn what_a_later_version_may_add_is_read() {
    let text =
        r#"{"type":"error","code":"out_of_tea","message":"","hint":"","fatal":false,"kettle":1}"#;
    let ServerMessage::Error(error) = ServerMessage::parse(text).unwrap() else {
        panic!("it is an error");
    };
    assert_eq!(error.code, ErrorCode::Unknown);
}

#[test]
fn a_frame_says_what_is_wrong_with_it() {
    let header = FrameHeader {
        split: 4,
        codec: 0,
        rate: 0,
        sequence: 0,
        capture_time_us: 0,
        channels: 1,
    };
    let with = |at: usize, to: u8| {
        let mut bytes = header.encode();
        bytes[at] = to;
        FrameHeader::parse(&bytes)
    };
    assert_eq!(with(0, 9), Err(FrameError::UnknownKind { kind: 9 }));
    assert_eq!(with(1, 5), Err(FrameError::NoSuchSplit { split: 5 }));
    assert_eq!(with(16, 0), Err(FrameError::NoChannels));
    assert_eq!(with(19, 1), Err(FrameError::ReservedInUse));
    assert_eq!(
        Frame::parse(&[1; 19], 0),
        Err(FrameError::TooShort { bytes: 19 })
    );
    let long = Frame {
        header,
        payload: &[0; 9],
    }
    .encode();
    assert_eq!(
        Frame::parse(&long, 8),
        Err(FrameError::TooLong { bytes: 9, limit: 8 })
    );
    assert_eq!(
        FrameError::TooLong { bytes: 9, limit: 8 }.code(),
        ErrorCode::TooLarge
    );
}

#[test]
fn a_picture_says_what_is_wrong_with_it() {
    let header = PictureHeader {
        format: PictureFormat::Raw,
        sequence: 3,
        capture_time_us: 0,
    };
    let with = |at: usize, to: u8| {
        let mut bytes = header.encode();
        bytes[at] = to;
        PictureHeader::parse(&bytes)
    };
    assert_eq!(with(1, 0), Err(FrameError::NoSuchFormat { format: 0 }));
    assert_eq!(with(1, 5), Err(FrameError::NoSuchFormat { format: 5 }));
    for at in [2, 3, 16, 17, 18, 19] {
        assert_eq!(with(at, 1), Err(FrameError::ReservedInUse), "byte {at}");
    }
    let raw = |bytes: usize| {
        let payload = vec![0; bytes];
        let frame = PictureFrame {
            header,
            payload: &payload,
        };
        Upload::parse(&frame.encode(), &Limits::default()).map(|_| ())
    };
    assert_eq!(raw(RAW_BYTES), Ok(()));
    let short = RAW_BYTES - 1;
    assert_eq!(raw(short), Err(FrameError::RawSize { bytes: short }));
    let none = Limits {
        max_picture: 0,
        ..Limits::default()
    };
    let long = PictureFrame {
        header,
        payload: &[1],
    };
    assert_eq!(
        Upload::parse(&long.encode(), &none),
        Err(FrameError::TooLong { bytes: 1, limit: 0 })
    );
}

#[test]
fn a_server_that_names_no_limit_for_pictures_takes_none() {
    let limits: Limits = serde_json::from_str(r#"{"max_payload": 9}"#).unwrap();
    assert_eq!((limits.max_payload, limits.max_picture), (9, 0));
    let unnamed: Limits = serde_json::from_str("{}").unwrap();
    assert_eq!(unnamed.max_picture, 0);
}

//! `docs/PROTOCOL.md` cannot rot: every example in it is parsed, and says what this crate would say.

#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

use serde_json::Value;
use wire::{
    ClassifyResponse, ClientMessage, ErrorCode, ErrorMessage, FrameHeader, Limits, MAX_CLIENT_TEXT,
    MAX_SERVER_TEXT, PictureFormat, PictureHeader, RAW_BYTES, SUBPROTOCOL, ServerMessage, Upload,
};

const DOCUMENT: &str = include_str!("../../../docs/PROTOCOL.md");

/// The fenced blocks: what stands behind the fence, and the text.
fn blocks() -> Vec<(&'static str, &'static str)> {
    let mut parts = DOCUMENT.split("\n```");
    let _before = parts.next();
    let mut blocks = Vec::new();
    while let (Some(block), Some(_between)) = (parts.next(), parts.next()) {
        blocks.push(block.split_once('\n').unwrap());
    }
    blocks
}

fn blocks_of(kind: &str) -> Vec<&'static str> {
    blocks()
        .into_iter()
        .filter(|(of, _)| *of == kind)
        .map(|(_, text)| text)
        .collect()
}

fn value(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error} in {text}"))
}

#[test]
fn every_example_is_of_a_known_kind() {
    for (kind, text) in blocks() {
        let known = [
            "json client",
            "json server",
            "json http",
            "json http error",
            "hex frame",
            "text",
            "js",
        ];
        assert!(known.contains(&kind), "`{kind}` is not tested: {text}");
    }
}

#[test]
fn the_messages_of_clients_round_trip() {
    let examples = blocks_of("json client");
    for text in &examples {
        let message =
            ClientMessage::parse(text).unwrap_or_else(|error| panic!("{error} in {text}"));
        assert_eq!(value(&message.to_json().unwrap()), value(text));
    }
    assert!(examples.len() >= 4);
}

#[test]
fn the_messages_of_servers_round_trip() {
    let examples = blocks_of("json server");
    let mut welcomes = 0;
    for text in &examples {
        let message =
            ServerMessage::parse(text).unwrap_or_else(|error| panic!("{error} in {text}"));
        assert_eq!(value(&message.to_json().unwrap()), value(text));
        if let ServerMessage::Welcome(welcome) = message {
            welcomes += 1;
            assert_eq!(
                welcome.limits,
                Limits::default(),
                "the document calls them the defaults"
            );
        }
    }
    assert_eq!((examples.len(), welcomes), (4, 1));
}

#[test]
fn the_http_answers_round_trip() {
    for text in blocks_of("json http") {
        let answer: ClassifyResponse = serde_json::from_str(text).unwrap();
        assert_eq!(value(&serde_json::to_string(&answer).unwrap()), value(text));
    }
    for text in blocks_of("json http error") {
        let error: ErrorMessage = serde_json::from_str(text).unwrap();
        assert_eq!(value(&serde_json::to_string(&error).unwrap()), value(text));
    }
    assert_eq!(
        (
            blocks_of("json http").len(),
            blocks_of("json http error").len()
        ),
        (1, 1)
    );
}

/// The bytes of the document's frames, in its order.
fn frames() -> Vec<Vec<u8>> {
    blocks_of("hex frame")
        .into_iter()
        .map(|dump| {
            dump.lines()
                .flat_map(|line| line.split_whitespace().skip(1))
                .map(|byte| u8::from_str_radix(byte, 16).unwrap())
                .collect()
        })
        .collect()
}

#[test]
fn the_frames_are_what_the_text_says() {
    let [feature, picture] = frames().try_into().unwrap();
    let limits = Limits::default();
    let Upload::Feature(frame) = Upload::parse(&feature, &limits).unwrap() else {
        panic!("the first is a feature");
    };
    let header = FrameHeader {
        split: 2,
        codec: 1,
        rate: 1,
        sequence: 7,
        capture_time_us: 1_234_567,
        channels: 96,
    };
    assert_eq!(frame.header, header);
    assert_eq!(frame.payload.len(), 12);
    assert_eq!(frame.encode(), feature);

    let Upload::Picture(frame) = Upload::parse(&picture, &limits).unwrap() else {
        panic!("the second is a picture");
    };
    let header = PictureHeader {
        format: PictureFormat::WebP,
        sequence: 8,
        capture_time_us: 1_300_000,
    };
    assert_eq!(frame.header, header);
    assert!(frame.payload.starts_with(b"RIFF"));
    assert_eq!(frame.encode(), picture);
}

#[test]
fn the_table_of_errors_is_whole_and_right() {
    let rows: Vec<(&str, &str)> = DOCUMENT
        .lines()
        .skip_while(|line| !line.starts_with("| code |"))
        .skip(2)
        .map_while(|line| {
            let mut cells = line.strip_prefix("| ")?.split(" | ");
            Some((cells.next()?.trim_matches('`'), cells.next()?))
        })
        .collect();
    let codes = [
        ErrorCode::BadMessage,
        ErrorCode::UnexpectedMessage,
        ErrorCode::HelloTimeout,
        ErrorCode::IdleTimeout,
        ErrorCode::UnknownModel,
        ErrorCode::UnknownCodec,
        ErrorCode::UnknownRate,
        ErrorCode::WrongSplit,
        ErrorCode::BadFrame,
        ErrorCode::BadPayload,
        ErrorCode::TooLarge,
        ErrorCode::TooManyInFlight,
        ErrorCode::TooFast,
        ErrorCode::Overloaded,
        ErrorCode::Superseded,
        ErrorCode::Expired,
        ErrorCode::Unauthorized,
        ErrorCode::BadPicture,
        ErrorCode::ShuttingDown,
        ErrorCode::Internal,
    ];
    assert_eq!(rows.len(), codes.len());
    for ((name, closes), code) in rows.into_iter().zip(codes) {
        assert_eq!(
            value(&format!("\"{name}\"")),
            serde_json::to_value(code).unwrap()
        );
        assert_eq!(code.name(), name);
        let right = match code {
            ErrorCode::Unauthorized => "HTTP only".to_owned(),
            code if code.is_fatal() => code.close_code().to_string(),
            _ => "no".to_owned(),
        };
        assert_eq!(closes, right, "{name}");
    }
}

#[test]
fn the_numbers_in_the_text_are_those_of_the_code() {
    assert!(DOCUMENT.contains(&format!("subprotocol `{SUBPROTOCOL}`")));
    assert_eq!(RAW_BYTES, 150_528, "the document says so");
    assert_eq!(
        (MAX_CLIENT_TEXT, MAX_SERVER_TEXT),
        (4096, 65536),
        "the document says so"
    );
}

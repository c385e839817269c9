//! What is run: each target reads bytes as one of the programs does, and checks what must hold.

use aecnn::codec::{CodecFile, Method, Network, NetworkConfig, Rate, Transform};
use aecnn::manifest::Manifest;
use aecnn::{FeatureShape, Split, Variant};
use anyhow::{Context, Result};
use bytes::Bytes;
use edge_server::oip::message::Request;
use edge_server::picture::{self, Source};
use fastrand::Rng;
use feature_codec::{ChannelCounts, Counts, Geometry, Tables};
use image::{ImageFormat, RgbImage};
use wire::{ClientMessage, ErrorCode, ErrorMessage, Frame, FrameHeader, Hello, ServerMessage};

use crate::codec_file;
use crate::mutate::mutate;

/// The largest payload that the frames' target allows.
const MAX_PAYLOAD: u32 = 4096;

/// Reads bytes, panics where it must not, says whether it took them as right.
pub type Check = Box<dyn Fn(&[u8]) -> bool>;

/// Changes bytes, with the help of another example, into not more than so many bytes.
pub type Change = fn(&mut Vec<u8>, &[u8], usize, &mut Rng);

/// A parser and examples for it.
pub struct Target {
    /// Its name.
    pub name: &'static str,
    /// Bytes that it takes as right.
    pub examples: Vec<Vec<u8>>,
    /// Changed examples are cut to this length, which no example has.
    pub longest: usize,
    /// What makes a changed example of an example.
    pub change: Change,
    /// The parser.
    pub check: Check,
}

/// Every target.
///
/// # Errors
///
/// When an example cannot be made.
pub fn all() -> Result<Vec<Target>> {
    Ok(vec![
        Target {
            name: "message",
            examples: messages()?,
            longest: 8192,
            change: mutate,
            check: Box::new(message),
        },
        Target {
            name: "frame",
            examples: frames(),
            longest: 6000,
            change: mutate,
            check: Box::new(frame),
        },
        payload_target()?,
        Target {
            name: "tables",
            examples: vec![tables()?.to_bytes()],
            longest: 4096,
            change: mutate,
            check: Box::new(|bytes| {
                let read = Tables::from_bytes(bytes);
                // What is taken is what would be written.
                read.is_ok_and(|tables| {
                    assert_eq!(tables.to_bytes(), bytes);
                    true
                })
            }),
        },
        Target {
            name: "codec-file",
            examples: codec_files()?,
            longest: 1 << 16,
            change: codec_file::change,
            check: Box::new(codec),
        },
        Target {
            name: "manifest",
            examples: vec![
                include_bytes!("../../../models/resnet50-imagenet/manifest.json").to_vec(),
            ],
            longest: 1 << 16,
            change: mutate,
            check: Box::new(|bytes| Manifest::parse(bytes).is_ok()),
        },
        Target {
            name: "picture",
            examples: pictures()?,
            longest: 1 << 16,
            change: mutate,
            check: Box::new(|bytes| picture::decode(bytes, Source::Photograph).is_ok()),
        },
        Target {
            name: "infer",
            examples: infers(),
            longest: 8192,
            change: mutate,
            check: Box::new(infer),
        },
    ])
}

/// A message of either direction; what is taken survives being written and read again.
fn message(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return false;
    };
    let client = ClientMessage::parse(text);
    if let Ok(message) = &client {
        // It may have become longer than is allowed.
        if let Ok(written) = message.to_json() {
            assert_eq!(ClientMessage::parse(&written).ok().as_ref(), Some(message));
        }
    }
    let server = ServerMessage::parse(text);
    if let Ok(message) = &server {
        let _ = message.to_json();
    }
    client.is_ok() || server.is_ok()
}

fn messages() -> Result<Vec<Vec<u8>>> {
    let hello = ClientMessage::Hello(Hello {
        client: "fuzz/1.0 \u{fc}".to_owned(),
        model: "a1".repeat(32),
        codec: "5c".repeat(32),
        split: 2,
        rate: 1,
        top_k: Some(5),
        backend: Some("cpu".to_owned()),
    });
    let error = ErrorMessage::new(ErrorCode::TooFast, "too fast", "slower").about(7);
    let result = r#"{"type":"result","sequence":7,"capture_time_us":1234567,"top":[{"class":281,"label":"tabby","probability":0.7312}],"timings":{"queue_us":310,"decode_us":95,"restore_us":840,"tail_us":61200,"total_us":62610},"batch":3,"payload_bytes":12}"#;
    let digest = "a1".repeat(32);
    let welcome = format!(
        r#"{{"type":"welcome","session":17,"server":"s","model":"{digest}","codecs":[{{"id":0,"digest":"{digest}","name":"n","split":0,"rates":3}}],"limits":{{"max_payload":65536}}}}"#
    );
    Ok(vec![
        hello.to_json()?.into_bytes(),
        ClientMessage::Error(error.clone()).to_json()?.into_bytes(),
        ServerMessage::Error(error).to_json()?.into_bytes(),
        result.as_bytes().to_vec(),
        welcome.into_bytes(),
    ])
}

/// A binary message; what is taken is what would be written.
fn frame(bytes: &[u8]) -> bool {
    Frame::parse(bytes, MAX_PAYLOAD).is_ok_and(|frame| {
        assert_eq!(frame.encode(), bytes);
        assert!(frame.payload.len() <= MAX_PAYLOAD as usize);
        true
    })
}

fn frames() -> Vec<Vec<u8>> {
    let header = FrameHeader {
        split: 2,
        codec: 1,
        rate: 3,
        sequence: 77,
        capture_time_us: 1_234_567,
        channels: 96,
    };
    [&b""[..], b"payload", &[0xa5; 4000]]
        .map(|payload| Frame { header, payload }.encode())
        .to_vec()
}

const CHANNELS: usize = 4;
const GEOMETRY: Geometry = Geometry {
    channels: CHANNELS,
    rows: 7,
    columns: 7,
};

fn tables() -> Result<Tables> {
    let counts = Counts {
        min: -2,
        counts: vec![10, 100, 1000, 100, 10],
    };
    let mut channels = vec![ChannelCounts::from(counts.clone()); CHANNELS];
    // One whose symbols are coded by what stands around them.
    channels[1] = ChannelCounts {
        levels: [100, 900],
        classes: [0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2],
        counts: vec![counts; 3],
    };
    Ok(Tables::from_counts(&channels)?)
}

/// A payload of known tables; what is taken is what would be written.
fn payload_target() -> Result<Target> {
    let tables = tables()?;
    let mut examples = Vec::new();
    for spread in [1i16, 3, 2000] {
        let symbols: Vec<i16> = (0..CHANNELS * 49)
            .map(|n| (n as i16 % 7 - 3) * spread / 2)
            .collect();
        examples.push(tables.encode(&symbols, GEOMETRY)?);
    }
    Ok(Target {
        name: "payload",
        examples,
        longest: 2048,
        change: mutate,
        check: Box::new(move |bytes| {
            let decoded = tables.decode(bytes, GEOMETRY);
            decoded.is_ok_and(|symbols| {
                let written = tables.encode(&symbols, GEOMETRY);
                assert_eq!(written.ok().as_deref(), Some(bytes));
                true
            })
        }),
    })
}

/// A codec file; with the tables of one that is taken, frames can be coded.
fn codec(bytes: &[u8]) -> bool {
    CodecFile::parse(bytes).is_ok_and(|codec| {
        for rate in &codec.rates {
            let geometry = codec.geometry(rate.channels());
            let symbols = vec![0; rate.channels() * codec.positions()];
            if let Ok(payload) = rate.tables.encode(&symbols, geometry) {
                let decoded = rate.tables.decode(&payload, geometry);
                assert_eq!(decoded.as_ref(), Ok(&symbols));
            }
        }
        true
    })
}

/// Small codecs: only the two maps, and with all of the small networks around them.
fn codec_files() -> Result<Vec<Vec<u8>>> {
    let networks = NetworkConfig {
        attention: 3,
        gain: true,
        prepare_blocks: 1,
        prepare_hidden: 2,
        refine_blocks: 1,
        refine_hidden: 2,
    };
    let of = |(method, config)| codec_file(method, config);
    [
        (Method::Klt, NetworkConfig::default()),
        (Method::Aecnn, networks),
    ]
    .map(of)
    .into_iter()
    .collect()
}

fn codec_file(method: Method, config: NetworkConfig) -> Result<Vec<u8>> {
    let feature: FeatureShape = Variant::V1.feature_shape(Split::Stem);
    let block = 4;
    let values = CHANNELS * feature.channels * block * block;
    let latent = [CHANNELS, feature.height / block, feature.width / block];
    let tensors = config.tensors(feature.channels, latent);
    let tensors = tensors
        .into_iter()
        .map(|(name, shape)| (name, vec![0.25; shape.iter().product()]));
    let transform = Transform {
        feature,
        block,
        analysis: vec![0.5; values],
        analysis_bias: vec![0.0; CHANNELS],
        synthesis: vec![0.5; values],
        mean: vec![0.0; feature.channels * block * block],
        network: Network {
            config,
            tensors: tensors.collect(),
        },
    };
    let rate = Rate {
        name: "only".to_owned(),
        step: 1.0,
        rounding: 0.5,
        reconstruction: vec![1.0; CHANNELS],
        tables: tables()?,
    };
    let codec = CodecFile::new(
        "fuzz".to_owned(),
        method,
        "a1".repeat(32),
        Split::Stem,
        "nothing".to_owned(),
        transform,
        vec![rate],
    )?;
    Ok(codec.to_bytes(Variant::V1)?)
}

fn pictures() -> Result<Vec<Vec<u8>>> {
    let mut picture = RgbImage::new(24, 16);
    for (x, y, pixel) in picture.enumerate_pixels_mut() {
        *pixel = image::Rgb([x as u8 * 9, y as u8 * 15, (x * y) as u8]);
    }
    [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::WebP]
        .into_iter()
        .map(|format| {
            let mut bytes = std::io::Cursor::new(Vec::new());
            picture
                .write_to(&mut bytes, format)
                .context("an example picture")?;
            Ok(bytes.into_inner())
        })
        .collect()
}

/// A request of the Open Inference Protocol: two bytes say how long its header is, 0 that it is
/// all header.
fn infer(bytes: &[u8]) -> bool {
    let Some(([low, high], body)) = bytes.split_first_chunk::<2>() else {
        return false;
    };
    let header = usize::from(u16::from_le_bytes([*low, *high]));
    let header = (header > 0).then_some(header);
    Request::parse(&Bytes::copy_from_slice(body), header).is_ok()
}

fn infers() -> Vec<Vec<u8>> {
    let json = r#"{"id":"7","inputs":[{"name":"a","shape":[2,2],"datatype":"FP32","data":[[1,2.5],[-3e2,4]]}],"outputs":[{"name":"logits","parameters":{"classification":3}}]}"#;
    let head = r#"{"inputs":[{"name":"f","shape":[1,2],"datatype":"FP32","parameters":{"binary_data_size":8}},{"name":"b","shape":[2],"datatype":"BYTES","parameters":{"binary_data_size":11}}],"parameters":{"timeout":5000,"binary_data_output":true}}"#;
    let length = (head.len() as u16).to_le_bytes();
    let binary = b"\0\0\x80\x3f\0\0\0\x40\x03\0\0\0abc\0\0\0\0";
    vec![
        [&[0, 0], json.as_bytes()].concat(),
        [&length[..], head.as_bytes(), binary].concat(),
    ]
}

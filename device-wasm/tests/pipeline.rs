//! A frame's whole way on the device, run natively with the real stem and a codec made here.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test may stop at what it did not expect"
)]

use std::path::{Path, PathBuf};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use aecnn::codec::{CodecFile, Method, Network, Rate, Transform};
use aecnn::manifest::Manifest;
use aecnn::{Split, Variant};
use burn::tensor::Device;
use device_wasm::encode::{EncodedFrame, FrameSettings, Picture, encode_picture};
use device_wasm::error::DeviceError;
use device_wasm::model::{LoadedModel, ModelFiles};
use feature_codec::{Counts, Tables};
use wire::{Frame, Limits};

const LATENT: usize = 4;
const SETTINGS: FrameSettings = FrameSettings {
    codec_id: 9,
    rate: 1,
    channels: None,
    sequence: 77,
    capture_time_us: 123_456,
    profiling: true,
};

fn model_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/resnet50-imagenet")
}

fn manifest() -> (Vec<u8>, Manifest) {
    let bytes = std::fs::read(model_folder().join("manifest.json")).unwrap();
    let manifest = Manifest::parse(&bytes).unwrap();
    (bytes, manifest)
}

fn parts(manifest: &Manifest, names: &[&str]) -> Vec<(String, Vec<u8>)> {
    names
        .iter()
        .map(|name| {
            let file = &manifest.part(name).unwrap().file.file;
            (
                (*name).to_owned(),
                std::fs::read(model_folder().join(file)).unwrap(),
            )
        })
        .collect()
}

/// Latent channel `i` is the mean of feature channel `i` over each 2x2 block.
fn codec(model: &str) -> Vec<u8> {
    let feature = Variant::V1.feature_shape(Split::Stem);
    let mut analysis = vec![0.0; LATENT * feature.channels * 4];
    for k in 0..LATENT {
        let start = (k * feature.channels + k) * 4;
        analysis[start..start + 4].fill(0.25);
    }
    let transform = Transform {
        feature,
        block: 2,
        synthesis: analysis.clone(),
        analysis,
        analysis_bias: vec![0.0; LATENT],
        mean: vec![0.0; feature.channels * 4],
        network: Network::default(),
    };
    let counts = Counts {
        min: -8,
        counts: vec![10; 17],
    };
    let rate = |name: &str, step: f32| Rate {
        name: name.to_owned(),
        step,
        rounding: 0.5,
        reconstruction: vec![step; LATENT],
        tables: Tables::from_counts(&vec![counts.clone(); LATENT]).unwrap(),
    };
    CodecFile::new(
        "test".to_owned(),
        Method::Klt,
        model.to_owned(),
        Split::Stem,
        "nothing".to_owned(),
        transform,
        vec![rate("coarse", 8.0), rate("fine", 0.5)],
    )
    .unwrap()
    .to_bytes(Variant::V1)
    .unwrap()
}

fn load() -> LoadedModel {
    let (bytes, manifest) = manifest();
    let files = ModelFiles {
        manifest: &bytes,
        parts: &parts(&manifest, &["stem"]),
        codec: &codec(&manifest.digest),
    };
    LoadedModel::new(Split::Stem, &files, &Device::flex()).unwrap()
}

/// On the CPU the backend never makes us wait, so that one poll is enough.
fn encode(
    model: &LoadedModel,
    picture: Picture<'_>,
    settings: FrameSettings,
) -> Result<EncodedFrame, DeviceError> {
    let mut future = pin!(encode_picture(model, picture, settings));
    match future
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()))
    {
        Poll::Ready(result) => result,
        Poll::Pending => panic!("the CPU backend was not ready at once"),
    }
}

fn pixels() -> Vec<u8> {
    (0..300u32 * 260)
        .flat_map(|i| {
            let (x, y) = (i % 300, i / 300);
            [(x / 2) as u8, y as u8, (x ^ y) as u8, 255]
        })
        .collect()
}

fn picture(rgba: &[u8]) -> Picture<'_> {
    Picture {
        rgba,
        width: 300,
        height: 260,
    }
}

#[test]
fn the_message_decodes_to_the_symbols() {
    let (_, manifest) = manifest();
    let file = CodecFile::parse(&codec(&manifest.digest)).unwrap();
    let rgba = pixels();
    let encoded = encode(&load(), picture(&rgba), SETTINGS).unwrap();

    let frame = Frame::parse(&encoded.message, Limits::default().max_payload).unwrap();
    assert_eq!(frame.header, encoded.header);
    assert_eq!(frame.header.split, Split::Stem.as_u8());
    assert_eq!(
        (frame.header.codec, frame.header.rate, frame.header.sequence),
        (9, 1, 77)
    );
    assert_eq!(frame.header.capture_time_us, 123_456);
    assert_eq!(usize::from(frame.header.channels), LATENT);

    assert_eq!(file.positions(), 28 * 28);
    let decoded = file.rates[1]
        .tables
        .decode(frame.payload, file.geometry(LATENT))
        .unwrap();
    assert_eq!(decoded, encoded.symbols);
    assert!(
        encoded.symbols.iter().any(|symbol| *symbol != 0),
        "the picture left no trace"
    );
    let timings = encoded.timings;
    assert!(timings.front > 0.0 && timings.total >= timings.front + timings.encode);
}

#[test]
fn a_prefix_of_the_channels_is_the_same_symbols() {
    let model = load();
    let rgba = pixels();
    let whole = encode(&model, picture(&rgba), SETTINGS).unwrap();
    let settings = FrameSettings {
        channels: Some(2),
        ..SETTINGS
    };
    let prefix = encode(&model, picture(&rgba), settings).unwrap();
    assert_eq!(prefix.header.channels, 2);
    assert_eq!(prefix.symbols, whole.symbols[..2 * 28 * 28]);
    assert!(prefix.message.len() < whole.message.len());
}

#[test]
fn another_rate_is_another_step() {
    let model = load();
    let rgba = pixels();
    let fine = encode(&model, picture(&rgba), SETTINGS).unwrap();
    let settings = FrameSettings {
        rate: 0,
        ..SETTINGS
    };
    let coarse = encode(&model, picture(&rgba), settings).unwrap();
    assert!(coarse.message.len() < fine.message.len());
    let settings = FrameSettings {
        rate: 2,
        ..SETTINGS
    };
    let error = encode(&model, picture(&rgba), settings).unwrap_err();
    assert_eq!(error.name(), "InvalidArgument");
}

#[test]
fn pixels_that_do_not_fill_the_picture_are_refused() {
    let rgba = pixels();
    let error = encode(&load(), picture(&rgba[4..]), SETTINGS).unwrap_err();
    assert_eq!(error.name(), "EncodeFailed");
}

#[test]
fn files_that_do_not_belong_together_are_refused() {
    let (bytes, manifest) = manifest();
    let stem = parts(&manifest, &["stem"]);
    let good = codec(&manifest.digest);
    let stranger = codec(&"0".repeat(64));
    let mut damaged = stem.clone();
    if let Some(byte) = damaged[0].1.last_mut() {
        *byte ^= 1;
    }
    let try_load = |split, parts: &[(String, Vec<u8>)], codec: &[u8]| {
        let files = ModelFiles {
            manifest: &bytes,
            parts,
            codec,
        };
        LoadedModel::new(split, &files, &Device::flex()).map(|_| ())
    };
    assert!(try_load(Split::Stem, &stem, &good).is_ok());
    assert!(matches!(
        try_load(Split::Stem, &stem, &stranger),
        Err(DeviceError::Mismatch(what)) if what.contains("another network")
    ));
    assert!(matches!(
        try_load(Split::Stem, &damaged, &good),
        Err(DeviceError::Manifest(_))
    ));
    assert!(matches!(
        try_load(Split::Stem, &[], &good),
        Err(DeviceError::Mismatch(what)) if what.contains("`stem`")
    ));
    let more = parts(&manifest, &["stem", "stage1"]);
    assert!(matches!(
        try_load(Split::Stage1, &more, &good),
        Err(DeviceError::Mismatch(what)) if what.contains("split stem")
    ));
}

//! A frame's whole way on the device, run natively with the real stem and a codec made here.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test may stop at what it did not expect"
)]

use std::cell::RefCell;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use aecnn::classes::{softmax, top_k};
use aecnn::codec::{CodecFile, Method, Network, Rate, Transform};
use aecnn::manifest::Manifest;
use aecnn::{Split, Variant};
use burn::tensor::Device;
use device_wasm::encode::{EncodedFrame, FrameSettings, Picture, encode_picture};
use device_wasm::error::DeviceError;
use device_wasm::model::{LoadedModel, ModelFiles};
use device_wasm::models::Models;
use device_wasm::strips::{Helper, Helpers, Purpose, Rows};
use device_wasm::way::{Format, Way};
use device_wasm::whole::Between;
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

fn codec(model: &str) -> Vec<u8> {
    named_codec("test", model)
}

fn named_codec(name: &str, model: &str) -> Vec<u8> {
    codec_of(Split::Stem, name, model)
}

/// Latent channel `i` is the mean of feature channel `i` over each 2x2 block.
fn codec_of(split: Split, name: &str, model: &str) -> Vec<u8> {
    let feature = Variant::V1.feature_shape(split);
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
        name.to_owned(),
        Method::Klt,
        model.to_owned(),
        split,
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
    let model = Models::default().load(Split::Stem, &files, &Device::flex());
    Rc::into_inner(model.unwrap()).unwrap()
}

/// On the CPU the backend never makes us wait, so that one poll is enough.
fn encode(
    model: &LoadedModel,
    picture: Picture<'_>,
    settings: FrameSettings,
) -> Result<EncodedFrame, DeviceError> {
    at_once(encode_picture(model, picture, settings, None))
}

fn at_once<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
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

/// Helpers on this thread, of which some fail.
struct Hands {
    helper: Helper,
    purpose: Purpose,
    /// What each that is asked does, in turn.
    deeds: RefCell<Vec<Deed>>,
}

#[derive(Debug, Clone, Copy)]
enum Deed {
    Help,
    Fail,
    /// Gives fewer values than were asked for.
    Skimp,
}

impl Hands {
    fn new(deeds: &[Deed], purpose: Purpose) -> Self {
        let (bytes, manifest) = manifest();
        let mut helper = Helper::default();
        let parts = parts(&manifest, &["stem", "stage1"]);
        (helper.load(&bytes, Split::Stage1, purpose, &parts, &Device::flex())).unwrap();
        let deeds = RefCell::new(deeds.to_vec());
        Self {
            helper,
            purpose,
            deeds,
        }
    }
}

impl Helpers for Hands {
    fn count(&self, split: Split, purpose: Purpose) -> usize {
        if (split, purpose) == (Split::Stage1, self.purpose) {
            self.deeds.borrow().len()
        } else {
            0
        }
    }

    fn ask(&self, split: Split, purpose: Purpose, seen: &[u8], rows: Range<usize>) -> Rows<'_> {
        let seen = seen.to_vec();
        let deed = self.deeds.borrow_mut().pop();
        Box::pin(async move {
            let device = Device::flex();
            match deed {
                Some(Deed::Help) => self.helper.rows(split, purpose, &seen, rows, &device).await,
                Some(Deed::Skimp) => Ok(vec![0.0; 7]),
                _ => Err(DeviceError::Readback("no".to_owned())),
            }
        })
    }
}

#[test]
fn helpers_change_nothing_but_the_time() {
    let (bytes, manifest) = manifest();
    let files = ModelFiles {
        manifest: &bytes,
        parts: &parts(&manifest, &["stem", "stage1"]),
        codec: &codec_of(Split::Stage1, "test", &manifest.digest),
    };
    let model = Models::default().load(Split::Stage1, &files, &Device::flex());
    let model = model.unwrap();
    let rgba = pixels();
    let alone = encode(&model, picture(&rgba), SETTINGS).unwrap();
    for deeds in [
        &[][..],
        &[Deed::Help],
        &[Deed::Help; 3],
        &[Deed::Help, Deed::Fail, Deed::Skimp],
        &[Deed::Help; 80],
    ] {
        let hands = Hands::new(deeds, Purpose::Codec);
        let helped = encode_picture(&model, picture(&rgba), SETTINGS, Some(&hands));
        let helped = at_once(helped).unwrap();
        // Sums come in another order: a value that lies between two symbols may go to the other.
        let pairs = helped.symbols.iter().zip(&alone.symbols);
        let others = pairs.filter(|(helped, alone)| helped != alone).count();
        assert!(others <= 2, "{others} others with {deeds:?}");
        assert_eq!(helped.header, alone.header);
        assert!(
            hands.deeds.borrow().is_empty() || deeds.len() > 20,
            "nobody was asked"
        );
    }
}

#[test]
fn a_helper_refuses_what_it_cannot_do() {
    let hands = Hands::new(&[], Purpose::Codec);
    let device = Device::flex();
    let ask = |split, purpose, bytes, rows| {
        let seen = vec![0; bytes];
        let rows = hands.helper.rows(split, purpose, &seen, rows, &device);
        at_once(rows).unwrap_err()
    };
    let seen = 224 * 224 * 3;
    for (split, purpose) in [
        (Split::Stem, Purpose::Codec),
        (Split::Stage1, Purpose::Whole),
    ] {
        assert_eq!(ask(split, purpose, seen, 0..3).name(), "WayNotLoaded");
    }
    for (bytes, rows) in [(seen - 1, 0..3), (seen, 3..3), (seen, 0..29)] {
        let error = ask(Split::Stage1, Purpose::Codec, bytes, rows);
        assert_eq!(error.name(), "InvalidArgument", "{error}");
    }
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
        Models::default()
            .load(split, &files, &Device::flex())
            .map(|_| ())
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

fn way(codec: &str, rate: u8, channels: Option<u16>) -> Way {
    Way::Features {
        codec: codec.to_owned(),
        rate,
        channels,
    }
}

#[test]
fn another_codec_of_a_loaded_split_needs_no_network() {
    let (bytes, manifest) = manifest();
    let files = ModelFiles {
        manifest: &bytes,
        parts: &parts(&manifest, &["stem"]),
        codec: &codec(&manifest.digest),
    };
    let mut models = Models::default();
    models.load(Split::Stem, &files, &Device::flex()).unwrap();
    let other = named_codec("other", &manifest.digest);
    let without_parts = ModelFiles {
        parts: &[],
        codec: &other,
        ..files
    };
    let loaded = models.load(Split::Stem, &without_parts, &Device::flex());
    assert_eq!(loaded.unwrap().codec_name(), "other");
    let third = named_codec("third", &manifest.digest);
    models
        .add_codec(Split::Stem, &third, &Device::flex())
        .unwrap();

    let rgba = pixels();
    let symbols = |name: &str| {
        let model = models.codec(name).unwrap();
        encode(&model, picture(&rgba), SETTINGS).unwrap().symbols
    };
    assert_eq!(symbols("test"), symbols("other"));
    assert_eq!(symbols("test"), symbols("third"));
}

#[test]
fn a_way_that_is_not_loaded_is_refused_by_name() {
    let (bytes, manifest) = manifest();
    let file = codec(&manifest.digest);
    let files = ModelFiles {
        manifest: &bytes,
        parts: &parts(&manifest, &["stem"]),
        codec: &file,
    };
    let mut models = Models::default();
    let name = |result: Result<(), DeviceError>| result.map_err(|error| error.name());
    assert_eq!(
        name(models.check(&way("test", 0, None))),
        Err("WayNotLoaded")
    );
    models.load(Split::Stem, &files, &Device::flex()).unwrap();
    assert_eq!(name(models.check(&way("test", 1, Some(4)))), Ok(()));
    assert_eq!(
        name(models.check(&way("other", 0, None))),
        Err("WayNotLoaded")
    );
    assert_eq!(
        name(models.check(&way("test", 2, None))),
        Err("InvalidArgument")
    );
    assert_eq!(
        name(models.check(&way("test", 1, Some(5)))),
        Err("InvalidArgument")
    );
    assert_eq!(name(models.check(&Way::Device)), Err("WayNotLoaded"));
    let jpeg = Way::Picture {
        format: Format::Jpeg,
        quality: 80,
    };
    assert_eq!(name(models.check(&jpeg)), Ok(()));
    let elsewhere = models.add_codec(Split::Stage2, &file, &Device::flex());
    assert_eq!(name(elsewhere.map(|_| ())), Err("WayNotLoaded"));
    // What cannot be chosen is no candidate: the test's codec is not in the manifest.
    assert!(models.candidates(None).is_empty());
    assert!(
        models
            .candidates(Some(1 << 20))
            .iter()
            .all(|c| c.split.is_none())
    );
}

#[test]
fn the_whole_network_answers_as_the_uncompressed_one() {
    let (bytes, manifest) = manifest();
    let files = ModelFiles {
        manifest: &bytes,
        parts: &parts(&manifest, &["stem"]),
        codec: &codec(&manifest.digest),
    };
    let device = Device::flex();
    let mut models = Models::default();
    models.load(Split::Stem, &files, &device).unwrap();
    let every = parts(&manifest, &aecnn::resnet::part_names());
    let labels = std::fs::read(model_folder().join(&manifest.labels.file)).unwrap();
    assert!(models.load_whole(&every[..5], &labels, &device).is_err());
    let whole = models.load_whole(&every, &labels, &device).unwrap();

    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/aecnn/tests/golden");
    let file = std::fs::read(golden.join("golden.json")).unwrap();
    let golden_json: serde_json::Value = serde_json::from_slice(&file).unwrap();
    let logits: Vec<f32> = serde_json::from_value(golden_json["fp32"][0].clone()).unwrap();
    let right = top_k(&softmax(&logits).unwrap(), 1)[0];
    let rgba = image::open(golden.join(golden_json["pictures"][0].as_str().unwrap()))
        .unwrap()
        .to_rgba8();
    let picture = Picture {
        rgba: rgba.as_raw(),
        width: rgba.width(),
        height: rgba.height(),
    };
    let answer = at_once(whole.classify(picture, 3, None, None)).unwrap();
    let turns = std::cell::Cell::new(0);
    let between = || -> std::pin::Pin<Box<dyn Future<Output = ()>>> {
        turns.set(turns.get() + 1);
        Box::pin(std::future::ready(()))
    };
    let in_stages = at_once(whole.classify(picture, 3, Some(&between), None)).unwrap();
    assert_eq!((&in_stages.top, turns.get()), (&answer.top, 4));
    for between in [None, Some(&between as Between<'_>)] {
        turns.set(0);
        let hands = Hands::new(&[Deed::Help], Purpose::Whole);
        let shared = at_once(whole.classify(picture, 3, between, Some(&hands))).unwrap();
        assert!(hands.deeds.borrow().is_empty(), "nobody was asked");
        assert_eq!(shared.top[0].class, answer.top[0].class);
        let difference = shared.top[0].probability - answer.top[0].probability;
        assert!(difference.abs() < 1e-3, "{difference}");
        assert_eq!(turns.get(), if between.is_some() { 2 } else { 0 });
    }
    assert_eq!(answer.top.len(), 3);
    assert!(
        answer
            .top
            .is_sorted_by(|a, b| a.probability >= b.probability)
    );
    assert_eq!(usize::from(answer.top[0].class), right.index);
    let difference = answer.top[0].probability - right.probability;
    assert!(difference.abs() < 0.02, "{difference}");
    assert!(!answer.top[0].label.is_empty());
    assert!(answer.timings.front > 0.0);

    // Every split has its front from now on, and the candidates know of the device's own answers.
    assert!(models.candidates(None).iter().any(|c| c.way == Way::Device));
    let aecnn = std::fs::read(model_folder().join("klt-stage2.safetensors")).unwrap();
    let model = models.add_codec(Split::Stage2, &aecnn, &device).unwrap();
    assert_eq!(model.split(), Split::Stage2);
}

//! The committed model: a picture through the device's half and the server's, over a real socket.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod support;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use aecnn::Split;
use aecnn::codec::{Encoder, quantise};
use aecnn::preprocess::INPUT;
use aecnn::resnet::{Front, Precision};
use aecnn::weights::Weights;
use burn::tensor::{Device as Burn, Tensor, TensorData};
use clap::Parser;
use edge_server::app::App;
use edge_server::catalogue::{Catalogue, Model};
use edge_server::config::{Backend, Config};
use edge_server::engine::{CodecId, Engine, Inference, Input, Networks};
use edge_server::metrics::Metrics;
use edge_server::page::Page;
use edge_server::picture::{self, Source};
use edge_server::server::serve;
use support::TestServer;
use tokio::net::TcpListener;
use wire::{ClassifyResponse, Frame, FrameHeader, Hello, ServerMessage};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn balloon() -> Vec<u8> {
    std::fs::read(root().join("web/samples/balloon.jpg")).unwrap()
}

fn planes(model: &Model) -> Vec<f32> {
    let picture = picture::decode(&balloon(), Source::Photograph).unwrap();
    picture::preprocess(&picture, &model.manifest.preprocessing, false).unwrap()
}

/// The device's half: front, encoder, quantiser, entropy coder. Symbols and payload.
fn encode(model: &Model, codec: usize, rate: usize) -> (Vec<i16>, Vec<u8>) {
    let device = Burn::flex();
    let file = &model.codecs[codec];
    let weights = Weights::read(&model.parts()).unwrap();
    let variant = model.manifest.variant;
    let front = Front::load(variant, file.split, &weights, Precision::Coarse, &device).unwrap();
    let input = TensorData::new(planes(model), [1, 3, INPUT, INPUT]);
    let feature = front.forward(Tensor::from_data(input, &device));
    let latent = Encoder::new(file, &device).unwrap().forward(feature);
    let latent: Vec<f32> = latent.into_data().try_to_vec().unwrap();
    let [_, rows, columns] = file.latent_shape();
    let rate = &file.rates[rate];
    let symbols = quantise(&latent, rate, rows * columns);
    let payload = rate
        .tables
        .encode(&symbols, file.geometry(rate.channels()))
        .unwrap();
    (symbols, payload)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_codec_brings_the_label_that_the_picture_brings() {
    let models = root().join("models");
    let config = Config::parse_from(["edge-server", "--models", models.to_str().unwrap()]);
    let catalogue = Arc::new(Catalogue::read(&models).unwrap());
    let for_engine = Arc::clone(&catalogue);
    let metrics = Metrics::new().unwrap();
    let (_, queue) = Inference::start(config.rules(), metrics.clone(), move || {
        Networks::load(&for_engine, Backend::Flex)
    })
    .unwrap();
    let app = App::new(
        config,
        Arc::clone(&catalogue),
        queue,
        Page::Embedded,
        metrics,
    );
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = tokio::spawn(serve(listener, None, Arc::clone(&app)));
    let manifest = catalogue.models()[0].manifest.clone();
    let folder = tempfile::tempdir().unwrap();
    let server = TestServer {
        address,
        app,
        manifest,
        serving,
        folder,
    };

    let direct = server.post("/v1/classify", "", &balloon()).await;
    let direct: ClassifyResponse = direct.json();
    assert_eq!(direct.top[0].label, "balloon");
    assert!(direct.top[0].probability > 0.99, "{:?}", direct.top);

    let model = &catalogue.models()[0];
    assert!(!model.codecs.is_empty(), "the model has no codec");
    for (index, entry) in model.manifest.codecs.iter().enumerate() {
        let rate = entry.default_rate;
        let (_, payload) = encode(model, index, rate);
        let mut device = server.connect().await;
        let hello = Hello {
            codec: entry.file.sha256.clone(),
            split: entry.split.as_u8(),
            rate: u8::try_from(rate).unwrap(),
            ..support::hello(&model.manifest)
        };
        let welcome = device.hello(hello).await;
        let header = FrameHeader {
            split: entry.split.as_u8(),
            codec: welcome.codec(&entry.file.sha256).unwrap().id,
            rate: u8::try_from(rate).unwrap(),
            sequence: 1,
            capture_time_us: 0,
            channels: u16::try_from(model.codecs[index].rates[rate].channels()).unwrap(),
        };
        device
            .binary(
                Frame {
                    header,
                    payload: &payload,
                }
                .encode(),
            )
            .await;
        let Ok(ServerMessage::Result(result)) = device.receive().await else {
            panic!("no result for {}", entry.name)
        };
        assert_eq!(
            result.top[0].label, "balloon",
            "{}: {:?}",
            entry.name, result.top
        );
        // Compressed a hundredfold and more against the whole feature.
        let ratio = entry.split.whole_feature().fp32_bytes() / payload.len();
        assert!(ratio > 100, "{}: {} bytes", entry.name, payload.len());
    }
}

#[test]
fn a_batch_gives_what_each_frame_gives_alone() {
    let catalogue = Catalogue::read(&root().join("models")).unwrap();
    let model = &catalogue.models()[0];
    let index = model
        .codecs
        .iter()
        .position(|codec| codec.split == Split::Stage2)
        .unwrap();
    let codec = CodecId {
        model: 0,
        codec: index,
    };
    let rates = [0, model.codecs[index].rates.len() - 1];
    let mut inputs: Vec<Input> = rates
        .into_iter()
        .map(|rate| {
            let (symbols, _) = encode(model, index, rate);
            Input::Latent {
                codec,
                split: Split::Stage2,
                rate,
                symbols,
            }
        })
        .collect();
    // A prefix of the channels, as a device may send it.
    let Input::Latent { symbols, .. } = &inputs[1] else {
        panic!("a latent")
    };
    let mut symbols = symbols.clone();
    symbols.truncate(symbols.len() / 49 / 2 * 49);
    inputs.push(Input::Latent {
        codec,
        split: Split::Stage2,
        rate: rates[1],
        symbols,
    });

    let together = same_together_and_alone(&catalogue, &inputs);
    assert_ne!(together[0], together[1], "other rates give other logits");
}

#[test]
fn all_splits_and_pictures_share_a_batch() {
    let catalogue = Catalogue::read(&root().join("models")).unwrap();
    let model = &catalogue.models()[0];
    let latent = |index: usize| {
        let (rate, split) = (
            model.manifest.codecs[index].default_rate,
            model.codecs[index].split,
        );
        Input::Latent {
            codec: CodecId {
                model: 0,
                codec: index,
            },
            split,
            rate,
            symbols: encode(model, index, rate).0,
        }
    };
    let mut inputs: Vec<Input> = (0..model.codecs.len()).rev().map(latent).collect();
    let picture = Input::Picture {
        model: 0,
        planes: planes(model),
    };
    inputs.insert(1, picture);
    let shape = model.manifest.variant.feature_shape(Split::Stage3);
    inputs.push(Input::Feature {
        model: 0,
        split: Split::Stage3,
        values: (0..shape.values()).map(|n| (n % 7) as f32).collect(),
    });
    // The same codec once more, not beside its like.
    inputs.push(inputs[0].clone());
    let splits: std::collections::BTreeSet<_> = inputs.iter().map(Input::entry).collect();
    assert!(splits.len() > 3, "{splits:?}");
    let together = same_together_and_alone(&catalogue, &inputs);
    assert_eq!(together.first(), together.last());
}

/// The logits of one batch, after holding them against those of each input by itself.
fn same_together_and_alone(catalogue: &Catalogue, inputs: &[Input]) -> Vec<Vec<f32>> {
    let mut networks = Networks::load(catalogue, Backend::Flex).unwrap();
    let together = networks
        .run(&inputs.iter().collect::<Vec<_>>())
        .unwrap()
        .logits;
    assert_eq!(together.len(), inputs.len());
    for (input, batched) in inputs.iter().zip(&together) {
        let alone = &networks.run(&[input]).unwrap().logits[0];
        let largest = alone.iter().fold(0f32, |most, logit| most.max(logit.abs()));
        let off = alone
            .iter()
            .zip(batched)
            .map(|(a, b)| (a - b).abs())
            .fold(0f32, f32::max);
        assert!(off <= 1e-4 * largest, "off by {off} of {largest}");
    }
    together
}

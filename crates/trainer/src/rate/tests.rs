//! A few steps on a few pictures with the real network.

use std::path::{Path, PathBuf};

use aecnn::Split;
use aecnn::codec::{CodecFile, Method, Network, Rate, Transform};
use burn::tensor::{Device, Distribution, Tensor, Tolerance};
use clap::Parser;
use feature_codec::{Counts, Tables};

use super::model::{NetworkArgs, RateCodec};
use super::{TrainRateArgs, run};
use crate::learned::selection::{self, SelectChannelsArgs};
use crate::model::{ModelFolder, read_codec};

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    args: TrainRateArgs,
}

#[derive(Parser)]
struct SelectionCli {
    #[command(flatten)]
    args: SelectChannelsArgs,
}

#[derive(Parser)]
struct SizesCli {
    #[command(flatten)]
    args: NetworkArgs,
}

const CHANNELS: usize = 24;

fn models() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/resnet50-imagenet")
}

/// A copy of the model folder without its codecs.
fn model_folder(folder: &Path) -> PathBuf {
    let path = folder.join("model");
    std::fs::create_dir(&path).unwrap();
    for entry in std::fs::read_dir(models()).unwrap() {
        let entry = entry.unwrap().path();
        std::fs::copy(&entry, path.join(entry.file_name().unwrap())).unwrap();
    }
    path
}

/// Two dozen channels of the deepest feature as they are, at two rates.
fn start(folder: &Path, model: &Path) -> PathBuf {
    let manifest = ModelFolder::open(model).unwrap().manifest;
    let feature = manifest.variant.feature_shape(Split::Stage4);
    let mut maps = vec![0.0; CHANNELS * feature.channels];
    for channel in 0..CHANNELS {
        maps[channel * feature.channels + 50 * channel] = 1.0;
    }
    let rate = |name: &str, step: f32| Rate {
        name: name.to_owned(),
        step,
        rounding: 0.4,
        reconstruction: vec![step; CHANNELS],
        tables: Tables::from_counts(&vec![
            Counts {
                min: -1,
                counts: vec![1, 60, 20, 10, 5, 1],
            };
            CHANNELS
        ])
        .unwrap(),
    };
    let codec = CodecFile::new(
        "start".to_owned(),
        Method::Klt,
        manifest.digest,
        Split::Stage4,
        "nothing".to_owned(),
        Transform {
            feature,
            block: 1,
            analysis: maps.clone(),
            analysis_bias: vec![0.0; CHANNELS],
            synthesis: maps,
            mean: vec![0.4; feature.channels],
            network: Network::default(),
        },
        vec![rate("coarse", 1.0), rate("fine", 0.3)],
    )
    .unwrap();
    let path = folder.join("start.safetensors");
    std::fs::write(&path, codec.to_bytes(manifest.variant).unwrap()).unwrap();
    path
}

fn pictures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../web/tests/pictures")
}

fn train(model: &Path, from: &Path, run_folder: &Path, steps: usize, more: &[&str]) {
    let images = pictures();
    let steps = steps.to_string();
    let mut line = vec![
        "test",
        "--model",
        model.to_str().unwrap(),
        "--from",
        from.to_str().unwrap(),
        "--run",
        run_folder.to_str().unwrap(),
        "--images",
        images.to_str().unwrap(),
        "--limit",
        "14",
        "--held-out",
        "4",
        "--calibration",
        "4",
        "--batch",
        "2",
        "--attention",
        "4",
        "--prepare-blocks",
        "1",
        "--prepare-hidden",
        "8",
        "--refine-hidden",
        "8",
        "--name",
        "trained",
        "--steps",
        &steps,
    ];
    line.extend(more);
    run(&Cli::parse_from(line).args).unwrap();
}

fn last_loss(run_folder: &Path) -> f64 {
    let log = std::fs::read_to_string(run_folder.join("log.jsonl")).unwrap();
    let line: serde_json::Value = serde_json::from_str(log.lines().last().unwrap()).unwrap();
    line["divergence"].as_f64().unwrap()
}

#[test]
fn training_lowers_the_divergence_and_resumes_where_it_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let model = model_folder(folder.path());
    let from = start(folder.path(), &model);
    let (whole, parts) = (folder.path().join("whole"), folder.path().join("parts"));
    let fast = ["--learning-rate", "0.01"];
    train(&model, &from, &whole, 40, &fast);
    let trained = std::fs::read(model.join("trained.safetensors")).unwrap();
    // A codec that answers with next to nothing of the feature has much to learn.
    let log = std::fs::read_to_string(whole.join("log.jsonl")).unwrap();
    let first: serde_json::Value = serde_json::from_str(log.lines().next().unwrap()).unwrap();
    let before = first["divergence"].as_f64().unwrap();
    assert!(
        last_loss(&whole) < 0.9 * before,
        "{} after {before}",
        last_loss(&whole)
    );

    // Stopped at once after its first checkpoint, and called again.
    let stopped = ["--learning-rate", "0.01", "--stop-after", "25"];
    train(&model, &from, &parts, 40, &stopped);
    train(&model, &from, &parts, 40, &fast);
    let resumed = std::fs::read(model.join("trained.safetensors")).unwrap();
    assert!(trained == resumed, "resuming gave another codec");

    let codec = read_codec(&model.join("trained.safetensors")).unwrap();
    assert_eq!(codec.method, Method::Aecnn);
    let entries = ModelFolder::open(&model).unwrap().manifest.codecs;
    assert!(entries.iter().any(|entry| entry.name == "trained"));
}

#[test]
fn larger_networks_do_what_the_smaller_did() {
    let folder = tempfile::tempdir().unwrap();
    let model = model_folder(folder.path());
    let from = start(folder.path(), &model);
    let run_folder = folder.path().join("run");
    train(&model, &from, &run_folder, 3, &["--learning-rate", "0.01"]);
    let trained = read_codec(&model.join("trained.safetensors")).unwrap();

    let device = Device::flex().autodiff();
    let [k, rows, columns] = trained.latent_shape();
    let latents = Tensor::<4>::random([2, k, rows, columns], Distribution::Default, &device);
    let shape = [2, trained.transform().feature.channels, rows, columns];
    let features = Tensor::<4>::random(shape, Distribution::Default, &device);
    let coded = |hidden: &str, blocks: [&str; 2]| {
        let mut sizes = vec!["test", "--attention", "4"];
        sizes.extend(["--prepare-hidden", hidden, "--prepare-blocks", blocks[0]]);
        sizes.extend(["--refine-hidden", hidden, "--refine-blocks", blocks[1]]);
        let sizes = SizesCli::parse_from(sizes);
        let codec = RateCodec::from_codec(&trained, &[], &sizes.args, 1, &device).unwrap();
        let steps = Tensor::ones([2, 1, 1, 1], &device);
        let latent = codec.encoder.forward(features.clone());
        let feature = codec.decoder.forward(latents.clone(), &steps);
        [latent.into_data(), feature.into_data()]
    };
    let same = coded("8", ["1", "2"]);
    for (hidden, blocks) in [("8", ["2", "3"]), ("12", ["1", "2"]), ("12", ["2", "3"])] {
        for (larger, same) in coded(hidden, blocks).iter().zip(&same) {
            larger.assert_approx_eq::<f32>(same, Tolerance::default());
        }
    }
}

#[test]
fn the_papers_channels_stay_while_attention_and_decoder_learn() {
    let folder = tempfile::tempdir().unwrap();
    let model = model_folder(folder.path());
    let select = |channels: &str, learning_rate: &str| {
        let run = folder.path().join("attention");
        let line = format!(
            "test --model {} --run {} --images {} --split stage4 --channels {channels} --reduction 512 --limit 14 \
             --held-out 4 --batch 2 --steps 6 --learning-rate {learning_rate} --calibration 8 --bytes 60,120",
            model.display(),
            run.display(),
            pictures().display()
        );
        selection::run(&SelectionCli::parse_from(line.split_whitespace()).args)
    };
    select("24", "0.01").unwrap();
    let path = model.join("paper-stage4.safetensors");
    let begun = read_codec(&path).unwrap();
    assert_eq!(begun.method, Method::Paper);
    let ones = |codec: &CodecFile| -> Vec<usize> {
        let analysis = codec.transform().analysis.iter().enumerate();
        analysis
            .filter(|(_, value)| **value == 0.5)
            .map(|(at, _)| at)
            .collect()
    };
    let kept = ones(&begun);
    assert_eq!(kept.len(), 24);
    let bytes = std::fs::read(&path).unwrap();
    // A finished run that is asked for again gives the same.
    select("24", "0.01").unwrap();
    assert!(bytes == std::fs::read(&path).unwrap());
    let error = select("24", "0.1").unwrap_err();
    assert!(format!("{error:#}").contains("rate"), "{error:#}");
    assert!(select("4096", "0.01").is_err());

    let run_folder = folder.path().join("run");
    let alone = ["--analysis-share", "0", "--gain", "false"];
    train(&model, &path, &run_folder, 6, &alone);
    let trained = read_codec(&model.join("trained.safetensors")).unwrap();
    assert_eq!((trained.method, ones(&trained)), (Method::Paper, kept));
    let learned = "attention.expand.bias";
    let of = |codec: &CodecFile| codec.transform().network.tensors[learned].clone();
    assert_ne!(of(&trained), of(&begun));
}

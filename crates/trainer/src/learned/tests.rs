//! Both methods, every step, on eight classes of drawn shapes and the real network.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use clap::Parser;
use image::{Rgb, RgbImage};
use serde_json::Value;
use tempfile::TempDir;

use super::aecnn::TrainAecnnArgs;
use super::bottlenet::TrainBottlenetArgs;
use super::export::TrainNetworkArgs;
use super::measure::MethodResult;
use crate::data::packing::{self, PackArgs};
use crate::data::partition::{self, SplitArgs};
use crate::evaluate::{self, EvaluateArgs};
use crate::random::Random;
use crate::train::Stop;

const MODEL: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../models/resnet50-imagenet"
);

#[derive(Parser)]
enum Command {
    Split(SplitArgs),
    Pack(PackArgs),
    Aecnn(TrainAecnnArgs),
    Bottlenet(TrainBottlenetArgs),
    Network(TrainNetworkArgs),
    Evaluate(EvaluateArgs),
}

/// A disc, a square, a cross or stripes, red or blue, somewhere on a grey ground.
fn draw(class: usize, number: u64) -> RgbImage {
    let mut random = Random::of(&[class as u64, number]);
    let ground = random.between(60.0, 180.0);
    let (x0, y0) = (random.between(50.0, 78.0), random.between(50.0, 78.0));
    let size = random.between(28.0, 42.0);
    RgbImage::from_fn(128, 128, |x, y| {
        let (dx, dy) = ((f64::from(x) - x0) / size, (f64::from(y) - y0) / size);
        let square = dx.abs() < 1.0 && dy.abs() < 1.0;
        let inside = match class % 4 {
            0 => dx * dx + dy * dy < 1.0,
            1 => square,
            2 => square && (dx.abs() < 0.25 || dy.abs() < 0.25),
            _ => square && (dx * 2.5).rem_euclid(1.0) < 0.5,
        };
        let noise = random.between(-15.0, 15.0);
        let grey = (ground + noise) as u8;
        match (inside, class / 4) {
            (false, _) => Rgb([grey; 3]),
            (true, 0) => Rgb([220, 40, 30]),
            (true, _) => Rgb([30, 60, 220]),
        }
    })
}

/// The pack, and a folder for what both methods share.
fn data() -> &'static (TempDir, PathBuf) {
    static DATA: OnceLock<(TempDir, PathBuf)> = OnceLock::new();
    DATA.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for class in 0..8 {
            let of_class = at(&format!("pictures/shape{class}"));
            std::fs::create_dir_all(&of_class).unwrap();
            for number in 0..12 {
                let path = of_class.join(format!("{number}.png"));
                draw(class, number).save(path).unwrap();
            }
        }
        let text = |name: &str| at(name).to_string_lossy().into_owned();
        let (images, parts, pack) = (text("pictures"), text("parts.json"), text("a.pack"));
        let split = "split --per-class-train 7 --validation 0.3 --test 0.7 --images";
        let Command::Split(args) = parse(&format!("{split} {images} --out {parts}")) else {
            panic!("no split");
        };
        partition::run(&args).unwrap();
        let Command::Pack(args) = parse(&format!("pack --manifest {parts} --out {pack}")) else {
            panic!("no pack");
        };
        packing::run(&args).unwrap();
        let pack = at("a.pack");
        (folder, pack)
    })
}

fn parse(words: &str) -> Command {
    Command::parse_from(["trainer"].into_iter().chain(words.split(' ')))
}

/// The arguments that both methods share; `out` is the run's folder.
fn shared(out: &Path) -> String {
    let (folder, pack) = data();
    format!(
        "--pack {} --model {MODEL} --out {} --network {} --cache {} --batch 8 --head-epochs 100 --head-rate 0.003",
        pack.display(),
        out.display(),
        out.join("network").display(),
        folder.path().join("cache").display(),
    )
}

fn losses(run: &Path) -> Vec<f64> {
    let log = std::fs::read_to_string(run.join("log.jsonl")).unwrap();
    log.lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok()?["loss"].as_f64())
        .collect()
}

/// The loss of a step's last lines is below `share` of that of its first.
fn assert_falls(run: &Path, share: f64) {
    let losses = losses(run);
    let (first, last) = (losses[0], losses[losses.len() - 1]);
    assert!(last < share * first, "{}: {losses:?}", run.display());
}

/// Eight classes: guessing gets 12.5 %.
fn assert_recognises(result: &MethodResult) {
    let value = serde_json::to_value(result).unwrap();
    let top1 = |method: &str| value[method]["top1"].as_f64().unwrap();
    assert!(top1("uncompressed") > 0.8, "{value}");
    assert!(top1("entropy_coded") > 0.7, "{value}");
    let bytes = |method: &str| value[method]["mean_bytes"].as_f64().unwrap();
    assert!(bytes("entropy_coded") < bytes("fixed_length"), "{value}");
    let ratio = value["entropy_coded"]["ratio_to_whole_feature"].as_f64();
    assert!(ratio.unwrap() > 50.0, "{value}");
}

#[test]
fn aecnn_learns_in_every_step_and_goes_on_after_a_stop() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("aecnn");
    let words = format!(
        "aecnn --split stage3 --channels 128 --bits 6 --attention-epochs 2 --feature-epochs 10 --epochs 2 \
         --fine-tune-epochs 0.4 {}",
        shared(&out)
    );
    let Command::Aecnn(args) = parse(&words) else {
        panic!("no aecnn");
    };
    let stopped = Stop::default();
    stopped.interrupt();
    assert!(super::aecnn::train(&args, stopped).unwrap().is_none());
    let result = super::aecnn::train(&args, Stop::default())
        .unwrap()
        .unwrap();
    assert_recognises(&result);
    assert_falls(&out.join("network/classifier"), 0.5);
    assert_falls(&out.join("codec-features"), 0.8);
    for step in ["attention", "codec-answers", "end-to-end"] {
        assert!(out.join(step).join("result.json").exists(), "{step}");
        assert!(!losses(&out.join(step)).is_empty(), "{step}");
    }

    let again = super::aecnn::train(&args, Stop::default())
        .unwrap()
        .unwrap();
    let json = |result: &MethodResult| serde_json::to_string(result).unwrap();
    assert_eq!(json(&again), json(&result));

    let Command::Aecnn(other) = parse(&words.replace("--bits 6", "--bits 5")) else {
        panic!("no aecnn");
    };
    let error = super::aecnn::train(&other, Stop::default()).unwrap_err();
    assert!(
        error.to_string().contains("`bits` was 6 and is now 5"),
        "{error}"
    );
}

#[test]
fn bottlenet_learns_in_every_step() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("bottlenet");
    let words = format!(
        "bottlenet --split stage4 --channels 24 --feature-epochs 12 --epochs 6 --fine-tune server \
         --fine-tune-epochs 2 {}",
        shared(&out)
    );
    let Command::Bottlenet(args) = parse(&words) else {
        panic!("no bottlenet");
    };
    let result = super::bottlenet::train(&args, Stop::default())
        .unwrap()
        .unwrap();
    assert_recognises(&result);
    assert_falls(&out.join("codec-features"), 0.8);
    for step in ["codec-answers", "end-to-end"] {
        assert!(out.join(step).join("result.json").exists(), "{step}");
    }
}

#[test]
fn a_network_of_ones_own_classes_becomes_a_model_folder() {
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("shapes");
    let out = folder.path().join("network");
    let words = format!("network {} --export {}", shared(&out), model.display());
    let Command::Network(args) = parse(&words) else {
        panic!("no network");
    };
    let manifest = super::export::train(&args, Stop::default())
        .unwrap()
        .unwrap();
    assert_eq!((manifest.name.as_str(), manifest.classes), ("shapes", 8));
    // What is there already is not written over.
    let error = super::export::train(&args, Stop::default()).unwrap_err();
    assert!(error.to_string().contains("holds a model already"));

    let (data, _) = data();
    let json = folder.path().join("a.json");
    let partition = data.path().join("parts.json");
    let words = format!(
        "evaluate --model {} --partition {} --part test --json {}",
        model.display(),
        partition.display(),
        json.display()
    );
    let Command::Evaluate(args) = parse(&words) else {
        panic!("no evaluation");
    };
    evaluate::run(&args).unwrap();
    let report: Value = serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap();
    assert!(
        report["uncompressed"]["top1"].as_f64().unwrap() > 0.8,
        "{report}"
    );
    let command = report["command"].as_str().unwrap();
    assert!(
        command.ends_with("--partition parts.json --part test"),
        "{command}"
    );
    // The classes of another model are not those of these pictures.
    let words = words.replace(&model.display().to_string(), MODEL);
    let Command::Evaluate(args) = parse(&words) else {
        panic!("no evaluation");
    };
    let error = evaluate::run(&args).unwrap_err();
    assert!(error.to_string().contains("other classes"), "{error:#}");
}

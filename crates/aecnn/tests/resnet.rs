//! The imported network against an independent runtime, and against itself cut in two.

#![allow(clippy::unwrap_used, reason = "a test may panic, its helpers too")]

use std::path::{Path, PathBuf};

use aecnn::manifest::Manifest;
use aecnn::preprocess::{INPUT, Preprocessing, normalise};
use aecnn::resnet::{CLASSES, Front, Precision, ResNet50, TailGradient, part_names, trainable};
use aecnn::weights::Weights;
use aecnn::{Split, Variant};
use burn::tensor::{Device, Tensor, TensorData, s};
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden {
    pictures: Vec<String>,
    fp32: Vec<Vec<f32>>,
    half: Vec<Vec<f32>>,
}

fn golden_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

fn model_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/resnet50-imagenet")
}

fn golden() -> Golden {
    let json = std::fs::read(golden_folder().join("golden.json")).unwrap();
    serde_json::from_slice(&json).unwrap()
}

/// The golden pictures as the network's input `[n, 3, 224, 224]`.
fn input(golden: &Golden, device: &Device) -> Tensor<4> {
    let values: Vec<f32> = golden
        .pictures
        .iter()
        .flat_map(|name| {
            let picture = image::open(golden_folder().join(name)).unwrap().into_rgb8();
            assert_eq!(picture.dimensions(), (INPUT as u32, INPUT as u32));
            normalise(&picture, &Preprocessing::keras())
        })
        .collect();
    let shape = [golden.pictures.len(), 3, INPUT, INPUT];
    Tensor::from_data(TensorData::new(values, shape), device)
}

fn load(folder: &Path, variant: Variant, device: &Device) -> ResNet50 {
    with_weights(folder, |weights| {
        ResNet50::load(variant, CLASSES, weights, device).unwrap()
    })
}

fn with_weights<T>(folder: &Path, load: impl FnOnce(&Weights<'_>) -> T) -> T {
    let manifest = Manifest::parse(&std::fs::read(folder.join("manifest.json")).unwrap()).unwrap();
    let files: Vec<(&str, Vec<u8>)> = part_names()
        .into_iter()
        .map(|name| {
            let file = &manifest.part(name).unwrap().file;
            let bytes = std::fs::read(folder.join(&file.file)).unwrap();
            file.check(&bytes).unwrap();
            (name, bytes)
        })
        .collect();
    let parts: Vec<(&str, &[u8])> = files.iter().map(|(n, b)| (*n, b.as_slice())).collect();
    load(&Weights::read(&parts).unwrap())
}

fn rows(logits: Tensor<2>) -> Vec<Vec<f32>> {
    let [_, classes] = logits.dims();
    let values = logits.into_data().try_to_vec::<f32>().unwrap();
    values.chunks(classes).map(<[f32]>::to_vec).collect()
}

/// The largest difference as a share of the largest logit.
fn relative(ours: &[f32], theirs: &[f32]) -> f32 {
    let scale = theirs.iter().fold(0f32, |max, v| max.max(v.abs()));
    ours.iter()
        .zip(theirs)
        .fold(0f32, |max, (a, b)| max.max((a - b).abs()))
        / scale
}

/// What fixed point leaves of accuracy, after all layers.
const FIXED_POINT: f32 = 3e-3;

/// Rows are computed from fewer rows than the whole, so that they may be in other tiles of Winograd's filtering.
#[test]
fn rows_of_a_feature_are_those_of_the_whole() {
    let device = Device::flex();
    let picture = input(&golden(), &device).slice(s![0..1]);
    for variant in [Variant::V1, Variant::V1_5] {
        let network = load(&model_folder(), variant, &device);
        for split in [Split::Stem, Split::Stage1, Split::Stage2, Split::Stage3] {
            let front = network.front(split);
            let whole = front.forward(picture.clone());
            let [_, channels, height, width] = whole.dims();
            let half = height / 2;
            for rows in [
                0..half,
                half..height,
                1..4,
                3..4,
                height - 1..height,
                0..height,
                2..2,
            ] {
                let some = front.rows(picture.clone(), rows.clone());
                assert_eq!(some.dims(), [1, channels, rows.len(), width]);
                let wanted = whole.clone().slice(s![.., .., rows.clone()]);
                let values = |of: Tensor<4>| of.into_data().try_to_vec::<f32>().unwrap();
                let (some, wanted) = (values(some), values(wanted));
                let scale = wanted.iter().fold(1f32, |max, v| max.max(v.abs()));
                let worst = (some.iter().zip(&wanted))
                    .fold(0f32, |max, (ours, theirs)| max.max((ours - theirs).abs()));
                assert!(
                    worst < FIXED_POINT * scale,
                    "{variant:?} {split} {rows:?}: {worst} of {scale}"
                );
            }
        }
    }
}

#[test]
fn a_coarse_front_is_near_and_so_are_its_rows() {
    let device = Device::flex();
    let picture = input(&golden(), &device).slice(s![0..1]);
    let network = load(&model_folder(), Variant::V1, &device);
    let squares = |of: Tensor<4>| of.powi_scalar(2).sum().into_scalar::<f32>();
    for split in [Split::Stage1, Split::Stage2, Split::Stage3] {
        let coarse = with_weights(&model_folder(), |weights| {
            Front::load(Variant::V1, split, weights, Precision::Coarse, &device).unwrap()
        });
        let ours = coarse.forward(picture.clone());
        let theirs = network.front(split).forward(picture.clone());
        let wanted = 1..ours.dims()[2] - 1;
        let rows = coarse.rows(picture.clone(), wanted.clone());
        let of_rows = squares(rows - ours.clone().slice(s![.., .., wanted])).sqrt();
        let error = squares(ours - theirs.clone()).sqrt();
        let length = squares(theirs).sqrt();
        assert!(error < 0.04 * length, "{split}: {error} of {length}");
        assert!(of_rows <= error, "{split}: rows {of_rows}, {error}");
        // Processors without such products compute as ever.
        assert_eq!(error > 0.0, cfg!(target_arch = "x86_64"), "{split}");
    }
}

#[test]
fn logits_are_onnxruntimes() {
    let golden = golden();
    let device = Device::flex();
    let network = load(&model_folder(), Variant::V1, &device);
    for (ours, theirs) in rows(network.forward(input(&golden, &device)))
        .iter()
        .zip(&golden.half)
    {
        let error = relative(ours, theirs);
        assert!(error < 1e-3, "{error}");
    }
}

#[test]
fn half_precision_moves_logits_little() {
    let golden = golden();
    for (half, fp32) in golden.half.iter().zip(&golden.fp32) {
        let error = relative(half, fp32);
        assert!(error > 0.0 && error < 1e-2, "{error}");
    }
}

/// `trainer import --fp32 --out DIR PACKAGE` and `AECNN_FP32_MODEL=DIR` check the unrounded weights too.
#[test]
fn single_precision_logits_are_onnxruntimes() {
    let Some(folder) = std::env::var_os("AECNN_FP32_MODEL") else {
        return;
    };
    let golden = golden();
    let device = Device::flex();
    let network = load(Path::new(&folder), Variant::V1, &device);
    for (ours, theirs) in rows(network.forward(input(&golden, &device)))
        .iter()
        .zip(&golden.fp32)
    {
        let error = relative(ours, theirs);
        assert!(error < 1e-3, "{error}");
    }
}

#[test]
fn cut_networks_are_the_whole_one_bit_for_bit() {
    let golden = golden();
    let device = Device::flex();
    for variant in [Variant::V1, Variant::V1_5] {
        let network = load(&model_folder(), variant, &device);
        let input = input(&golden, &device).narrow(0, 0, 2);
        let whole = network.forward(input.clone()).into_data();
        for split in Split::ALL {
            let feature = network.front(split).forward(input.clone());
            let shape = variant.feature_shape(split);
            assert_eq!(
                feature.dims(),
                [2, shape.channels, shape.height, shape.width]
            );
            let cut = network.tail(split).forward(feature).into_data();
            assert_eq!(cut, whole, "{variant:?} after {split}");
        }
    }
}

/// With gradients burn's operations run, without them the kernels for the processor.
#[test]
fn both_forms_give_the_same_features() {
    let golden = golden();
    let device = Device::flex();
    let tracked = device.clone().autodiff();
    for variant in [Variant::V1, Variant::V1_5] {
        let kernels = load(&model_folder(), variant, &device);
        let operations = load(&model_folder(), variant, &tracked);
        for split in Split::ALL {
            let picture = |device| input(&golden, device).narrow(0, 0, 1);
            let ours = kernels.front(split).forward(picture(&device));
            let theirs = operations.front(split).forward(picture(&tracked)).inner();
            let [ours, theirs] = [ours, theirs].map(|t| t.into_data().try_to_vec::<f32>().unwrap());
            let error = relative(&ours, &theirs);
            assert!(error < FIXED_POINT, "{variant:?} after {split}: {error}");
            assert!(
                error > 0.0,
                "{variant:?} after {split}: the same form ran twice"
            );
        }
    }
}

#[test]
fn the_tails_gradient_is_burns() {
    let golden = golden();
    let device = Device::flex();
    let tracked = device.clone().autodiff();
    for variant in [Variant::V1, Variant::V1_5] {
        let network = load(&model_folder(), variant, &device);
        let operations = load(&model_folder(), variant, &tracked);
        // More layers have more of the ReLUs that the comment below speaks of.
        for split in [Split::Stage2, Split::Stage3, Split::Stage4] {
            let picture = input(&golden, &device).narrow(0, 0, 2);
            let feature = network.front(split).forward(picture);
            let tracked_feature =
                Tensor::from_data(feature.clone().into_data(), &tracked).require_grad();
            let answer = operations.tail(split).forward(tracked_feature.clone());
            let direction = answer.clone().detach();
            let gradients = (answer.clone() * direction.clone()).sum().backward();
            let theirs = [
                answer.into_data().try_to_vec::<f32>().unwrap(),
                tracked_feature
                    .grad(&gradients)
                    .unwrap()
                    .into_data()
                    .try_to_vec::<f32>()
                    .unwrap(),
            ];
            // By the processor's kernels, and by operations, which is what a device that wants gradients gets.
            for on in [&device, &tracked] {
                let ours = with_weights(&model_folder(), |weights| {
                    TailGradient::load(variant, split, CLASSES, weights, Precision::Single, on)
                        .unwrap()
                });
                let (logits, trace) =
                    ours.forward(Tensor::from_data(feature.clone().into_data(), on));
                let gradient = trace.backward(Tensor::from_data(direction.clone().into_data(), on));
                let ours = [
                    logits.into_data().try_to_vec::<f32>().unwrap(),
                    gradient.into_data().try_to_vec::<f32>().unwrap(),
                ];
                let what = format!("{variant:?} after {split} on {on:?}");
                let error = relative(&ours[0], &theirs[0]);
                assert!(error < FIXED_POINT, "{what}: logits {error}");
                // A ReLU whose input is zero up to rounding may be open in one form and shut in the other: each of
                // them changes the whole by about a hundredth.
                let length = |values: &mut dyn Iterator<Item = f32>| -> f32 {
                    values.map(|v| v * v).sum::<f32>().sqrt()
                };
                let error = length(&mut ours[1].iter().zip(&theirs[1]).map(|(a, b)| a - b))
                    / length(&mut theirs[1].iter().copied());
                let most = if on.is_autodiff() { 1e-3 } else { 6e-2 };
                assert!(error < most, "{what}: {error}");
            }
        }
    }
}

#[test]
fn a_front_without_some_channels_gives_the_others_as_they_were() {
    let device = Device::flex();
    let network = with_weights(&model_folder(), |weights| {
        trainable::ResNet50::load(Variant::V1, CLASSES, weights, &device).unwrap()
    });
    let input = input(&golden(), &device);
    let channels = [40i64, 3, 17];
    for split in [Split::Stem, Split::Stage1, Split::Stage2] {
        let kept = Tensor::from_data(TensorData::new(channels.to_vec(), [3]), &device);
        let whole = network.front(split).forward(input.clone());
        let expected = whole.select(1, kept.clone());
        let pruned = network.front(split).keeping(&kept).forward(input.clone());
        let difference = (expected - pruned).abs().max().into_scalar::<f32>();
        assert!(difference < 1e-3, "{split}: {difference}");
    }
}

//! Codec files, whole and damaged, and the way of a feature through one.

#![allow(clippy::unwrap_used, reason = "a test may panic, its helpers too")]

use aecnn::codec::{
    CodecError, CodecFile, Decoder, Encoder, Method, Network, Rate, Transform, dequantise, quantise,
};
use aecnn::{Split, Variant};
use burn::tensor::{Device, Tensor, TensorData};
use feature_codec::{Counts, Tables};

const CHANNELS: usize = 64;
const BLOCK: usize = 2;
/// Values in a block.
const VALUES: usize = CHANNELS * BLOCK * BLOCK;

fn rate(name: &str, step: f32, channels: usize) -> Rate {
    let counts = Counts {
        min: -2,
        counts: vec![1, 20, 100, 20, 1],
    };
    Rate {
        name: name.to_owned(),
        step,
        rounding: 0.5,
        reconstruction: vec![step; channels],
        tables: Tables::from_counts(&vec![counts; channels]).unwrap(),
    }
}

/// A codec for the stem whose latent is the block itself, minus a mean of 0.5.
fn identity(rates: Vec<Rate>) -> Result<CodecFile, CodecError> {
    let mut unit = vec![0.0; VALUES * VALUES];
    for i in 0..VALUES {
        unit[i * VALUES + i] = 1.0;
    }
    let transform = Transform {
        feature: Variant::V1.feature_shape(Split::Stem),
        block: BLOCK,
        analysis: unit.clone(),
        analysis_bias: vec![-0.5; VALUES],
        synthesis: unit,
        mean: vec![0.5; VALUES],
        network: Network::default(),
    };
    CodecFile::new(
        "identity".to_owned(),
        Method::Klt,
        "0".repeat(64),
        Split::Stem,
        "nothing".to_owned(),
        transform,
        rates,
    )
}

#[test]
fn a_file_round_trips_and_is_reproducible() {
    let codec = identity(vec![rate("coarse", 1.0, 3), rate("fine", 0.25, VALUES)]).unwrap();
    let bytes = codec.to_bytes(Variant::V1).unwrap();
    let read = CodecFile::parse(&bytes).unwrap();
    assert_eq!(read.to_bytes(Variant::V1).unwrap(), bytes);
    assert_eq!(read.split, Split::Stem);
    assert_eq!(read.latent_shape(), [VALUES, 28, 28]);
    assert_eq!(read.rates.len(), 2);
    assert_eq!(read.rates[0].channels(), 3);
    assert_eq!(read.rates[1].step, 0.25);
    assert_eq!(read.rates[1].tables, codec.rates[1].tables);
}

#[test]
fn damage_is_found() {
    let codec = identity(vec![rate("only", 1.0, 3)]).unwrap();
    let bytes = codec.to_bytes(Variant::V1).unwrap();
    for at in [bytes.len() - 1, bytes.len() / 2, bytes.len() / 3] {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1;
        assert!(
            matches!(CodecFile::parse(&damaged), Err(CodecError::Digest { .. })),
            "byte {at}"
        );
    }
    for length in [0, 7, 8, 100, bytes.len() - 1] {
        assert!(
            CodecFile::parse(&bytes[..length]).is_err(),
            "{length} bytes"
        );
    }
    let other = safetensors::serialize(
        Vec::<(&str, safetensors::tensor::TensorView<'_>)>::new(),
        None,
    );
    assert!(matches!(
        CodecFile::parse(&other.unwrap()),
        Err(CodecError::NoMetadata)
    ));
}

#[test]
fn contradictions_are_refused() {
    assert!(matches!(
        identity(Vec::new()),
        Err(CodecError::Inconsistent(_))
    ));
    let mut bad = rate("bad", 1.0, 3);
    bad.reconstruction.push(1.0);
    assert!(matches!(
        identity(vec![bad]),
        Err(CodecError::Inconsistent(_))
    ));
    for step in [0.0, -1.0, f32::NAN, f32::INFINITY] {
        assert!(matches!(
            identity(vec![rate("bad", step, 3)]),
            Err(CodecError::Inconsistent(_))
        ));
    }
}

#[test]
fn quantising_has_a_dead_zone_and_bounds() {
    let mut rate = rate("dead zone", 2.0, 1);
    rate.rounding = 0.25;
    let latent = [0.0, 1.4, 1.5, -1.5, -3.4, -3.6, f32::NAN, 1e30, -1e30];
    assert_eq!(
        quantise(&latent, &rate, latent.len()),
        [0, 0, 1, -1, -1, -2, 0, i16::MAX, i16::MIN]
    );
}

#[test]
fn a_feature_comes_back_within_half_a_step() {
    let device = Device::flex();
    let step = 0.25;
    let codec = identity(vec![rate("all", step, VALUES)]).unwrap();
    let shape = [2, CHANNELS, 56, 56];
    let values: Vec<f32> = (0..shape.iter().product::<usize>())
        .map(|i| (i.wrapping_mul(2_654_435_761) % 1000) as f32 / 250.0)
        .collect();
    let feature = Tensor::<4>::from_data(TensorData::new(values.clone(), shape), &device);
    let latents = Encoder::new(&codec, &device)
        .unwrap()
        .forward(feature)
        .into_data()
        .try_to_vec::<f32>()
        .unwrap();

    let rate = &codec.rates[0];
    let positions = codec.positions();
    let decoder = Decoder::new(&codec, &device).unwrap();
    let restored: Vec<f32> = latents
        .chunks(decoder.latent_values())
        .flat_map(|latent| {
            let symbols = quantise(latent, rate, positions);
            let payload = rate.tables.encode(&symbols, VALUES, positions).unwrap();
            let decoded = rate.tables.decode(&payload, VALUES, positions).unwrap();
            assert_eq!(decoded, symbols);
            dequantise(&decoded, rate, positions, VALUES)
        })
        .collect();
    let feature = decoder.restore(restored, vec![step; 2], &device);
    assert_eq!(feature.dims(), shape);
    for (ours, theirs) in feature
        .into_data()
        .try_to_vec::<f32>()
        .unwrap()
        .iter()
        .zip(&values)
    {
        assert!(
            (ours - theirs).abs() <= step / 2.0 + 1e-6,
            "{ours} {theirs}"
        );
    }
}

#[test]
fn channels_that_were_not_sent_are_zero() {
    let rate = rate("prefix", 0.5, 2);
    let latent = dequantise(&[4, -2, 6, 0], &rate, 2, 3);
    assert_eq!(latent, [2.0, -1.0, 3.0, 0.0, 0.0, 0.0]);
}

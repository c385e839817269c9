//! Codec files, whole and damaged, and the way of a feature through one.

#![allow(clippy::unwrap_used, reason = "a test may panic, its helpers too")]

use aecnn::codec::{
    CodecError, CodecFile, Decoder, Encoder, Method, Network, NetworkConfig, Rate, Transform,
    dequantise, quantise, tensors,
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
    with_network(rates, Network::default())
}

fn with_network(rates: Vec<Rate>, network: Network) -> Result<CodecFile, CodecError> {
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
        network,
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

/// Every kind of network, with `value` in all weights.
fn network(value: f32) -> Network {
    let config = NetworkConfig {
        attention: 3,
        gain: true,
        prepare_blocks: 2,
        prepare_hidden: 4,
        refine_blocks: 2,
        refine_hidden: 5,
    };
    let tensors = config
        .tensors(CHANNELS, [VALUES, 28, 28])
        .into_iter()
        .map(|(name, shape)| (name, vec![value; shape.iter().product()]))
        .collect();
    Network { config, tensors }
}

fn feature(device: &Device) -> Tensor<4> {
    let shape = [2, CHANNELS, 56, 56];
    let values: Vec<f32> = (0..shape.iter().product::<usize>())
        .map(|i| (i.wrapping_mul(2_654_435_761) % 1000) as f32 / 250.0)
        .collect();
    Tensor::from_data(TensorData::new(values, shape), device)
}

fn values(tensor: Tensor<4>) -> Vec<f32> {
    tensor.into_data().try_to_vec().unwrap()
}

#[test]
fn networks_round_trip_with_the_codec() {
    let codec = with_network(vec![rate("only", 1.0, 3)], network(0.25)).unwrap();
    let bytes = codec.to_bytes(Variant::V1).unwrap();
    let read = CodecFile::parse(&bytes).unwrap();
    assert_eq!(read.to_bytes(Variant::V1).unwrap(), bytes);
    let (ours, theirs) = (&codec.transform().network, &read.transform().network);
    assert_eq!(theirs.config, ours.config);
    assert_eq!(theirs.tensors, ours.tensors);
}

#[test]
fn the_device_half_encodes_alike_and_restores_nothing() {
    let device = Device::flex();
    let codec = with_network(vec![rate("only", 1.0, 3)], network(0.25)).unwrap();
    let digest = "7".repeat(64);
    let bytes = codec.device_half(digest.clone());
    let bytes = bytes.to_bytes(Variant::V1).unwrap();
    let half = CodecFile::parse(&bytes).unwrap();
    assert_eq!((codec.half_of(), half.half_of()), (None, Some(&*digest)));
    assert_eq!(half.to_bytes(Variant::V1).unwrap(), bytes);
    assert!(bytes.len() < codec.to_bytes(Variant::V1).unwrap().len());

    let latent = |codec: &CodecFile| {
        let encoder = Encoder::new(codec, &device).unwrap();
        values(encoder.forward(feature(&device)))
    };
    assert_eq!(latent(&half), latent(&codec));
    assert_eq!(half.rates[0].tables, codec.rates[0].tables);
    let refused = Decoder::new(&half, &device).unwrap_err();
    assert!(matches!(refused, CodecError::DeviceHalf), "{refused}");
}

/// Weights without a pattern, small enough that nothing explodes.
fn noisy_network() -> Network {
    let mut network = network(0.0);
    for (seed, values) in network.tensors.values_mut().enumerate() {
        for (i, value) in values.iter_mut().enumerate() {
            let noise = (i as u32 ^ ((seed as u32) << 20)).wrapping_mul(2_654_435_761) as i32;
            *value = 0.05 * noise as f32 / i32::MAX as f32;
        }
    }
    network
}

fn assert_close(ours: &[f32], theirs: &[f32], within: f32) {
    assert_eq!(ours.len(), theirs.len());
    for (ours, theirs) in ours.iter().zip(theirs) {
        assert!((ours - theirs).abs() <= within, "{ours} {theirs}");
    }
}

#[test]
fn kernels_and_tensors_agree() {
    let device = Device::flex();
    let rates = || vec![rate("only", 0.5, VALUES)];
    for network in [Network::default(), noisy_network()] {
        let codec = with_network(rates(), network).unwrap();
        let encoder = Encoder::new(&codec, &device).unwrap();
        let plain = tensors::Encoder::new(&codec, &device).unwrap();
        let latent = values(plain.forward(feature(&device)));
        assert_close(&values(encoder.forward(feature(&device))), &latent, 2e-3);
        for channels in [1, 64, 70, VALUES, 2 * VALUES] {
            let some = encoder.first(feature(&device), channels);
            let channels = channels.min(VALUES);
            assert_eq!(some.dims(), [2, channels, 28, 28]);
            let length = channels * 28 * 28;
            let wanted: Vec<f32> = (latent.chunks(VALUES * 28 * 28))
                .flat_map(|picture| &picture[..length])
                .copied()
                .collect();
            assert_close(&values(some), &wanted, 2e-3);
        }

        let decoder = Decoder::new(&codec, &device).unwrap();
        let plain = tensors::Decoder::new(&codec, &device).unwrap();
        let of = |values: Vec<f32>, shape: [usize; 4]| {
            Tensor::<4>::from_data(TensorData::new(values, shape), &device)
        };
        let steps = vec![0.5, 2.0];
        let feature = values(plain.forward(
            of(latent.clone(), [2, VALUES, 28, 28]),
            &of(steps.clone(), [2, 1, 1, 1]),
        ));
        assert_close(&values(decoder.restore(latent, steps)), &feature, 5e-3);
        assert_eq!(decoder.restore(vec![], vec![]).dims()[0], 0);
    }
}

#[test]
fn what_is_not_a_number_stays_that() {
    let device = Device::flex();
    let codec = identity(vec![rate("only", 0.5, VALUES)]).unwrap();
    let mut broken = values(feature(&device));
    broken[0] = f32::NAN;
    broken[1] = f32::INFINITY;
    let broken = TensorData::new(broken, [2, CHANNELS, 56, 56]);
    let encoder = Encoder::new(&codec, &device).unwrap();
    let latent = values(encoder.forward(Tensor::from_data(broken, &device)));
    assert!(latent[0].is_nan());
    // The second picture has none.
    assert!(
        latent[latent.len() / 2..]
            .iter()
            .all(|value| value.is_finite())
    );
    let decoder = Decoder::new(&codec, &device).unwrap();
    let feature = decoder.restore(vec![f32::INFINITY; VALUES * 28 * 28], vec![0.5]);
    assert_eq!(feature.dims(), [1, CHANNELS, 56, 56]);
}

#[test]
fn untrained_networks_change_nothing() {
    let device = Device::flex();
    let plain = identity(vec![rate("only", 0.5, VALUES)]).unwrap();
    let codec = with_network(vec![rate("only", 0.5, VALUES)], network(0.0)).unwrap();
    let encode = |codec: &CodecFile| {
        let encoder = Encoder::new(codec, &device).unwrap();
        values(encoder.forward(feature(&device)))
    };
    assert_eq!(encode(&codec), encode(&plain));
    let decode = |codec: &CodecFile| {
        let decoder = Decoder::new(codec, &device).unwrap();
        values(decoder.restore(encode(codec), vec![0.5; 2]))
    };
    assert_eq!(decode(&codec), decode(&plain));
}

#[test]
fn attention_scales_the_latent_and_refinement_depends_on_the_step() {
    let device = Device::flex();
    let mut wide = network(0.0);
    let open = |bias: f32, network: &mut Network| {
        let name = "attention.expand.bias".to_owned();
        network.tensors.insert(name, vec![bias; VALUES]);
    };
    open(100.0, &mut wide);
    let plain = identity(vec![rate("only", 0.5, VALUES)]).unwrap();
    let codec = with_network(vec![rate("only", 0.5, VALUES)], wide).unwrap();
    let latent = |codec: &CodecFile| {
        let encoder = Encoder::new(codec, &device).unwrap();
        values(encoder.forward(feature(&device)))
    };
    for (gated, plain) in latent(&codec).iter().zip(latent(&plain)) {
        assert!((gated - 2.0 * plain).abs() < 1e-4, "{gated} {plain}");
    }

    let codec = with_network(vec![rate("only", 0.5, VALUES)], network(0.01)).unwrap();
    let decoder = Decoder::new(&codec, &device).unwrap();
    let restored = |step| values(decoder.restore(latent(&plain), vec![step; 2]));
    assert_ne!(restored(0.5), restored(1.0));
}

#[test]
fn networks_that_do_not_fit_are_refused() {
    let refuse = |change: &dyn Fn(&mut Network)| {
        let mut network = network(0.0);
        change(&mut network);
        assert!(matches!(
            with_network(vec![rate("only", 1.0, 3)], network),
            Err(CodecError::Inconsistent(_))
        ));
    };
    refuse(&|network| {
        network.tensors.remove("refine.1.step");
    });
    refuse(&|network| {
        network
            .tensors
            .insert("analysis.gain".to_owned(), vec![0.0; 3]);
    });
    refuse(&|network| network.config.attention = usize::MAX);
    refuse(&|network| network.config.refine_blocks = 1000);
    refuse(&|network| network.config.refine_hidden = 0);
    refuse(&|network| network.config.prepare_blocks = 1000);
    refuse(&|network| network.config.prepare_hidden = 0);
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
    let feature = feature(&device);
    let (shape, wanted) = (feature.dims(), values(feature.clone()));
    let latents = values(Encoder::new(&codec, &device).unwrap().forward(feature));

    let rate = &codec.rates[0];
    let positions = codec.positions();
    let geometry = codec.geometry(VALUES);
    let decoder = Decoder::new(&codec, &device).unwrap();
    let restored: Vec<f32> = latents
        .chunks(decoder.latent_values())
        .flat_map(|latent| {
            let symbols = quantise(latent, rate, positions);
            let payload = rate.tables.encode(&symbols, geometry).unwrap();
            let decoded = rate.tables.decode(&payload, geometry).unwrap();
            assert_eq!(decoded, symbols);
            dequantise(&decoded, rate, positions, VALUES)
        })
        .collect();
    let feature = decoder.restore(restored, vec![step; 2]);
    assert_eq!(feature.dims(), shape);
    for (ours, theirs) in values(feature).iter().zip(&wanted) {
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

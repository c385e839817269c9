//! From the trained module to a codec file: frozen tables, measured rates, the manifest.

use aecnn::codec::{CodecFile, Encoder, Method};
use aecnn::resnet::ResNet50;
use anyhow::Result;
use burn::tensor::Device;

use super::TrainRateArgs;
use super::model::RateCodec;
use super::pictures::Pictures;
use crate::data::Loader;
use crate::klt::rates::{Quantiser, Vigour, components_of, rate};
use crate::measure::BATCH;
use crate::model::ModelFolder;
use crate::progress::bar;
use crate::publish::publish;

pub(super) fn write(
    args: &TrainRateArgs,
    folder: &mut ModelFolder,
    network: &ResNet50,
    start: &CodecFile,
    codec: &RateCodec,
    pictures: &Pictures,
    device: &Device,
) -> Result<()> {
    let config = args.network.config();
    let transform = codec.transform(start.transform(), start.latent_shape(), config)?;
    // The paper's channels stay the paper's; whatever else was trained for rate is no longer what it began as.
    let method = match start.method {
        Method::Paper => Method::Paper,
        Method::Klt | Method::Aecnn => Method::Aecnn,
    };
    let name = args
        .name
        .clone()
        .unwrap_or_else(|| format!("{}-{}", method.name(), start.split));
    let build = |rates| {
        CodecFile::new(
            name.clone(),
            method,
            start.model.clone(),
            start.split,
            format!(
                "{} pictures, seed {}, from {}",
                pictures.trained_on(),
                args.seed,
                start.name
            ),
            transform.clone(),
            rates,
        )
    };
    // Tables belong to what a reader of the file computes, half-precision storage included.
    let draft = build(start.rates.clone())?.to_bytes(folder.manifest.variant)?;
    let draft = CodecFile::parse(&draft)?;
    let calibration = pictures.whole(args.calibration, BATCH);
    let latents = latents(folder, network, &draft, calibration, device)?;
    let [_, rows, columns] = start.latent_shape();
    let components = components_of(&latents, start.positions());
    let rates = start
        .rates
        .iter()
        .map(|old| {
            let name = old.name.clone();
            let mut made = rate(
                &latents,
                &components,
                [rows, columns],
                name,
                Quantiser {
                    step: old.step,
                    rounding: old.rounding,
                    vigour: Vigour::NONE,
                },
            )?;
            // Those that were trained with.
            for (new, old) in made.reconstruction.iter_mut().zip(&old.reconstruction) {
                *new = *old;
            }
            Ok(made)
        })
        .collect::<Result<Vec<_>>>()?;
    publish(
        folder,
        network,
        &build(rates)?,
        &pictures.held_out,
        args.default_rate,
        device,
    )
}

/// The latents of pictures of 224x224 pixels.
pub(super) fn latents<'a>(
    folder: &ModelFolder,
    network: &ResNet50,
    codec: &CodecFile,
    batches: impl ExactSizeIterator<Item = &'a [Vec<u8>]>,
    device: &Device,
) -> Result<Vec<Vec<f32>>> {
    let loader = Loader {
        preprocessing: &folder.manifest.preprocessing,
    };
    let encoder = Encoder::new(codec, device)?;
    let front = network.front(codec.split);
    let [k, _, _] = codec.latent_shape();
    let size = k * codec.positions();
    let mut latents = Vec::new();
    let progress = bar(batches.len(), "batches for tables");
    for batch in batches {
        let input = loader.input(batch.iter().map(Vec::as_slice), device);
        let values = encoder
            .forward(front.forward(input))
            .try_into_vec_as::<f32>()?;
        latents.extend(values.chunks(size).map(<[f32]>::to_vec));
        progress.inc(1);
    }
    progress.finish_and_clear();
    Ok(latents)
}

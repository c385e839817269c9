//! Putting a finished codec beside the weights: its file, its measured rates, the manifest.

use aecnn::codec::CodecFile;
use aecnn::manifest::{CodecEntry, RateEntry};
use aecnn::resnet::ResNet50;
use anyhow::Result;
use burn::tensor::Device;

use crate::data::Picture;
use crate::measure::measure_rates;
use crate::model::{ModelFolder, write_file, write_manifest};

/// Writes the codec into the model folder, measures its rates on `held_out` and lists it in the
/// manifest, in the place of one of the same name.
pub(crate) fn publish(
    folder: &mut ModelFolder,
    network: &ResNet50,
    codec: &CodecFile,
    held_out: &[Picture],
    default_rate: usize,
    device: &Device,
) -> Result<()> {
    // What is measured is what a reader of the file gets, half-precision storage included.
    let bytes = codec.to_bytes(folder.manifest.variant)?;
    let codec = CodecFile::parse(&bytes)?;
    let name = &codec.name;
    let file = write_file(&folder.path, format!("{name}.safetensors"), &bytes)?;

    let measured = measure_rates(folder, network, &codec, held_out, device)?;
    let rates: Vec<RateEntry> = codec
        .rates
        .iter()
        .zip(&measured)
        .map(|(rate, measured)| RateEntry {
            name: rate.name.clone(),
            channels: rate.channels(),
            mean_bytes: (measured.mean_bytes * 10.0).round() / 10.0,
            agreement: (measured.agreement * 1000.0).round() / 1000.0,
        })
        .collect();
    for (rate, measured) in rates.iter().zip(&measured) {
        crate::say!(
            "{name} {:>6}: {:>4} channels, {:>7.1} bytes a frame; on {} held-out pictures {:.1} % agreement with the uncompressed network, {:.4} nats from its answer",
            rate.name,
            rate.channels,
            rate.mean_bytes,
            held_out.len(),
            100.0 * rate.agreement,
            measured.divergence
        );
    }
    let path = folder.path.join(&file.file);
    let entry = CodecEntry {
        name: name.clone(),
        method: codec.method.name().to_owned(),
        split: codec.split,
        file,
        device: None,
        default_rate: default_rate.min(rates.len() - 1),
        rates,
    };
    let codecs = &mut folder.manifest.codecs;
    codecs.retain(|codec| codec.name != *name);
    codecs.push(entry);
    codecs.sort_by(|a, b| (a.split, &a.name).cmp(&(b.split, &b.name)));
    write_manifest(&folder.path, &folder.manifest)?;
    crate::say!(
        "wrote {} ({:.2} MB)",
        path.display(),
        bytes.len() as f64 / 1e6
    );
    Ok(())
}

//! Writing a model folder: weights cut at the splits, labels, manifest, model card.

use std::path::Path;

use aecnn::digest::sha256_hex;
use aecnn::manifest::{FORMAT, Manifest, PartEntry, Provenance, VERSION};
use aecnn::resnet::{CLASSES, HEAD, part_names};
use anyhow::{Context, Result, ensure};
use half::f16;
use safetensors::Dtype;
use safetensors::tensor::TensorView;

use super::fold::fold;
use super::preprocessing_of;
use super::source::{Array, Source};
use crate::model::{write_file, write_manifest};

pub(super) fn write(
    source: &Source,
    source_bytes: &[u8],
    source_path: &Path,
    out: &Path,
    fp32: bool,
) -> Result<Manifest> {
    ensure!(
        source.labels.len() == CLASSES,
        "the weights come without class names; give them with --labels FILE"
    );
    std::fs::create_dir_all(out).with_context(|| format!("creating {}", out.display()))?;
    let parts = part_names()
        .into_iter()
        .map(|name| {
            let bytes = part_bytes(&part_tensors(source, name), fp32)?;
            Ok(PartEntry {
                name: name.to_owned(),
                file: write_file(out, format!("{name}.safetensors"), &bytes)?,
            })
        })
        .collect::<Result<Vec<_>>>()?;
    let labels = write_file(
        out,
        "labels.json",
        format!("{}\n", serde_json::to_string_pretty(&source.labels)?).as_bytes(),
    )?;
    let name = out
        .file_name()
        .context("the model folder needs a name")?
        .to_string_lossy()
        .into_owned();
    let mut manifest = Manifest {
        format: FORMAT.to_owned(),
        version: VERSION,
        name,
        variant: source.variant,
        preprocessing: preprocessing_of(source.variant),
        classes: CLASSES,
        parts,
        labels,
        codecs: Vec::new(),
        provenance: Provenance {
            source: source.description.clone(),
            source_sha256: sha256_hex(source_bytes),
            licence: source.licence.clone(),
            attribution: source.attribution.clone(),
        },
        digest: String::new(),
    };
    manifest.digest = manifest.network_digest();
    write_manifest(out, &manifest)?;
    write_file(
        out,
        "README.md",
        card(source, &manifest, source_path, fp32).as_bytes(),
    )?;
    Ok(manifest)
}

/// The tensors of the part called `part`, batch norms folded.
fn part_tensors(source: &Source, part: &str) -> Vec<(String, Array)> {
    if part == HEAD {
        let bias = Array {
            shape: vec![source.head_bias.len()],
            values: source.head_bias.clone(),
        };
        return vec![
            ("head.weight".to_owned(), source.head.clone()),
            ("head.bias".to_owned(), bias),
        ];
    }
    source
        .layers
        .iter()
        .filter(|(name, _)| name.split('.').next() == Some(part))
        .flat_map(|(name, layer)| {
            let (kernel, bias) = fold(layer);
            let bias = Array {
                shape: vec![bias.len()],
                values: bias,
            };
            [
                (format!("{name}.weight"), kernel),
                (format!("{name}.bias"), bias),
            ]
        })
        .collect()
}

/// A safetensors file: kernels in half precision (unless `fp32`), biases in single.
pub(crate) fn part_bytes(tensors: &[(String, Array)], fp32: bool) -> Result<Vec<u8>> {
    let encoded: Vec<(Dtype, Vec<u8>)> = tensors
        .iter()
        .map(|(name, array)| {
            if fp32 || name.ends_with(".bias") {
                let bytes = array.values.iter().flat_map(|v| v.to_le_bytes()).collect();
                (Dtype::F32, bytes)
            } else {
                let halves = array.values.iter().map(|v| f16::from_f32(*v));
                (Dtype::F16, halves.flat_map(f16::to_le_bytes).collect())
            }
        })
        .collect();
    let views = tensors
        .iter()
        .zip(&encoded)
        .map(|((name, array), (dtype, bytes))| {
            Ok((name, TensorView::new(*dtype, array.shape.clone(), bytes)?))
        })
        .collect::<Result<Vec<_>>>()?;
    Ok(safetensors::serialize(views, None)?)
}

fn card(source: &Source, manifest: &Manifest, source_path: &Path, fp32: bool) -> String {
    let parts: String = manifest
        .parts
        .iter()
        .map(|part| {
            format!(
                "| `{}` | {:.2} | `{}` |\n",
                part.file.file,
                part.file.bytes as f64 / 1e6,
                part.file.sha256
            )
        })
        .collect();
    let preprocessing = &manifest.preprocessing;
    format!(
        "# {name}\n\n\
         ResNet-50 ({variant:?}) for the 1,000 classes of ImageNet-1k, batch norms folded into the convolutions, \
         kernels in {precision} precision, cut at the splits.\n\n\
         - Source: {source}\n\
         - SHA-256 of what was imported: `{digest}`\n\
         - Licence of the weights: {licence}\n\
         - Attribution: {attribution}\n\
         - Input: the central square of {crop} times the shorter side, resampled to 224x224; planes in {order:?} order; \
         `(byte * {scale} - mean) / std` with mean {mean:?} and std {std:?}\n\
         - Made by: `cargo run --release -p trainer -- import {file}`\n\
         - Intended use: recognising the main object of a photograph. The classes and their biases are those of ImageNet; \
         nothing should be decided about people by it.\n\n\
         | part | MB | SHA-256 |\n|---|---|---|\n{parts}\n\
         How accurate it is, and what the codecs beside it cost, stands in the project's README and `docs/`.\n",
        name = manifest.name,
        variant = manifest.variant,
        precision = if fp32 { "single" } else { "half" },
        source = source.description,
        digest = manifest.provenance.source_sha256,
        licence = source.licence,
        attribution = source.attribution,
        crop = preprocessing.crop,
        order = preprocessing.order,
        scale = preprocessing.scale,
        mean = preprocessing.mean,
        std = preprocessing.std,
        file = source_path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy(),
    )
}

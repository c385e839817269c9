//! The front of the network and a codec, ready to run.

use std::sync::Arc;

use aecnn::codec::{CodecFile, Encoder, Rate};
use aecnn::digest::sha256_hex;
use aecnn::manifest::Manifest;
use aecnn::preprocess::Preprocessing;
use aecnn::resnet::{Front, front_parts};
use aecnn::weights::Weights;
use aecnn::{FeatureShape, Recorded, Split};
use burn::tensor::{Device, Tensor};

use crate::error::DeviceError;
use crate::strips::{Purpose, Shared};

/// What a front and a codec are made from.
#[derive(Debug, Clone, Copy)]
pub struct ModelFiles<'a> {
    /// The model's `manifest.json`.
    pub manifest: &'a [u8],
    /// The parts of the weights by name; those that the front does not need are ignored, and none is needed where it
    /// is loaded already.
    pub parts: &'a [(String, Vec<u8>)],
    /// The codec file.
    pub codec: &'a [u8],
}

/// A front and an encoder on a backend, checked to belong together.
#[derive(Debug)]
pub struct LoadedModel {
    pub(crate) preprocessing: Preprocessing,
    pub(crate) front: Front,
    purpose: Purpose,
    pub(crate) encoder: Arc<Encoder>,
    /// From input to latent in one piece.
    latent: Recorded<4>,
    pub(crate) codec: CodecFile,
    pub(crate) device: Device,
    feature: FeatureShape,
    model_digest: String,
    codec_digest: String,
}

impl LoadedModel {
    /// Checks the codec file against `front`, which is that of `split` and was loaded for `purpose`, and puts its encoder on
    /// `device`.
    ///
    /// # Errors
    ///
    /// When the file is damaged, or belongs to another model or split.
    pub fn new(
        manifest: &Manifest,
        split: Split,
        (purpose, front): (Purpose, Front),
        codec: &[u8],
        device: &Device,
    ) -> Result<Self, DeviceError> {
        let bytes = codec;
        let codec = CodecFile::parse(bytes)?;
        let codec_digest = (codec.half_of()).map_or_else(|| sha256_hex(bytes), str::to_owned);
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
        let encoder = Arc::new(Encoder::new(&codec, device)?);
        let (its_front, its_encoder) = (front.clone(), Arc::clone(&encoder));
        Ok(Self {
            front,
            purpose,
            encoder,
            latent: Recorded::new(move |input| its_encoder.forward(its_front.forward(input))),
            feature: manifest.variant.feature_shape(split),
            preprocessing: manifest.preprocessing.clone(),
            device: device.clone(),
            model_digest: manifest.digest.clone(),
            codec_digest,
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

    /// What the front was loaded for.
    pub(crate) fn purpose(&self) -> Purpose {
        self.purpose
    }

    /// What the network expects of a picture.
    #[must_use]
    pub fn preprocessing(&self) -> &Preprocessing {
        &self.preprocessing
    }

    /// The shape of the feature that is encoded.
    #[must_use]
    pub fn feature(&self) -> FeatureShape {
        self.feature
    }

    /// The network's input to the latent's first `channels`, in one piece: all of them are computed, so that there is one recording for all rates.
    pub(crate) fn latent(&self, input: Tensor<4>, channels: usize) -> Tensor<4> {
        self.latent.run(input).narrow(1, 0, channels)
    }

    /// The front, to be shared with helpers.
    pub(crate) fn shared(&self) -> Shared<'_> {
        Shared {
            front: &self.front,
            split: self.split(),
            purpose: self.purpose,
            shape: self.feature,
            device: &self.device,
        }
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

/// The front of `split` for `purpose`, of parts that are the files that the manifest names.
///
/// # Errors
///
/// When a part is missing or damaged.
pub fn load_front(
    manifest: &Manifest,
    split: Split,
    purpose: Purpose,
    parts: &[(String, Vec<u8>)],
    device: &Device,
) -> Result<Front, DeviceError> {
    let parts = front_parts(split)
        .into_iter()
        .map(|name| check_part(manifest, name, parts).map(|bytes| (name, bytes)))
        .collect::<Result<Vec<_>, _>>()?;
    let weights = Weights::read(&parts)?;
    let precision = purpose.precision();
    Ok(Front::load(
        manifest.variant,
        split,
        &weights,
        precision,
        device,
    )?)
}

/// The part `name`, which is the file that the manifest names.
///
/// # Errors
///
/// When it is missing or damaged.
pub fn check_part<'a>(
    manifest: &Manifest,
    name: &str,
    parts: &'a [(String, Vec<u8>)],
) -> Result<&'a [u8], DeviceError> {
    let missing = |place| {
        DeviceError::Mismatch(format!(
            "the part `{name}`, which the network needs, is not among the {place}"
        ))
    };
    let (_, bytes) = parts
        .iter()
        .find(|(given, _)| given == name)
        .ok_or_else(|| missing("files given"))?;
    let entry = manifest.part(name).ok_or_else(|| missing("manifest's"))?;
    entry.file.check(bytes)?;
    Ok(bytes)
}

//! Pictures to frames, natively, by the code of the browser's device.

use std::path::{Path, PathBuf};

use aecnn::digest::sha256_hex;
use aecnn::manifest::Manifest;
use aecnn::resnet::front_parts;
use burn::tensor::Device;
use device_wasm::encode::{FrameSettings, Picture, encode_picture};
use device_wasm::error::DeviceError;
use device_wasm::model::{LoadedModel, load_front};
use device_wasm::strips::Purpose;
use image::RgbaImage;
use wire::{CodecInfo, Hello};

/// What a [`NativeDevice`] encodes with.
#[derive(Debug, Clone, Default)]
pub struct Choice {
    /// The codec's name in the model's manifest; the first of the manifest when absent.
    pub codec: Option<String>,
    /// The rate's index in the codec; the codec's default when absent.
    pub rate: Option<u8>,
}

/// A device that could not be set up, or could not encode.
#[derive(Debug, thiserror::Error)]
pub enum NativeError {
    /// A file of the model cannot be read.
    #[error("{path} cannot be read: {why}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        why: std::io::Error,
    },
    /// The manifest is not usable.
    #[error(transparent)]
    Manifest(#[from] aecnn::manifest::ManifestError),
    /// The model has no such codec.
    #[error("the model has no codec `{name}`; it has {known}")]
    Codec {
        /// The name that was given.
        name: String,
        /// Those that there are.
        known: String,
    },
    /// The front or the codec does not load, or does not run.
    #[error(transparent)]
    Device(#[from] DeviceError),
}

/// A front of the network and a codec on this machine's processor.
#[derive(Debug)]
pub struct NativeDevice {
    model: LoadedModel,
    rate: u8,
}

impl NativeDevice {
    /// Loads the front and the codec from a model's folder (such as `models/resnet50-imagenet`),
    /// after checking each file's digest.
    ///
    /// # Errors
    ///
    /// When a file is missing or damaged, or there is no such codec or rate.
    pub fn load(folder: &Path, choice: &Choice) -> Result<Self, NativeError> {
        let read = |file: &str| {
            let path = folder.join(file);
            std::fs::read(&path).map_err(|why| NativeError::Read { path, why })
        };
        let json = read("manifest.json")?;
        let manifest = Manifest::parse(&json)?;
        let known = || {
            let names: Vec<_> = manifest.codecs.iter().map(|c| c.name.as_str()).collect();
            names.join(", ")
        };
        let entry = match &choice.codec {
            Some(name) => manifest.codecs.iter().find(|codec| codec.name == *name),
            None => manifest.codecs.first(),
        };
        let entry = entry.ok_or_else(|| NativeError::Codec {
            name: choice.codec.clone().unwrap_or_default(),
            known: known(),
        })?;
        let mut parts = Vec::new();
        for name in front_parts(entry.split) {
            if let Some(part) = manifest.part(name) {
                parts.push((name.to_owned(), read(&part.file.file)?));
            }
        }
        let codec = read(&entry.file.file)?;
        if sha256_hex(&codec) != entry.file.sha256 {
            entry.file.check(&codec)?;
        }
        let device = Device::flex();
        let front = load_front(&manifest, entry.split, Purpose::Codec, &parts, &device)?;
        let front = (Purpose::Codec, front);
        let model = LoadedModel::new(&manifest, entry.split, front, &codec, &device)?;
        let rate = choice
            .rate
            .unwrap_or(u8::try_from(entry.default_rate).unwrap_or(u8::MAX));
        model.rate(rate)?;
        Ok(Self { model, rate })
    }

    /// The first message of a session.
    #[must_use]
    pub fn hello(&self, client: &str) -> Hello {
        Hello {
            client: client.to_owned(),
            model: self.model.model_digest().to_owned(),
            codec: self.model.codec_digest().to_owned(),
            split: self.model.split().as_u8(),
            rate: self.rate,
            top_k: None,
            backend: Some("cpu (native)".to_owned()),
        }
    }

    /// The codec's name.
    #[must_use]
    pub fn codec(&self) -> &str {
        self.model.codec_name()
    }

    /// A picture to a frame: preprocess, front, encode, quantise, entropy-code. `codec` is what
    /// the server's welcome says of [`Hello::codec`].
    ///
    /// # Errors
    ///
    /// When the picture has no pixels, or the network does not run.
    pub async fn encode(
        &self,
        picture: &RgbaImage,
        codec: &CodecInfo,
        sequence: u32,
        capture_time_us: u64,
    ) -> Result<Vec<u8>, NativeError> {
        let picture = Picture {
            rgba: picture.as_raw(),
            width: picture.width(),
            height: picture.height(),
        };
        let settings = FrameSettings {
            codec_id: codec.id,
            rate: self.rate,
            channels: None,
            sequence,
            capture_time_us,
            profiling: false,
        };
        let encoded = encode_picture(&self.model, picture, settings, None).await?;
        Ok(encoded.message)
    }
}

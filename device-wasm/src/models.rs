//! What the device has loaded: fronts, codecs, and maybe the whole network; all of one model.

use std::rc::Rc;

use aecnn::Split;
use aecnn::manifest::Manifest;
use aecnn::resnet::Front;
use burn::tensor::Device;

use crate::error::DeviceError;
use crate::model::{LoadedModel, ModelFiles, load_front};
use crate::offload::{Candidate, of_codec, of_device, of_pictures};
use crate::strips::Purpose;
use crate::way::Way;
use crate::whole::Whole;

/// What is loaded. Empty at first.
#[derive(Debug, Default)]
pub struct Models {
    manifest: Option<Manifest>,
    /// Each for [`Purpose::Codec`].
    fronts: Vec<(Split, Front)>,
    codecs: Vec<Rc<LoadedModel>>,
    whole: Option<Rc<Whole>>,
}

impl Models {
    /// Loads a codec and, unless it is there, the front of its split: for that `files` must have the parts. A
    /// manifest of another network replaces all that is loaded. Returns the codec with its front.
    ///
    /// # Errors
    ///
    /// When a file is missing, damaged, or belongs to another model or split; then nothing has changed.
    pub fn load(
        &mut self,
        split: Split,
        files: &ModelFiles<'_>,
        device: &Device,
    ) -> Result<Rc<LoadedModel>, DeviceError> {
        let manifest = Manifest::parse(files.manifest)?;
        let same = (self.manifest.as_ref()).is_some_and(|known| known.digest == manifest.digest);
        let front = match self.front(split).filter(|_| same) {
            Some(front) => front,
            None => {
                let purpose = Purpose::Codec;
                let front = load_front(&manifest, split, purpose, files.parts, device)?;
                (purpose, front)
            }
        };
        let model = LoadedModel::new(&manifest, split, front.clone(), files.codec, device)?;
        if !same {
            *self = Self::default();
        }
        if self.front(split).is_none() {
            let (_, front) = front;
            self.fronts.push((split, front));
        }
        self.manifest = Some(manifest);
        Ok(self.keep(model))
    }

    /// Loads another codec of a split whose front is there.
    ///
    /// # Errors
    ///
    /// [`DeviceError::WayNotLoaded`] when it is not; when the file is damaged or belongs to another model.
    pub fn add_codec(
        &mut self,
        split: Split,
        codec: &[u8],
        device: &Device,
    ) -> Result<Rc<LoadedModel>, DeviceError> {
        let manifest = self.manifest.as_ref().ok_or(DeviceError::NotLoaded)?;
        let front = self.front(split).ok_or_else(|| {
            DeviceError::WayNotLoaded(format!("the network's front up to {split}"))
        })?;
        let model = LoadedModel::new(manifest, split, front, codec, device)?;
        Ok(self.keep(model))
    }

    /// Loads the whole network. Fronts of every split are there from then on.
    ///
    /// # Errors
    ///
    /// When nothing was loaded before, or a file is missing or damaged.
    pub fn load_whole(
        &mut self,
        parts: &[(String, Vec<u8>)],
        labels: &[u8],
        device: &Device,
    ) -> Result<Rc<Whole>, DeviceError> {
        let manifest = self.manifest.as_ref().ok_or(DeviceError::NotLoaded)?;
        let whole = Rc::new(Whole::new(manifest, parts, labels, device)?);
        self.whole = Some(Rc::clone(&whole));
        Ok(whole)
    }

    /// The codec with this name and its front.
    ///
    /// # Errors
    ///
    /// [`DeviceError::WayNotLoaded`] when it is not loaded.
    pub fn codec(&self, name: &str) -> Result<Rc<LoadedModel>, DeviceError> {
        self.codecs
            .iter()
            .find(|model| model.codec_name() == name)
            .cloned()
            .ok_or_else(|| DeviceError::WayNotLoaded(format!("the codec `{name}`")))
    }

    /// The whole network.
    ///
    /// # Errors
    ///
    /// [`DeviceError::WayNotLoaded`] when it is not loaded.
    pub fn whole(&self) -> Result<Rc<Whole>, DeviceError> {
        self.whole
            .clone()
            .ok_or_else(|| DeviceError::WayNotLoaded("the whole network".to_owned()))
    }

    /// Whether a frame can go this way, as far as it is for this device to say.
    ///
    /// # Errors
    ///
    /// [`DeviceError::WayNotLoaded`], or [`DeviceError::InvalidArgument`] for a rate, a quality or a number of
    /// channels that does not exist.
    pub fn check(&self, way: &Way) -> Result<(), DeviceError> {
        way.clone().checked()?;
        match way {
            Way::Features {
                codec,
                rate,
                channels,
            } => {
                let model = self.codec(codec)?;
                let most = model.rate(*rate)?.channels();
                match channels {
                    Some(channels) if usize::from(*channels) > most => {
                        Err(DeviceError::InvalidArgument(format!(
                            "{channels} channels; this rate has 1 to {most}"
                        )))
                    }
                    _ => Ok(()),
                }
            }
            Way::Picture { .. } => Ok(()),
            Way::Device => self.whole().map(|_| ()),
        }
    }

    /// Every way that a frame can go; with `pictures`, the bytes that a server takes of one, only where there is a
    /// server.
    #[must_use]
    pub fn candidates(&self, pictures: Option<u32>) -> Vec<Candidate> {
        let mut candidates = Vec::new();
        if let (Some(manifest), Some(limit)) = (&self.manifest, pictures) {
            let loaded = manifest
                .codecs
                .iter()
                .filter(|entry| self.codec(&entry.name).is_ok());
            candidates.extend(loaded.flat_map(of_codec));
            candidates.extend(of_pictures(limit));
        }
        if self.whole.is_some() {
            candidates.push(of_device());
        }
        candidates
    }

    /// Whether the front of `split` is there.
    #[must_use]
    pub fn has_front(&self, split: Split) -> bool {
        self.whole.is_some() || self.fronts.iter().any(|(of, _)| *of == split)
    }

    /// One that was loaded for a codec, which may be faster, or else a part of the whole network.
    fn front(&self, split: Split) -> Option<(Purpose, Front)> {
        let own = self.fronts.iter().find(|(of, _)| *of == split);
        own.map(|(_, front)| (Purpose::Codec, front.clone()))
            .or_else(|| {
                let whole = self.whole.as_ref()?;
                Some((Purpose::Whole, whole.front(split)))
            })
    }

    fn keep(&mut self, model: LoadedModel) -> Rc<LoadedModel> {
        let model = Rc::new(model);
        self.codecs
            .retain(|other| other.codec_name() != model.codec_name());
        self.codecs.push(Rc::clone(&model));
        model
    }
}

//! What a name of the protocol stands for.

use aecnn::{FeatureShape, Split};
use serde_json::{Value, json};

use crate::catalogue::{Catalogue, Model};
use crate::engine::CodecId;
use crate::error::Refusal;

/// The only version of everything.
pub(super) const VERSION: &str = "1";

/// What is taken under one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Offer {
    /// The name.
    pub(super) name: String,
    /// Index of the model in the catalogue.
    pub(super) model: usize,
    /// What comes in.
    pub(super) takes: Takes,
}

/// What comes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Takes {
    /// `picture`: JPEG, PNG or WebP files.
    Pictures,
    /// `feature`: features of this split, not compressed.
    Features(Split),
    /// `frame`: coded features with their headers, as a device sends them.
    Frames(CodecId),
}

impl Offer {
    /// What `name` stands for.
    pub(super) fn find(catalogue: &Catalogue, name: &str) -> Option<Self> {
        let offer = |model, takes| {
            Some(Self {
                name: name.to_owned(),
                model,
                takes,
            })
        };
        if let Some(model) = catalogue.by_name(name) {
            return offer(model, Takes::Pictures);
        }
        let (model, part) = name.rsplit_once('.')?;
        let index = catalogue.by_name(model)?;
        if let Ok(split) = part.parse() {
            return offer(index, Takes::Features(split));
        }
        let codecs = &catalogue.model(index)?.manifest.codecs;
        let codec = codecs.iter().position(|codec| codec.name == part)?;
        offer(
            index,
            Takes::Frames(CodecId {
                model: index,
                codec,
            }),
        )
    }

    /// The name of the input.
    pub(super) fn input(&self) -> &'static str {
        match self.takes {
            Takes::Pictures => "picture",
            Takes::Features(_) => "feature",
            Takes::Frames(_) => "frame",
        }
    }

    /// The model's metadata in the protocol's form.
    pub(super) fn metadata(&self, catalogue: &Catalogue) -> Result<Value, Refusal> {
        let model = self.model(catalogue)?;
        let (datatype, shape) = match self.takes {
            Takes::Features(split) => {
                let FeatureShape {
                    channels,
                    height,
                    width,
                } = model.manifest.variant.feature_shape(split);
                ("FP32", json!([-1, channels, height, width]))
            }
            Takes::Pictures | Takes::Frames(_) => ("BYTES", json!([-1])),
        };
        let classes = model.manifest.classes;
        Ok(json!({
            "name": self.name,
            "versions": [VERSION],
            "platform": "aecnn",
            "inputs": [{"name": self.input(), "datatype": datatype, "shape": shape}],
            "outputs": [
                {"name": "probabilities", "datatype": "FP32", "shape": [-1, classes]},
                {"name": "logits", "datatype": "FP32", "shape": [-1, classes]},
            ],
        }))
    }

    /// The model.
    pub(super) fn model<'a>(&self, catalogue: &'a Catalogue) -> Result<&'a Model, Refusal> {
        let gone = || Refusal::Internal("the model is gone".to_owned());
        catalogue.model(self.model).ok_or_else(gone)
    }
}

//! The codec file: what device and server must share, in one checked container.
//!
//! The container is a safetensors file. Its metadata holds one entry, [`METADATA_KEY`]: a JSON
//! object with the format's name and version, the split, the block, the rates, the method, what the codec
//! was fitted to, and the SHA-256 of the tensor data. Tensors:
//!
//! | name | type | shape |
//! |---|---|---|
//! | `analysis.weight` | F16 | `[k, channels, block, block]` |
//! | `analysis.bias` | F32 | `[k]` |
//! | `synthesis.weight` | F16 | `[k, channels, block, block]` |
//! | `mean` | F32 | `[channels, block, block]` |
//! | those of [`NetworkConfig::tensors`] | F16, of one dimension F32 | see there |
//! | `rates.<i>.reconstruction` | F32 | `[channels sent]` |
//! | `rates.<i>.tables` | U8 | `[bytes]`, see `feature_codec::Tables::from_bytes` |
//!
//! A device needs neither `synthesis.*` nor `mean` nor `refine.*`: a file whose metadata has `half_of`, the SHA-256 of the
//! whole file, has none of them.

use std::collections::HashMap;
use std::ops::RangeInclusive;

use feature_codec::{Geometry, TableError, Tables};
use half::f16;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensorError, SafeTensors};
use serde::{Deserialize, Serialize};

use super::network::{Network, NetworkConfig};
use crate::digest::sha256_hex_of;
use crate::weights::{Weights, WeightsError};
use crate::{FeatureShape, Split, Variant};

/// The name of the container's metadata entry.
pub const METADATA_KEY: &str = "aecnn-codec";
/// The versions of the format that this crate reads; it writes the oldest that has what the codec has. Version 4 has
/// networks that prepare the latent.
pub const VERSIONS: RangeInclusive<u32> = 3..=4;
/// Most rates in one file: their number is a byte on the wire.
pub const MAX_RATES: usize = 255;

/// How a codec was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// A sensitivity-weighted Karhunen-Loève transform: no training.
    Klt,
    /// The rate-optimised AECNN: channel attention, a bottleneck trained for accuracy and rate
    /// together, a refining decoder.
    Aecnn,
    /// The AECNN of the paper: channels chosen by attention and scaled by it, one uniform step for all, a light
    /// decoder. Coded by the same tables as the others.
    Paper,
}

impl Method {
    /// The method's name, as in files and manifests.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Klt => "klt",
            Self::Aecnn => "aecnn",
            Self::Paper => "paper",
        }
    }
}

/// A codec file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// Not a safetensors container, or a damaged one.
    #[error("not a readable codec file: {0}")]
    Container(#[from] SafeTensorError),
    /// A safetensors file without the codec's metadata.
    #[error("the file has no `{METADATA_KEY}` metadata: it is no codec")]
    NoMetadata,
    /// Metadata that does not parse.
    #[error("the codec's metadata is not readable: {0}")]
    Metadata(#[from] serde_json::Error),
    /// Another version of the format.
    #[error(
        "the codec file has version {0}; this program reads versions {oldest} to {newest}",
        oldest = VERSIONS.start(),
        newest = VERSIONS.end()
    )]
    Version(u32),
    /// The tensor data is not what the metadata's digest says.
    #[error("the codec file is damaged: its data has SHA-256 {got}, expected {expected}")]
    Digest {
        /// The digest in the metadata.
        expected: String,
        /// The digest of the data.
        got: String,
    },
    /// A tensor is missing or misshapen.
    #[error(transparent)]
    Tensor(#[from] WeightsError),
    /// A rate's tables do not parse.
    #[error("the tables of rate `{rate}` are not usable: {source}")]
    Tables {
        /// The rate's name.
        rate: String,
        /// What is wrong with them.
        source: TableError,
    },
    /// What a server needs was asked of a device's half.
    #[error(
        "the codec file is a device's half, which cannot restore a feature; the whole file can"
    )]
    DeviceHalf,
    /// Metadata that contradicts itself.
    #[error("the codec file contradicts itself: {0}")]
    Inconsistent(String),
}

/// One operating point.
#[derive(Debug, Clone)]
pub struct Rate {
    /// The rate's name within the codec.
    pub name: String,
    /// The quantiser's step, in the latent's units.
    pub step: f32,
    /// Added to the magnitude before rounding down: 0.5 rounds to the nearest, less widens the
    /// dead zone around zero. 0 to 0.5.
    pub rounding: f32,
    /// What one step is worth when it is restored, for each channel that is sent.
    pub reconstruction: Vec<f32>,
    /// The frozen tables, one a channel that is sent.
    pub tables: Tables,
}

impl Rate {
    /// The number of latent channels that this rate sends.
    #[must_use]
    pub fn channels(&self) -> usize {
        self.reconstruction.len()
    }
}

/// The maps of a codec, in row-major layout.
#[derive(Debug, Clone)]
pub struct Transform {
    /// The feature's shape.
    pub feature: FeatureShape,
    /// Rows and columns that one latent position gathers (space to depth).
    pub block: usize,
    /// `[k, channels, block, block]`.
    pub analysis: Vec<f32>,
    /// `[k]`.
    pub analysis_bias: Vec<f32>,
    /// `[k, channels, block, block]`; empty in a device's half.
    pub synthesis: Vec<f32>,
    /// `[channels, block, block]`; empty in a device's half.
    pub mean: Vec<f32>,
    /// The small networks around the maps; none by default.
    pub network: Network,
}

/// A codec: a transform, and the rates at which it can be used.
#[derive(Debug, Clone)]
pub struct CodecFile {
    /// The codec's name.
    pub name: String,
    /// How it was made.
    pub method: Method,
    /// The network that it was made for: [`crate::manifest::Manifest::digest`].
    pub model: String,
    /// Where it cuts the network.
    pub split: Split,
    /// What it was fitted to, in words.
    pub fitted_to: String,
    /// From the fewest bytes to the most.
    pub rates: Vec<Rate>,
    transform: Transform,
    half_of: Option<String>,
}

/// Whether only a server needs the tensor of this name.
fn for_server(name: &str) -> bool {
    name == "mean" || name.starts_with("synthesis.") || name.starts_with("refine.")
}

#[derive(Serialize, Deserialize)]
struct Metadata {
    version: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    half_of: Option<String>,
    name: String,
    method: Method,
    model: String,
    variant: Variant,
    split: Split,
    block: usize,
    latent_channels: usize,
    #[serde(default)]
    network: NetworkConfig,
    fitted_to: String,
    rates: Vec<RateMetadata>,
    sha256: String,
}

#[derive(Serialize, Deserialize)]
struct RateMetadata {
    name: String,
    step: f32,
    rounding: f32,
    channels: usize,
}

impl CodecFile {
    /// Puts a codec together.
    ///
    /// # Errors
    ///
    /// When the pieces do not fit each other.
    pub fn new(
        name: String,
        method: Method,
        model: String,
        split: Split,
        fitted_to: String,
        transform: Transform,
        rates: Vec<Rate>,
    ) -> Result<Self, CodecError> {
        Self {
            name,
            method,
            model,
            split,
            fitted_to,
            rates,
            transform,
            half_of: None,
        }
        .checked()
    }

    /// Reads and checks a codec file.
    ///
    /// # Errors
    ///
    /// When it is no codec of this version, is damaged, or contradicts itself.
    pub fn parse(bytes: &[u8]) -> Result<Self, CodecError> {
        let (_, header) = SafeTensors::read_metadata(bytes)?;
        let json = header
            .metadata()
            .as_ref()
            .and_then(|entries| entries.get(METADATA_KEY))
            .ok_or(CodecError::NoMetadata)?;
        let metadata: Metadata = serde_json::from_str(json)?;
        if !VERSIONS.contains(&metadata.version) {
            return Err(CodecError::Version(metadata.version));
        }
        let container = SafeTensors::deserialize(bytes)?;
        let got = data_digest(container.iter().map(|(name, view)| (name, view.data())));
        if got != metadata.sha256 {
            return Err(CodecError::Digest {
                expected: metadata.sha256,
                got,
            });
        }

        let weights = Weights::read(&[("codec", bytes)])?;
        let feature = metadata.variant.feature_shape(metadata.split);
        let (k, c, b) = (metadata.latent_channels, feature.channels, metadata.block);
        check_block(feature, b)?;
        metadata.network.check()?;
        let latent = [k, feature.height / b, feature.width / b];
        let whole = metadata.half_of.is_none();
        let tensors = metadata
            .network
            .tensors(c, latent)
            .into_iter()
            .filter(|(name, _)| whole || !for_server(name))
            .map(|(name, shape)| {
                let values = weights.values(&name, &shape)?;
                Ok((name, values))
            })
            .collect::<Result<_, CodecError>>()?;
        let where_whole = |name: &str, shape: &[usize]| match whole {
            true => weights.values(name, shape),
            false => Ok(Vec::new()),
        };
        let transform = Transform {
            feature,
            block: b,
            network: Network {
                config: metadata.network,
                tensors,
            },
            analysis: weights.values("analysis.weight", &[k, c, b, b])?,
            analysis_bias: weights.values("analysis.bias", &[k])?,
            synthesis: where_whole("synthesis.weight", &[k, c, b, b])?,
            mean: where_whole("mean", &[c, b, b])?,
        };
        let rates = metadata
            .rates
            .into_iter()
            .enumerate()
            .map(|(index, rate)| {
                let reconstruction =
                    weights.values(&format!("rates.{index}.reconstruction"), &[rate.channels])?;
                let tables = container.tensor(&format!("rates.{index}.tables"))?;
                let tables =
                    Tables::from_bytes(tables.data()).map_err(|source| CodecError::Tables {
                        rate: rate.name.clone(),
                        source,
                    })?;
                Ok(Rate {
                    name: rate.name,
                    step: rate.step,
                    rounding: rate.rounding,
                    reconstruction,
                    tables,
                })
            })
            .collect::<Result<_, CodecError>>()?;
        Self {
            name: metadata.name,
            method: metadata.method,
            model: metadata.model,
            split: metadata.split,
            fitted_to: metadata.fitted_to,
            rates,
            transform,
            half_of: metadata.half_of,
        }
        .checked()
    }

    /// The codec as a file. The same codec gives the same bytes.
    ///
    /// # Errors
    ///
    /// When the container cannot be written.
    pub fn to_bytes(&self, variant: Variant) -> Result<Vec<u8>, CodecError> {
        let [k, _, _] = self.latent_shape();
        let (c, b) = (self.transform.feature.channels, self.transform.block);
        let mut tensors: Vec<(String, Dtype, Vec<usize>, Vec<u8>)> = vec![
            (
                "analysis.weight".to_owned(),
                Dtype::F16,
                vec![k, c, b, b],
                f16_bytes(&self.transform.analysis),
            ),
            (
                "analysis.bias".to_owned(),
                Dtype::F32,
                vec![k],
                f32_bytes(&self.transform.analysis_bias),
            ),
            (
                "synthesis.weight".to_owned(),
                Dtype::F16,
                vec![k, c, b, b],
                f16_bytes(&self.transform.synthesis),
            ),
            (
                "mean".to_owned(),
                Dtype::F32,
                vec![c, b, b],
                f32_bytes(&self.transform.mean),
            ),
        ];
        let network = &self.transform.network;
        for (name, shape) in network.config.tensors(c, self.latent_shape()) {
            let values = network.tensors.get(&name).map_or(&[][..], Vec::as_slice);
            let (dtype, data) = match shape.len() {
                1 => (Dtype::F32, f32_bytes(values)),
                _ => (Dtype::F16, f16_bytes(values)),
            };
            tensors.push((name, dtype, shape, data));
        }
        for (index, rate) in self.rates.iter().enumerate() {
            let tables = rate.tables.to_bytes();
            tensors.push((
                format!("rates.{index}.reconstruction"),
                Dtype::F32,
                vec![rate.channels()],
                f32_bytes(&rate.reconstruction),
            ));
            tensors.push((
                format!("rates.{index}.tables"),
                Dtype::U8,
                vec![tables.len()],
                tables,
            ));
        }
        tensors.retain(|(name, ..)| self.has(name));
        let metadata = Metadata {
            version: match network.config.prepare_blocks {
                0 => *VERSIONS.start(),
                _ => *VERSIONS.end(),
            },
            half_of: self.half_of.clone(),
            name: self.name.clone(),
            method: self.method,
            model: self.model.clone(),
            variant,
            split: self.split,
            block: b,
            latent_channels: k,
            network: network.config,
            fitted_to: self.fitted_to.clone(),
            rates: self
                .rates
                .iter()
                .map(|rate| RateMetadata {
                    name: rate.name.clone(),
                    step: rate.step,
                    rounding: rate.rounding,
                    channels: rate.channels(),
                })
                .collect(),
            sha256: data_digest(
                tensors
                    .iter()
                    .map(|(name, _, _, data)| (name.as_str(), data.as_slice())),
            ),
        };
        let views = tensors
            .iter()
            .map(|(name, dtype, shape, data)| {
                Ok((name.as_str(), TensorView::new(*dtype, shape.clone(), data)?))
            })
            .collect::<Result<Vec<_>, SafeTensorError>>()?;
        let entries = HashMap::from([(METADATA_KEY.to_owned(), serde_json::to_string(&metadata)?)]);
        Ok(safetensors::serialize(views, Some(entries))?)
    }

    /// What a device needs of this codec, whose file has this SHA-256. It encodes, and cannot restore.
    #[must_use]
    pub fn device_half(&self, sha256: String) -> Self {
        let mut half = self.clone();
        half.half_of = Some(sha256);
        half.transform.synthesis.clear();
        half.transform.mean.clear();
        half.transform
            .network
            .tensors
            .retain(|name, _| !for_server(name));
        half
    }

    /// Whether features can be restored with it, and not only encoded.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.half_of.is_none()
    }

    /// Whether the tensor of this name belongs to what this is.
    fn has(&self, name: &str) -> bool {
        self.is_whole() || !for_server(name)
    }

    /// The SHA-256 of the whole file, where this is a device's half of it.
    #[must_use]
    pub fn half_of(&self) -> Option<&str> {
        self.half_of.as_deref()
    }

    /// The linear maps.
    #[must_use]
    pub fn transform(&self) -> &Transform {
        &self.transform
    }

    /// The latent's shape `[k, height, width]`.
    #[must_use]
    pub fn latent_shape(&self) -> [usize; 3] {
        let Transform { feature, block, .. } = &self.transform;
        [
            self.transform.analysis_bias.len(),
            feature.height / block,
            feature.width / block,
        ]
    }

    /// How the symbols of a payload with so many channels lie.
    #[must_use]
    pub fn geometry(&self, channels: usize) -> Geometry {
        let [_, rows, columns] = self.latent_shape();
        Geometry {
            channels,
            rows,
            columns,
        }
    }

    /// Positions in a latent channel: its height times its width.
    #[must_use]
    pub fn positions(&self) -> usize {
        let [_, rows, columns] = self.latent_shape();
        rows * columns
    }

    fn checked(self) -> Result<Self, CodecError> {
        let fail = |what: String| Err(CodecError::Inconsistent(what));
        let (feature, block) = (self.transform.feature, self.transform.block);
        check_block(feature, block)?;
        let [k, _, _] = self.latent_shape();
        let values = feature.channels * block * block;
        if k == 0 || k > values {
            return fail(format!("{k} latent channels of {values} values"));
        }
        let network = &self.transform.network;
        network.config.check()?;
        for (name, shape) in network
            .config
            .tensors(feature.channels, self.latent_shape())
            .into_iter()
            .filter(|(name, _)| self.has(name))
        {
            let got = network.tensors.get(&name).map_or(0, Vec::len);
            if got != shape.iter().product::<usize>() {
                return fail(format!("`{name}` has {got} values; its shape is {shape:?}"));
            }
        }
        if self.rates.is_empty() || self.rates.len() > MAX_RATES {
            return fail(format!(
                "{} rates; 1 to {MAX_RATES} are possible",
                self.rates.len()
            ));
        }
        for rate in &self.rates {
            let name = &rate.name;
            if rate.channels() == 0 || rate.channels() > k {
                return fail(format!(
                    "rate `{name}` sends {} of {k} channels",
                    rate.channels()
                ));
            }
            if rate.tables.channels() != rate.channels() {
                return fail(format!(
                    "rate `{name}` has {} tables for {} channels",
                    rate.tables.channels(),
                    rate.channels()
                ));
            }
            if !(rate.step.is_finite() && rate.step > 0.0) {
                return fail(format!("rate `{name}` has the step {}", rate.step));
            }
            if !(0.0..=0.5).contains(&rate.rounding) {
                return fail(format!("rate `{name}` has the rounding {}", rate.rounding));
            }
        }
        Ok(self)
    }
}

fn check_block(feature: FeatureShape, block: usize) -> Result<(), CodecError> {
    if block == 0 || !feature.height.is_multiple_of(block) {
        return Err(CodecError::Inconsistent(format!(
            "blocks of {block} do not tile {} rows",
            feature.height
        )));
    }
    Ok(())
}

/// The digest of all tensors' data in the order of their names.
fn data_digest<'a>(tensors: impl Iterator<Item = (&'a str, &'a [u8])>) -> String {
    let mut tensors: Vec<_> = tensors.collect();
    tensors.sort_unstable_by_key(|(name, _)| *name);
    sha256_hex_of(tensors.into_iter().map(|(_, data)| data))
}

fn f16_bytes(values: &[f32]) -> Vec<u8> {
    values
        .iter()
        .flat_map(|value| f16::from_f32(*value).to_le_bytes())
        .collect()
}

fn f32_bytes(values: &[f32]) -> Vec<u8> {
    values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect()
}

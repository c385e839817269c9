//! The manifest of a model: what the network is, which files it is made of, where it comes from.
//!
//! A model is a folder with a `manifest.json`, the weights cut at the splits (one safetensors
//! file a part, see [`crate::resnet::part_names`]), the labels and the codecs that were made for it.

use serde::{Deserialize, Serialize};

use crate::digest::{sha256_hex, sha256_hex_of};
use crate::preprocess::Preprocessing;
use crate::resnet::part_names;
use crate::{Split, Variant};

/// The value of a manifest's `format`.
pub const FORMAT: &str = "aecnn-model";
/// The version of the manifest that this crate reads and writes.
pub const VERSION: u32 = 1;
/// A manifest above this size in bytes is refused.
pub const MAX_BYTES: usize = 1 << 20;

/// A manifest that cannot be used, or a file that is not what its manifest says.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// Not JSON, or not the fields of a manifest.
    #[error("the manifest is not readable: {0}")]
    Json(#[from] serde_json::Error),
    /// Larger than [`MAX_BYTES`].
    #[error("the manifest has {0} bytes; at most {MAX_BYTES} are read")]
    TooLarge(usize),
    /// Another format or version.
    #[error(
        "the manifest is `{format}` version {version}; this program reads `{FORMAT}` version {VERSION}"
    )]
    Version {
        /// The format in the file.
        format: String,
        /// The version in the file.
        version: u32,
    },
    /// The parts are not those of a ResNet-50.
    #[error(
        "the manifest lists the parts {got:?}; a ResNet-50 has stem, stage1, stage2, stage3, stage4 and head"
    )]
    Parts {
        /// The names in the file.
        got: Vec<String>,
    },
    /// A file name that could lead out of the model's folder.
    #[error("`{0}` is no plain file name; files stand in the model's own folder")]
    FileName(String),
    /// The stated digest does not follow from the files' digests.
    #[error("the manifest's digest is {got}, but its weights and preprocessing give {expected}")]
    Digest {
        /// What follows from the manifest's own fields.
        expected: String,
        /// What it states.
        got: String,
    },
    /// A file's bytes are not those that the manifest names.
    #[error(
        "`{file}` is damaged or of another version: {got_bytes} bytes with SHA-256 {got}, expected {bytes} bytes with {expected}"
    )]
    File {
        /// The file's name.
        file: String,
        /// Bytes expected.
        bytes: u64,
        /// Digest expected.
        expected: String,
        /// Bytes found.
        got_bytes: u64,
        /// Digest found.
        got: String,
    },
}

/// A file of the model, with what its bytes must be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// The file's name in the model's folder.
    pub file: String,
    /// Its size.
    pub bytes: u64,
    /// SHA-256 of its bytes, in lowercase hexadecimal.
    pub sha256: String,
}

impl FileEntry {
    /// The entry of a file with these bytes.
    #[must_use]
    pub fn of(file: impl Into<String>, bytes: &[u8]) -> Self {
        Self {
            file: file.into(),
            bytes: bytes.len() as u64,
            sha256: sha256_hex(bytes),
        }
    }

    /// Whether `bytes` are this file's.
    ///
    /// # Errors
    ///
    /// When the size or the digest differs.
    pub fn check(&self, bytes: &[u8]) -> Result<(), ManifestError> {
        let got = Self::of(self.file.clone(), bytes);
        if got == *self {
            return Ok(());
        }
        Err(ManifestError::File {
            file: got.file,
            bytes: self.bytes,
            expected: self.sha256.clone(),
            got_bytes: got.bytes,
            got: got.sha256,
        })
    }

    fn check_name(&self) -> Result<(), ManifestError> {
        let plain = !self.file.is_empty()
            && !self.file.starts_with('.')
            && self
                .file
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
        if plain {
            Ok(())
        } else {
            Err(ManifestError::FileName(self.file.clone()))
        }
    }
}

/// One part of the weights.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartEntry {
    /// One of [`part_names`].
    pub name: String,
    /// The safetensors file.
    #[serde(flatten)]
    pub file: FileEntry,
}

/// One operating point of a codec, as far as a user chooses by it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RateEntry {
    /// The rate's name within its codec.
    pub name: String,
    /// Channels that are sent.
    pub channels: usize,
    /// Mean bytes of a frame on the pictures that the codec was fitted to, header included.
    pub mean_bytes: f64,
    /// Share of those pictures whose top-1 class is the uncompressed network's, 0 to 1.
    pub agreement: f64,
}

/// A codec that was made for this network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CodecEntry {
    /// The codec's name, unique within the model.
    pub name: String,
    /// How it was made, such as `klt`.
    pub method: String,
    /// Where it cuts the network.
    pub split: Split,
    /// The codec file.
    #[serde(flatten)]
    pub file: FileEntry,
    /// What a device needs of it, as a file of its own. An edge server makes it and adds it to the manifest that it gives
    /// out; there is none on disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<FileEntry>,
    /// Its operating points, from the fewest bytes to the most.
    pub rates: Vec<RateEntry>,
    /// The rate that a program uses when its user names none: an index into `rates`.
    pub default_rate: usize,
}

/// Where the weights come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provenance {
    /// The package or file that was imported.
    pub source: String,
    /// SHA-256 of what was imported.
    pub source_sha256: String,
    /// The licence of the weights, as an SPDX expression.
    pub licence: String,
    /// Who is to be named.
    pub attribution: String,
}

/// The manifest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Always [`FORMAT`].
    pub format: String,
    /// Always [`VERSION`].
    pub version: u32,
    /// The model's name, also that of its folder.
    pub name: String,
    /// Which ResNet-50.
    pub variant: Variant,
    /// What the weights expect of a picture.
    pub preprocessing: Preprocessing,
    /// Number of classes.
    pub classes: usize,
    /// The weights in the order of [`part_names`].
    pub parts: Vec<PartEntry>,
    /// A JSON array of the class names.
    pub labels: FileEntry,
    /// The codecs.
    #[serde(default)]
    pub codecs: Vec<CodecEntry>,
    /// Where the weights come from.
    pub provenance: Provenance,
    /// The identity of the network: both sides of a link must agree on it. See
    /// [`Manifest::network_digest`].
    pub digest: String,
}

impl Manifest {
    /// Reads and checks a manifest.
    ///
    /// # Errors
    ///
    /// When it is no manifest of this version, contradicts itself, or names files outside its folder.
    pub fn parse(json: &[u8]) -> Result<Self, ManifestError> {
        if json.len() > MAX_BYTES {
            return Err(ManifestError::TooLarge(json.len()));
        }
        let manifest: Self = serde_json::from_slice(json)?;
        if manifest.format != FORMAT || manifest.version != VERSION {
            return Err(ManifestError::Version {
                format: manifest.format,
                version: manifest.version,
            });
        }
        let names: Vec<&str> = manifest.parts.iter().map(|p| p.name.as_str()).collect();
        if names != part_names() {
            return Err(ManifestError::Parts {
                got: names.into_iter().map(str::to_owned).collect(),
            });
        }
        for file in manifest.files() {
            file.check_name()?;
        }
        let expected = manifest.network_digest();
        if expected != manifest.digest {
            return Err(ManifestError::Digest {
                expected,
                got: manifest.digest,
            });
        }
        Ok(manifest)
    }

    /// Every file that the manifest names.
    pub fn files(&self) -> impl Iterator<Item = &FileEntry> {
        self.parts
            .iter()
            .map(|part| &part.file)
            .chain([&self.labels])
            .chain(self.codecs.iter().map(|codec| &codec.file))
    }

    /// The part called `name`.
    #[must_use]
    pub fn part(&self, name: &str) -> Option<&PartEntry> {
        self.parts.iter().find(|part| part.name == name)
    }

    /// SHA-256 over the variant, the preprocessing and the digests of the parts: what decides the
    /// network's answers. Codecs and labels do not change it.
    #[must_use]
    pub fn network_digest(&self) -> String {
        let Preprocessing {
            crop,
            order,
            scale,
            mean,
            std,
        } = &self.preprocessing;
        let facts = format!(
            "{:?} {crop} {order:?} {scale} {mean:?} {std:?} {}",
            self.variant, self.classes
        );
        sha256_hex_of(
            std::iter::once(facts.as_bytes())
                .chain(self.parts.iter().map(|part| part.file.sha256.as_bytes())),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        let mut manifest = Manifest {
            format: FORMAT.to_owned(),
            version: VERSION,
            name: "test".to_owned(),
            variant: Variant::V1,
            preprocessing: Preprocessing::keras(),
            classes: 1000,
            parts: part_names()
                .into_iter()
                .map(|name| PartEntry {
                    name: name.to_owned(),
                    file: FileEntry::of(format!("{name}.safetensors"), name.as_bytes()),
                })
                .collect(),
            labels: FileEntry::of("labels.json", b"[]"),
            codecs: Vec::new(),
            provenance: Provenance {
                source: "a test".to_owned(),
                source_sha256: sha256_hex(b""),
                licence: "MIT".to_owned(),
                attribution: "nobody".to_owned(),
            },
            digest: String::new(),
        };
        manifest.digest = manifest.network_digest();
        manifest
    }

    fn parse(manifest: &Manifest) -> Result<Manifest, ManifestError> {
        Manifest::parse(&serde_json::to_vec(manifest).unwrap())
    }

    #[test]
    fn round_trips() {
        let manifest = manifest();
        assert_eq!(parse(&manifest).unwrap(), manifest);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let mut other = manifest();
        other.version = 2;
        assert!(matches!(
            parse(&other),
            Err(ManifestError::Version { version: 2, .. })
        ));

        let mut other = manifest();
        other.parts.pop();
        assert!(matches!(parse(&other), Err(ManifestError::Parts { .. })));

        let mut other = manifest();
        other.parts[1].file.sha256 = sha256_hex(b"other weights");
        assert!(matches!(parse(&other), Err(ManifestError::Digest { .. })));

        for name in ["../labels.json", "/etc/passwd", ".hidden", "", "a/b"] {
            let mut other = manifest();
            other.labels.file = name.to_owned();
            assert!(matches!(parse(&other), Err(ManifestError::FileName(_))));
        }
        assert!(matches!(
            Manifest::parse(b"{}"),
            Err(ManifestError::Json(_))
        ));
    }

    #[test]
    fn a_damaged_file_is_found() {
        let entry = FileEntry::of("stem.safetensors", b"weights");
        assert!(entry.check(b"weights").is_ok());
        assert!(matches!(
            entry.check(b"weight5"),
            Err(ManifestError::File { .. })
        ));
    }
}

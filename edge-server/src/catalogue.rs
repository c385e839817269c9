//! The models that this server offers: read, checked, and kept in memory.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use aecnn::codec::{CodecError, CodecFile};
use aecnn::manifest::{FileEntry, Manifest, ManifestError};
use bytes::Bytes;

use crate::asset::Asset;
use crate::engine::CodecId;

/// The file that makes a folder a model.
pub const MANIFEST: &str = "manifest.json";

/// Models that cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum CatalogueError {
    /// A file or folder cannot be read.
    #[error("{path} cannot be read: {why}")]
    Read {
        /// What was to be read.
        path: PathBuf,
        /// What the system said.
        why: std::io::Error,
    },
    /// There is nothing to serve.
    #[error("{0} holds no model: no folder in it has a {MANIFEST}")]
    Empty(PathBuf),
    /// A manifest is not usable, or a file is not what its manifest says.
    #[error("in {folder}: {why}")]
    Manifest {
        /// The model's folder.
        folder: PathBuf,
        /// What is wrong.
        why: ManifestError,
    },
    /// A codec file is not usable.
    #[error("{path}: {why}")]
    Codec {
        /// The codec file.
        path: PathBuf,
        /// What is wrong.
        why: CodecError,
    },
    /// A codec file contradicts the manifest that lists it.
    #[error("{path} is not the codec that the manifest describes: {what}")]
    Mismatch {
        /// The codec file.
        path: PathBuf,
        /// What differs.
        what: &'static str,
    },
    /// The labels do not parse, or are not as many as the classes.
    #[error("{path} must be a JSON array of {classes} names")]
    Labels {
        /// The file of the labels.
        path: PathBuf,
        /// Names that are needed.
        classes: usize,
    },
    /// Two folders hold a model of the same name.
    #[error("two models are called `{0}`")]
    Twice(String),
}

/// One model.
#[derive(Debug)]
pub struct Model {
    /// What it is.
    pub manifest: Manifest,
    /// The class names by index.
    pub labels: Vec<String>,
    /// The codecs in the manifest's order.
    pub codecs: Vec<CodecFile>,
    /// What may be downloaded: the manifest and the files that it names, by file name.
    files: BTreeMap<String, Asset>,
}

impl Model {
    /// Reads a model's folder and checks every file against the manifest.
    ///
    /// # Errors
    ///
    /// When a file is missing, damaged, or not what the manifest says.
    pub fn read(folder: &Path) -> Result<Self, CatalogueError> {
        let bad = |why| CatalogueError::Manifest {
            folder: folder.to_owned(),
            why,
        };
        let json = read(&folder.join(MANIFEST))?;
        let mut manifest = Manifest::parse(&json).map_err(bad)?;

        let mut files = BTreeMap::new();
        for entry in manifest.files() {
            let path = folder.join(&entry.file);
            let bytes = read(&path)?;
            entry.check(&bytes).map_err(bad)?;
            let asset = Asset::new(&entry.file, bytes, compressed_beside(&path));
            files.insert(entry.file.clone(), asset);
        }
        let bytes_of = |files: &BTreeMap<String, Asset>, file: &str| {
            files
                .get(file)
                .map(|asset| asset.bytes.clone())
                .unwrap_or_default()
        };
        let labels: Option<Vec<String>> =
            serde_json::from_slice(&bytes_of(&files, &manifest.labels.file)).ok();
        let labels = labels
            .filter(|labels| labels.len() == manifest.classes)
            .ok_or_else(|| CatalogueError::Labels {
                path: folder.join(&manifest.labels.file),
                classes: manifest.classes,
            })?;

        let mut codecs = Vec::with_capacity(manifest.codecs.len());
        for entry in &mut manifest.codecs {
            let path = folder.join(&entry.file.file);
            let codec = CodecFile::parse(&bytes_of(&files, &entry.file.file)).map_err(|why| {
                CatalogueError::Codec {
                    path: path.clone(),
                    why,
                }
            })?;
            let mismatch = |what| CatalogueError::Mismatch {
                path: path.clone(),
                what,
            };
            if codec.model != manifest.digest {
                return Err(mismatch("it was made for another network"));
            }
            if codec.split != entry.split {
                return Err(mismatch("it cuts the network elsewhere"));
            }
            if codec.rates.len() != entry.rates.len() {
                return Err(mismatch("it has other rates"));
            }
            if !codec.is_whole() {
                return Err(mismatch("it is a device's half"));
            }
            let half = codec.device_half(entry.file.sha256.clone());
            let half = half.to_bytes(manifest.variant);
            let half = half.map_err(|why| CatalogueError::Codec { path, why })?;
            let file = format!("device-{}", entry.file.file);
            entry.device = Some(FileEntry::of(file.clone(), &half));
            files.insert(file.clone(), Asset::new(&file, half.into(), None));
            codecs.push(codec);
        }
        let json = serde_json::to_vec(&manifest).map_err(|why| bad(why.into()))?;
        files.insert(MANIFEST.to_owned(), Asset::new(MANIFEST, json.into(), None));
        Ok(Self {
            manifest,
            labels,
            codecs,
            files,
        })
    }

    /// The weights as `(part, bytes)`, in the order of the network.
    #[must_use]
    pub fn parts(&self) -> Vec<(&str, &[u8])> {
        self.manifest
            .parts
            .iter()
            .filter_map(|part| {
                let asset = self.files.get(&part.file.file)?;
                Some((part.name.as_str(), asset.bytes.as_ref()))
            })
            .collect()
    }

    /// A file that may be downloaded.
    #[must_use]
    pub fn file(&self, name: &str) -> Option<&Asset> {
        self.files.get(name)
    }

    /// The index of the codec whose file has this digest.
    #[must_use]
    pub fn codec_by_digest(&self, sha256: &str) -> Option<usize> {
        self.manifest
            .codecs
            .iter()
            .position(|codec| codec.file.sha256 == sha256)
    }
}

/// All models.
#[derive(Debug)]
pub struct Catalogue {
    models: Vec<Model>,
}

impl Catalogue {
    /// Reads every model in `folder`, in the order of their folders' names.
    ///
    /// # Errors
    ///
    /// When there is none, or one of them is not usable.
    pub fn read(folder: &Path) -> Result<Self, CatalogueError> {
        let unreadable = |why| CatalogueError::Read {
            path: folder.to_owned(),
            why,
        };
        let mut folders = Vec::new();
        for entry in folder.read_dir().map_err(unreadable)? {
            let path = entry.map_err(unreadable)?.path();
            if path.join(MANIFEST).is_file() {
                folders.push(path);
            }
        }
        if folders.is_empty() {
            return Err(CatalogueError::Empty(folder.to_owned()));
        }
        folders.sort();
        let models = folders
            .iter()
            .map(|path| Model::read(path))
            .collect::<Result<_, _>>()?;
        Self::of(models)
    }

    /// A catalogue of these models.
    ///
    /// # Errors
    ///
    /// When two have the same name.
    pub fn of(models: Vec<Model>) -> Result<Self, CatalogueError> {
        for (index, model) in models.iter().enumerate() {
            let name = &model.manifest.name;
            if models[..index]
                .iter()
                .any(|other| other.manifest.name == *name)
            {
                return Err(CatalogueError::Twice(name.clone()));
            }
        }
        Ok(Self { models })
    }

    /// The models; an index into them identifies one everywhere in the server.
    #[must_use]
    pub fn models(&self) -> &[Model] {
        &self.models
    }

    /// The model with this index.
    #[must_use]
    pub fn model(&self, index: usize) -> Option<&Model> {
        self.models.get(index)
    }

    /// The index of the model with this name.
    #[must_use]
    pub fn by_name(&self, name: &str) -> Option<usize> {
        self.models
            .iter()
            .position(|model| model.manifest.name == name)
    }

    /// The index of the model whose network has this digest.
    #[must_use]
    pub fn by_digest(&self, digest: &str) -> Option<usize> {
        self.models
            .iter()
            .position(|model| model.manifest.digest == digest)
    }

    /// A codec.
    #[must_use]
    pub fn codec(&self, id: CodecId) -> Option<&CodecFile> {
        self.models.get(id.model)?.codecs.get(id.codec)
    }
}

fn read(path: &Path) -> Result<Bytes, CatalogueError> {
    std::fs::read(path)
        .map(Bytes::from)
        .map_err(|why| CatalogueError::Read {
            path: path.to_owned(),
            why,
        })
}

/// The Brotli form of a file, where somebody put one beside it.
fn compressed_beside(path: &Path) -> Option<Bytes> {
    let mut name = path.as_os_str().to_owned();
    name.push(".br");
    std::fs::read(name).ok().map(Bytes::from)
}

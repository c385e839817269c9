//! A pack: the pictures of a partition in one file, small and ready for training.
//!
//! ```text
//! 8 bytes   "AECNPACK"
//! 4 bytes   version, little-endian
//! 4 bytes   bytes of the index, little-endian
//! 32 bytes  SHA-256 of the index
//! ...       the index, JSON: classes and, for each picture, class, part, offset, length, digests
//! ...       the pictures, JPEG, 256x256, one behind the other; offsets count from here
//! ```

use std::fs::File;
use std::io::{BufWriter, Cursor, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use aecnn::digest::sha256_hex;
use image::{ImageFormat, ImageReader};
use serde::{Deserialize, Serialize};

use super::partition::Part;

/// The side of the stored pictures, in pixels.
pub(crate) const SIDE: usize = 256;

const MAGIC: &[u8; 8] = b"AECNPACK";
const VERSION: u32 = 1;
const HEADER: usize = 8 + 4 + 4 + 32;
/// An index above this is refused before it is read: some four million pictures.
const MAX_INDEX: usize = 1 << 30;

/// A pack that cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PackError {
    #[error("reading {path}: {source}")]
    Io {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{0} is no pack; `trainer pack` writes one")]
    Foreign(PathBuf),
    #[error("{path} is a pack of version {version}; this program reads version {VERSION}")]
    Version { path: PathBuf, version: u32 },
    #[error("{path} ends after {got} bytes; its index needs {expected}")]
    Truncated {
        path: PathBuf,
        expected: u64,
        got: u64,
    },
    #[error("the index of {0} is damaged; pack the pictures again")]
    Index(PathBuf),
    #[error("picture {picture} of {path} is damaged; pack the pictures again")]
    Picture { path: PathBuf, picture: usize },
}

/// One picture in a pack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PackedPicture {
    /// An index into the pack's classes.
    pub(crate) class: usize,
    pub(crate) part: Part,
    /// Of the file that it was made from.
    pub(crate) source_sha256: String,
    offset: u64,
    length: u32,
    /// Of the stored bytes.
    sha256: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct Index {
    side: usize,
    classes: Vec<String>,
    pictures: Vec<PackedPicture>,
}

/// A pack on disk.
#[derive(Debug)]
pub(crate) struct Pack {
    path: PathBuf,
    file: Mutex<File>,
    start: u64,
    /// SHA-256 of the index, which holds every picture's digest: names the pack's content.
    pub(crate) digest: String,
    pub(crate) classes: Vec<String>,
    pub(crate) pictures: Vec<PackedPicture>,
}

impl Pack {
    /// Opens a pack and checks its index.
    pub(crate) fn open(path: &Path) -> Result<Self, PackError> {
        let io = |source| PackError::Io {
            path: path.to_owned(),
            source,
        };
        let mut file = File::open(path).map_err(io)?;
        let got = file.metadata().map_err(io)?.len();
        let truncated = |expected| PackError::Truncated {
            path: path.to_owned(),
            expected,
            got,
        };
        let mut header = Vec::with_capacity(HEADER);
        Read::by_ref(&mut file)
            .take(HEADER as u64)
            .read_to_end(&mut header)
            .map_err(io)?;
        if !header.starts_with(&MAGIC[..header.len().min(8)]) || header.is_empty() {
            return Err(PackError::Foreign(path.to_owned()));
        }
        if header.len() < HEADER {
            return Err(truncated(HEADER as u64));
        }
        let number = |at: usize| {
            u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
        };
        let version = number(8);
        if version != VERSION {
            return Err(PackError::Version {
                path: path.to_owned(),
                version,
            });
        }
        let length = number(12) as usize;
        let start = (HEADER + length) as u64;
        if length > MAX_INDEX {
            return Err(PackError::Index(path.to_owned()));
        }
        if start > got {
            return Err(truncated(start));
        }
        let mut json = vec![0; length];
        file.read_exact(&mut json).map_err(io)?;
        let digest = sha256_hex(&json);
        if digest != hex(&header[16..HEADER]) {
            return Err(PackError::Index(path.to_owned()));
        }
        let index: Index =
            serde_json::from_slice(&json).map_err(|_| PackError::Index(path.to_owned()))?;
        let mut end = start;
        for picture in &index.pictures {
            let after = picture
                .offset
                .checked_add(u64::from(picture.length))
                .and_then(|after| after.checked_add(start))
                .filter(|_| picture.class < index.classes.len() && index.side == SIDE)
                .ok_or_else(|| PackError::Index(path.to_owned()))?;
            end = end.max(after);
        }
        if end > got {
            return Err(truncated(end));
        }
        Ok(Self {
            path: path.to_owned(),
            file: Mutex::new(file),
            start,
            digest,
            classes: index.classes,
            pictures: index.pictures,
        })
    }

    /// The numbers of the pictures of one part.
    pub(crate) fn of(&self, part: Part) -> Vec<usize> {
        (0..self.pictures.len())
            .filter(|at| self.pictures[*at].part == part)
            .collect()
    }

    /// The pixels of a picture: 256x256 RGB.
    pub(crate) fn pixels(&self, picture: usize) -> Result<Vec<u8>, PackError> {
        let damaged = || PackError::Picture {
            path: self.path.clone(),
            picture,
        };
        let entry = self.pictures.get(picture).ok_or_else(damaged)?;
        // Bounded by the file's length, which was checked.
        let mut jpeg = vec![0; entry.length as usize];
        {
            let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
            file.seek(SeekFrom::Start(self.start + entry.offset))
                .and_then(|_| file.read_exact(&mut jpeg))
                .map_err(|source| PackError::Io {
                    path: self.path.clone(),
                    source,
                })?;
        }
        if sha256_hex(&jpeg) != entry.sha256 {
            return Err(damaged());
        }
        let image = ImageReader::with_format(Cursor::new(jpeg), ImageFormat::Jpeg)
            .decode()
            .map_err(|_| damaged())?
            .into_rgb8();
        if image.dimensions() != (SIDE as u32, SIDE as u32) {
            return Err(damaged());
        }
        Ok(image.into_raw())
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A picture for [`write`].
pub(super) struct NewPicture {
    pub(super) class: usize,
    pub(super) part: Part,
    pub(super) source_sha256: String,
    /// JPEG, 256x256.
    pub(super) jpeg: Vec<u8>,
}

/// Writes a pack; the file appears under its name only when it is complete.
pub(super) fn write(
    path: &Path,
    classes: Vec<String>,
    pictures: &[NewPicture],
) -> std::io::Result<()> {
    let mut offset = 0;
    let entries = pictures
        .iter()
        .map(|picture| {
            let entry = PackedPicture {
                class: picture.class,
                part: picture.part,
                source_sha256: picture.source_sha256.clone(),
                offset,
                length: picture.jpeg.len() as u32,
                sha256: sha256_hex(&picture.jpeg),
            };
            offset += picture.jpeg.len() as u64;
            entry
        })
        .collect();
    let index = serde_json::to_vec(&Index {
        side: SIDE,
        classes,
        pictures: entries,
    })?;
    let digest = sha256_hex(&index);
    let temporary = path.with_extension("partial");
    let mut file = BufWriter::new(File::create(&temporary)?);
    file.write_all(MAGIC)?;
    file.write_all(&VERSION.to_le_bytes())?;
    file.write_all(&(index.len() as u32).to_le_bytes())?;
    for at in (0..64).step_by(2) {
        file.write_all(&[u8::from_str_radix(&digest[at..at + 2], 16).unwrap_or_default()])?;
    }
    file.write_all(&index)?;
    for picture in pictures {
        file.write_all(&picture.jpeg)?;
    }
    file.into_inner()?.sync_all()?;
    std::fs::rename(temporary, path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::packing::encode;

    fn example(path: &Path) {
        let picture = |shade: u8, part| NewPicture {
            class: usize::from(shade > 100),
            part,
            source_sha256: sha256_hex(&[shade]),
            jpeg: encode(&vec![shade; SIDE * SIDE * 3]).unwrap(),
        };
        let pictures = [picture(50, Part::Train), picture(200, Part::Test)];
        write(path, vec!["dark".into(), "light".into()], &pictures).unwrap();
    }

    #[test]
    fn pictures_come_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.pack");
        example(&path);
        let pack = Pack::open(&path).unwrap();
        assert_eq!(pack.of(Part::Test), [1]);
        assert_eq!(pack.pictures[1].class, 1);
        let pixels = pack.pixels(1).unwrap();
        assert_eq!(pixels.len(), SIDE * SIDE * 3);
        assert!(pixels.iter().all(|value| value.abs_diff(200) <= 2));
        assert!(matches!(pack.pixels(2), Err(PackError::Picture { .. })));
    }

    #[test]
    fn what_is_no_whole_pack_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.pack");
        example(&path);
        let good = std::fs::read(&path).unwrap();
        let open = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            Pack::open(&path)
        };
        for length in [10, HEADER + 5, good.len() - 1] {
            let result = open(&good[..length]);
            assert!(
                matches!(result, Err(PackError::Truncated { .. })),
                "{length}"
            );
        }
        assert!(matches!(open(b""), Err(PackError::Foreign(_))));
        assert!(matches!(
            open(b"PK\x03\x04 and so on"),
            Err(PackError::Foreign(_))
        ));
        let mut newer = good.clone();
        newer[8] = 2;
        assert!(matches!(
            open(&newer),
            Err(PackError::Version { version: 2, .. })
        ));
        let mut index = good.clone();
        index[HEADER + 20] ^= 1;
        assert!(matches!(open(&index), Err(PackError::Index(_))));
        let mut blob = good.clone();
        *blob.last_mut().unwrap() ^= 1;
        let pack = open(&blob).unwrap();
        assert!(pack.pixels(0).is_ok());
        assert!(matches!(
            pack.pixels(1),
            Err(PackError::Picture { picture: 1, .. })
        ));
    }
}

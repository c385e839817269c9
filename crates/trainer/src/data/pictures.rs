//! Choosing pictures and reading them as the network's input.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use aecnn::preprocess::{INPUT, Preprocessing, centre_crop, normalise};
use anyhow::{Context, Result, bail, ensure};
use burn::tensor::{Device, Tensor, TensorData};
use clap::Args;
use image::{ImageReader, RgbImage};
use rayon::prelude::*;
use walkdir::WalkDir;

use super::classes::{ClassNames, read_csv};
use super::partition::{Part, Partition};

/// Which pictures to use.
#[derive(Args, Debug, Clone)]
pub(crate) struct PictureArgs {
    /// Folder of pictures (JPEG, PNG, WebP), searched with its sub-folders; may be given several
    /// times.
    #[arg(long, required_unless_present = "partition")]
    pub(crate) images: Vec<PathBuf>,
    /// Instead of a folder: the pictures of a part of a data set, as `trainer split` wrote it.
    #[arg(long, requires = "part", conflicts_with_all = ["images", "labels"])]
    pub(crate) partition: Option<PathBuf>,
    /// Which part of it: train, validation or test.
    #[arg(long, requires = "partition", value_enum)]
    pub(crate) part: Option<Part>,
    /// Where the classes stand: `folders` (the folder's name is a WordNet id, a class name or a
    /// number) or a CSV file with a header.
    #[arg(long, default_value = "folders")]
    pub(crate) labels: String,
    /// With a CSV file: the column with the file's name, with or without its ending.
    #[arg(long, default_value = "ImageId")]
    pub(crate) file_column: String,
    /// With a CSV file: the column with the class number.
    #[arg(long, default_value = "TrueLabel")]
    pub(crate) class_column: String,
    /// With a CSV file: added to the class number, to count from 0.
    #[arg(long, default_value_t = -1, allow_hyphen_values = true)]
    pub(crate) class_offset: i64,
    /// Use only pictures whose path contains this text.
    #[arg(long)]
    pub(crate) matching: Option<String>,
    /// Leave out pictures whose path contains this text; may be given several times.
    #[arg(long)]
    pub(crate) not_matching: Vec<String>,
    /// Use N pictures: the first in the order of the CSV file, else of the paths; `fit-klt` draws them
    /// from all.
    #[arg(long)]
    pub(crate) limit: Option<usize>,
}

/// A picture to be read.
#[derive(Debug, Clone)]
pub(crate) struct Picture {
    pub(crate) path: PathBuf,
    /// Its class, where it is known.
    pub(crate) class: Option<usize>,
}

impl PictureArgs {
    /// The pictures and, where `need_classes`, a class for each.
    pub(crate) fn find(&self, labels: &[String], need_classes: bool) -> Result<Vec<Picture>> {
        let mut pictures = match (&self.partition, self.part) {
            (Some(path), Some(part)) => self.of_partition(path, part, labels, need_classes)?,
            _ => self.of_folders(labels, need_classes)?,
        };
        if let Some(limit) = self.limit {
            pictures.truncate(limit);
        }
        ensure!(!pictures.is_empty(), "no picture is left to use");
        Ok(pictures)
    }

    fn of_folders(&self, labels: &[String], need_classes: bool) -> Result<Vec<Picture>> {
        let mut files = Vec::new();
        for folder in &self.images {
            files.extend(files_below(folder)?);
        }
        files.retain(|path| self.wanted(path));
        if self.labels == "folders" {
            from_folders(files, labels, need_classes)
        } else {
            self.listed_in_csv(&files, labels.len())
        }
    }

    fn of_partition(
        &self,
        path: &Path,
        part: Part,
        labels: &[String],
        need_classes: bool,
    ) -> Result<Vec<Picture>> {
        let Partition {
            roots,
            classes,
            pictures,
            ..
        } = Partition::read(path)?;
        ensure!(
            !need_classes || classes == labels,
            "{} has other classes than the model: its first is {}, the model's {}",
            path.display(),
            classes.first().map_or("none", String::as_str),
            labels.first().map_or("none", String::as_str)
        );
        let known = classes == labels;
        Ok(pictures
            .into_iter()
            .filter(|entry| entry.part == part)
            .map(|entry| Picture {
                path: roots[entry.root].join(entry.path),
                class: known.then_some(entry.class),
            })
            .filter(|picture| self.wanted(&picture.path))
            .collect())
    }

    /// Whether a picture of this path is to be used.
    fn wanted(&self, path: &Path) -> bool {
        let path = path.to_string_lossy();
        self.matching
            .as_ref()
            .is_none_or(|text| path.contains(text))
            && !self.not_matching.iter().any(|text| path.contains(text))
    }

    /// Pictures from all over, in a random order, and `held_out` others; classes are not needed. At
    /// least `least` must remain beside those held out.
    pub(crate) fn draw(
        &self,
        labels: &[String],
        seed: u64,
        held_out: usize,
        least: usize,
    ) -> Result<(Vec<Picture>, Vec<Picture>)> {
        // A limit takes pictures from all over, not those whose names come first.
        let unlimited = Self {
            limit: None,
            ..self.clone()
        };
        let mut pictures = unlimited.find(labels, false)?;
        shuffle(&mut pictures, seed);
        pictures.truncate(self.limit.unwrap_or(usize::MAX));
        ensure!(
            pictures.len() >= held_out + least,
            "{} pictures are too few to hold {held_out} out",
            pictures.len()
        );
        let held_out = pictures.split_off(pictures.len() - held_out);
        Ok((pictures, held_out))
    }

    fn listed_in_csv(&self, files: &[PathBuf], classes: usize) -> Result<Vec<Picture>> {
        let mut by_name: HashMap<String, &PathBuf> = HashMap::new();
        for path in files {
            for name in [path.file_stem(), path.file_name()].into_iter().flatten() {
                by_name.insert(name.to_string_lossy().into_owned(), path);
            }
        }
        let rows = read_csv(
            Path::new(&self.labels),
            &self.file_column,
            &self.class_column,
            self.class_offset,
            classes,
        )?;
        Ok(rows
            .into_iter()
            .filter_map(|(name, class)| {
                by_name.get(&name).map(|path| Picture {
                    path: (*path).clone(),
                    class: Some(class),
                })
            })
            .collect())
    }
}

/// The Fisher-Yates shuffle, driven by SplitMix64 so that a seed gives the same order everywhere.
fn shuffle<T>(items: &mut [T], seed: u64) {
    let mut state = seed;
    for i in (1..items.len()).rev() {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^= z >> 31;
        items.swap(i, (z % (i as u64 + 1)) as usize);
    }
}

/// The picture files below `folder`, in the order of their paths; an error where there are none.
pub(super) fn files_below(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in WalkDir::new(folder).sort_by_file_name() {
        let entry = entry.with_context(|| format!("listing {}", folder.display()))?;
        if entry.file_type().is_file() && is_picture(entry.path()) {
            files.push(entry.into_path());
        }
    }
    ensure!(
        !files.is_empty(),
        "{} holds no JPEG, PNG or WebP pictures",
        folder.display()
    );
    Ok(files)
}

fn from_folders(files: Vec<PathBuf>, labels: &[String], need: bool) -> Result<Vec<Picture>> {
    let names = ClassNames::new(labels);
    files
        .into_iter()
        .map(|path| {
            let folder = path.parent().and_then(Path::file_name).unwrap_or_default();
            let folder = folder.to_string_lossy();
            let class = names.of_folder(&folder);
            if need && class.is_none() {
                bail!(
                    "{}: the folder `{folder}` is no class; name folders by WordNet id, class name or number, or give --labels FILE.csv",
                    path.display()
                );
            }
            Ok(Picture { path, class })
        })
        .collect()
}

fn is_picture(path: &Path) -> bool {
    path.extension().is_some_and(|extension| {
        ["jpg", "jpeg", "png", "webp"]
            .iter()
            .any(|known| extension.eq_ignore_ascii_case(known))
    })
}

/// A picture file's pixels.
pub(super) fn read_rgb(path: &Path) -> Result<RgbImage> {
    let image = ImageReader::open(path)
        .and_then(ImageReader::with_guessed_format)
        .with_context(|| format!("reading {}", path.display()))?
        .decode()
        .with_context(|| format!("decoding {}", path.display()))?;
    Ok(image.into_rgb8())
}

/// Reads pictures as the network wants them.
pub(crate) struct Loader<'a> {
    pub(crate) preprocessing: &'a Preprocessing,
}

impl Loader<'_> {
    /// 224x224 pixels of RGB for each picture that can be read; the others' errors.
    pub(crate) fn read(
        &self,
        pictures: &[Picture],
    ) -> (Vec<(Picture, Vec<u8>)>, Vec<anyhow::Error>) {
        let results: Vec<Result<_>> = pictures
            .par_iter()
            .map(|picture| Ok((picture.clone(), self.read_one(&picture.path)?)))
            .collect();
        let mut read = Vec::new();
        let mut broken = Vec::new();
        for result in results {
            match result {
                Ok(picture) => read.push(picture),
                Err(error) => broken.push(error),
            }
        }
        (read, broken)
    }

    fn read_one(&self, path: &Path) -> Result<Vec<u8>> {
        let image = read_rgb(path)?;
        centre_crop(&image, 3, image.width(), image.height(), self.preprocessing)
            .with_context(|| format!("preparing {}", path.display()))
    }

    /// Pixels of `n` pictures to the input `[n, 3, 224, 224]`.
    pub(crate) fn input<'p>(
        &self,
        pixels: impl Iterator<Item = &'p [u8]>,
        device: &Device,
    ) -> Tensor<4> {
        input(pixels, self.preprocessing, device)
    }
}

/// Pixels of `n` pictures, 224x224 RGB each, to the input `[n, 3, 224, 224]`.
pub(crate) fn input<'p>(
    pixels: impl Iterator<Item = &'p [u8]>,
    preprocessing: &Preprocessing,
    device: &Device,
) -> Tensor<4> {
    let values: Vec<f32> = pixels
        .flat_map(|rgb| normalise(rgb, preprocessing))
        .collect();
    let n = values.len() / (3 * INPUT * INPUT);
    Tensor::from_data(TensorData::new(values, [n, 3, INPUT, INPUT]), device)
}

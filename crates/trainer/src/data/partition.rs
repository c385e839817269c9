//! `trainer split`: which pictures are for training, which for choosing, which for the final figure.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use aecnn::digest::sha256_hex;
use anyhow::{Context, Result, ensure};
use clap::{Args, ValueEnum};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::pictures::files_below;
use crate::progress::{bar, report_broken};
use crate::random::Random;
use crate::say;

/// The value of a partition's `format`.
const FORMAT: &str = "aecnn-partition";
/// The version that this program reads and writes.
const VERSION: u32 = 1;

/// Divides pictures into training, validation and test.
///
/// Decided by the digest of each file's content: a picture that stands in several files is used once, so that
/// it cannot be in two parts, and the same files give the same parts wherever they stand. A class is a
/// picture's folder.
#[derive(Args, Debug)]
pub(crate) struct SplitArgs {
    /// Folder with one sub-folder a class; may be given several times.
    #[arg(long, required = true)]
    images: Vec<PathBuf>,
    /// Decides who goes where.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Share of the pictures for validation; with --per-class-train, of those that are left.
    #[arg(long, default_value_t = 0.1)]
    validation: f64,
    /// Share of the pictures for the test; with --per-class-train, of those that are left.
    #[arg(long, default_value_t = 0.2)]
    test: f64,
    /// Take this many pictures of each class for training, as is usual for Caltech-101 (30). The rest is
    /// divided between validation and test as --validation stands to --test.
    #[arg(long)]
    per_class_train: Option<usize>,
    /// At most this many test pictures of each class (50 is usual for Caltech-101).
    #[arg(long)]
    per_class_test: Option<usize>,
    /// Folder whose pictures must not be used: each one that stands there, under whatever name, is left out.
    #[arg(long)]
    exclude: Vec<PathBuf>,
    /// Class that is left out; may be given several times.
    #[arg(long)]
    skip_class: Vec<String>,
    /// The file to write.
    #[arg(long)]
    out: PathBuf,
}

/// What a picture is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Part {
    Train,
    Validation,
    Test,
}

impl Part {
    /// As in files and flags.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Validation => "validation",
            Self::Test => "test",
        }
    }
}

/// A picture and what it is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// The folder that it was found in: an index into [`Partition::roots`].
    pub(crate) root: usize,
    /// Its path below that folder.
    pub(crate) path: PathBuf,
    /// Of the file's bytes.
    pub(crate) sha256: String,
    /// An index into [`Partition::classes`].
    pub(crate) class: usize,
    pub(crate) part: Part,
}

/// Which picture is for what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Partition {
    format: String,
    version: u32,
    pub(crate) seed: u64,
    pub(crate) roots: Vec<PathBuf>,
    pub(crate) classes: Vec<String>,
    pub(crate) pictures: Vec<Entry>,
}

impl Partition {
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let json = std::fs::read(path)
            .with_context(|| format!("reading {}; `trainer split` writes it", path.display()))?;
        let partition: Self = serde_json::from_slice(&json)
            .with_context(|| format!("{} is no partition", path.display()))?;
        ensure!(
            partition.format == FORMAT && partition.version == VERSION,
            "{} is `{}` version {}; this program reads `{FORMAT}` version {VERSION}",
            path.display(),
            partition.format,
            partition.version
        );
        for entry in &partition.pictures {
            ensure!(
                entry.class < partition.classes.len() && entry.root < partition.roots.len(),
                "{} contradicts itself at {}",
                path.display(),
                entry.path.display()
            );
        }
        Ok(partition)
    }
}

/// How pictures are divided.
#[derive(Debug, Clone, Copy)]
struct Shares {
    seed: u64,
    validation: f64,
    test: f64,
    per_class_train: Option<usize>,
    per_class_test: Option<usize>,
}

pub(crate) fn run(args: &SplitArgs) -> Result<()> {
    ensure!(
        args.validation >= 0.0 && args.test >= 0.0 && args.validation + args.test <= 1.0,
        "--validation {} and --test {} must be shares that leave something",
        args.validation,
        args.test
    );
    let excluded = excluded(&args.exclude)?;
    let mut found = Vec::new();
    for (root, folder) in args.images.iter().enumerate() {
        found.extend(files_below(folder)?.into_iter().map(|path| (root, path)));
    }
    let progress = bar(found.len(), "digests");
    let digests: Vec<Result<String>> = found
        .par_iter()
        .map(|(_, path)| {
            progress.inc(1);
            digest(path)
        })
        .collect();
    progress.finish_and_clear();

    let mut seen = HashSet::new();
    let (mut doubles, mut left_out) = (0, 0);
    let mut kept = Vec::new();
    for ((root, path), digest) in found.into_iter().zip(digests) {
        let digest = match digest {
            Ok(digest) => digest,
            Err(error) => {
                report_broken(&progress, &[error]);
                continue;
            }
        };
        let class = class_of(&path);
        if args.skip_class.contains(&class) {
            continue;
        }
        if excluded.contains(&digest) {
            left_out += 1;
        } else if seen.insert(digest.clone()) {
            let path = path
                .strip_prefix(&args.images[root])
                .unwrap_or(&path)
                .to_owned();
            kept.push((root, path, digest, class));
        } else {
            doubles += 1;
        }
    }
    ensure!(!kept.is_empty(), "no picture is left");

    let mut classes: Vec<String> = kept.iter().map(|(.., class)| class.clone()).collect();
    classes.sort_unstable();
    classes.dedup();
    let numbered: Vec<(usize, &str)> = kept
        .iter()
        .map(|(.., digest, class)| {
            let class = classes.binary_search(class).unwrap_or_default();
            (class, digest.as_str())
        })
        .collect();
    let parts = divide(
        &numbered,
        Shares {
            seed: args.seed,
            validation: args.validation,
            test: args.test,
            per_class_train: args.per_class_train,
            per_class_test: args.per_class_test,
        },
    );
    let pictures: Vec<Entry> = kept
        .iter()
        .zip(&numbered)
        .zip(parts)
        .filter_map(|(((root, path, sha256, _), (class, _)), part)| {
            part.map(|part| Entry {
                root: *root,
                path: path.clone(),
                sha256: sha256.clone(),
                class: *class,
                part,
            })
        })
        .collect();
    let count = |part| pictures.iter().filter(|entry| entry.part == part).count();
    say!(
        "{} classes: {} pictures to train, {} to validate, {} to test; {doubles} doubles and {left_out} excluded \
         pictures left out",
        classes.len(),
        count(Part::Train),
        count(Part::Validation),
        count(Part::Test)
    );
    let partition = Partition {
        format: FORMAT.to_owned(),
        version: VERSION,
        seed: args.seed,
        roots: args.images.clone(),
        classes,
        pictures,
    };
    let json = format!("{}\n", serde_json::to_string_pretty(&partition)?);
    std::fs::write(&args.out, json).with_context(|| format!("writing {}", args.out.display()))
}

fn excluded(folders: &[PathBuf]) -> Result<HashSet<String>> {
    let mut files = Vec::new();
    for folder in folders {
        files.extend(files_below(folder)?);
    }
    files.par_iter().map(|path| digest(path)).collect()
}

fn digest(path: &Path) -> Result<String> {
    let bytes = std::fs::read(path).with_context(|| format!("reading {}", path.display()))?;
    Ok(sha256_hex(&bytes))
}

fn class_of(path: &Path) -> String {
    let folder = path.parent().and_then(Path::file_name).unwrap_or_default();
    folder.to_string_lossy().into_owned()
}

/// The part of each picture `(class, digest)`; `None` for those that are not used.
fn divide(pictures: &[(usize, &str)], shares: Shares) -> Vec<Option<Part>> {
    // Where a picture stands in [0, 1) depends on the seed and its content alone.
    let place = |digest: &str| {
        let word = |at: usize| {
            digest
                .get(at..at + 16)
                .and_then(|hex| u64::from_str_radix(hex, 16).ok())
                .unwrap_or_default()
        };
        Random::of(&[shares.seed, word(0), word(16)]).unit()
    };
    let by_share = |place: f64, validation: f64, test: f64| {
        if place < validation {
            Part::Validation
        } else if place < validation + test {
            Part::Test
        } else {
            Part::Train
        }
    };
    let mut by_class: BTreeMap<usize, Vec<(f64, usize)>> = BTreeMap::new();
    for (at, (class, digest)) in pictures.iter().enumerate() {
        by_class
            .entry(*class)
            .or_default()
            .push((place(digest), at));
    }
    let mut parts = vec![None; pictures.len()];
    for members in by_class.values_mut() {
        members.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut tests = 0;
        for (rank, (place, at)) in members.iter().enumerate() {
            let part = match shares.per_class_train {
                None => by_share(*place, shares.validation, shares.test),
                Some(n) if rank < n => Part::Train,
                Some(_) => {
                    // The rank has used the place up; a fresh draw decides between the other two.
                    let whole = (shares.validation + shares.test).max(f64::MIN_POSITIVE);
                    let draw = Random::of(&[shares.seed, place.to_bits()]).unit();
                    if draw < shares.validation / whole {
                        Part::Validation
                    } else {
                        Part::Test
                    }
                }
            };
            tests += usize::from(part == Part::Test);
            let wanted = part != Part::Test || shares.per_class_test.is_none_or(|n| tests <= n);
            parts[*at] = wanted.then_some(part);
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digests(n: usize) -> Vec<String> {
        (0..n).map(|i| sha256_hex(&i.to_le_bytes())).collect()
    }

    fn shares(seed: u64) -> Shares {
        Shares {
            seed,
            validation: 0.1,
            test: 0.2,
            per_class_train: None,
            per_class_test: None,
        }
    }

    #[test]
    fn parts_depend_on_content_and_seed_alone() {
        let digests = digests(2000);
        let pictures: Vec<_> = digests.iter().map(|d| (0, d.as_str())).collect();
        let parts = divide(&pictures, shares(1));
        let share = |part| parts.iter().filter(|p| **p == Some(part)).count() as f64 / 2000.0;
        assert!((share(Part::Validation) - 0.1).abs() < 0.03);
        assert!((share(Part::Test) - 0.2).abs() < 0.03);
        let half = divide(&pictures[..1000], shares(1));
        assert_eq!(half, parts[..1000]);
        assert_ne!(divide(&pictures, shares(2)), parts);
    }

    #[test]
    fn every_class_gets_its_training_pictures() {
        let digests = digests(300);
        let pictures: Vec<_> = digests
            .iter()
            .enumerate()
            .map(|(i, d)| (i % 3, d.as_str()))
            .collect();
        let shares = Shares {
            per_class_train: Some(30),
            per_class_test: Some(20),
            ..shares(1)
        };
        let parts = divide(&pictures, shares);
        for class in 0..3 {
            let of = |part| {
                let is = |(picture, p): &(&(usize, &str), &Option<Part>)| {
                    picture.0 == class && **p == Some(part)
                };
                pictures.iter().zip(&parts).filter(is).count()
            };
            assert_eq!(of(Part::Train), 30);
            assert_eq!(of(Part::Test), 20);
            assert!(of(Part::Validation) > 10);
        }
    }

    #[test]
    fn doubles_and_excluded_pictures_are_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for (name, content) in [
            ("in/a/1.jpg", "one"),
            ("in/a/2.jpg", "two"),
            ("in/b/3.jpg", "one"),
            ("in/b/4.jpg", "four"),
            ("in/c/5.jpg", "five"),
            ("held/x.jpg", "two"),
        ] {
            std::fs::create_dir_all(at(name).parent().unwrap()).unwrap();
            std::fs::write(at(name), content).unwrap();
        }
        let args = SplitArgs {
            images: vec![at("in")],
            seed: 1,
            validation: 0.0,
            test: 0.0,
            per_class_train: None,
            per_class_test: None,
            exclude: vec![at("held")],
            skip_class: vec!["c".to_owned()],
            out: at("parts.json"),
        };
        run(&args).unwrap();
        let partition = Partition::read(&at("parts.json")).unwrap();
        let paths: Vec<_> = partition.pictures.iter().map(|p| p.path.clone()).collect();
        assert_eq!(paths, [PathBuf::from("a/1.jpg"), PathBuf::from("b/4.jpg")]);
        assert_eq!(partition.classes, ["a", "b"]);
        assert_eq!(partition.pictures[0].sha256, sha256_hex(b"one"));
    }
}

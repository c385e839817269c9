//! `trainer pack`: decodes a partition's pictures and stores them small.

use std::path::PathBuf;

use aecnn::digest::sha256_hex;
use anyhow::{Context, Result, ensure};
use clap::Args;
use jpeg_encoder::{ColorType, Encoder, SamplingFactor};
use rayon::prelude::*;

use super::augment::{Window, resample};
use super::pack::{NewPicture, SIDE, write};
use super::partition::{Entry, Partition};
use super::pictures::read_rgb;
use crate::progress::{bar, report_broken};
use crate::say;

/// The quality of the stored JPEGs.
const QUALITY: u8 = 92;

/// Stores the pictures of a partition in one compact file for training.
///
/// Each is cut to its central square, resampled to 256x256 and stored as JPEG. Pictures that cannot be read are
/// named and left out.
#[derive(Args, Debug)]
pub(crate) struct PackArgs {
    /// The partition that `trainer split` wrote.
    #[arg(long)]
    manifest: PathBuf,
    /// The file to write.
    #[arg(long)]
    out: PathBuf,
}

pub(crate) fn run(args: &PackArgs) -> Result<()> {
    let partition = Partition::read(&args.manifest)?;
    let progress = bar(partition.pictures.len(), "pictures");
    let packed: Vec<Result<NewPicture>> = partition
        .pictures
        .par_iter()
        .map(|entry| {
            progress.inc(1);
            pack_one(&partition, entry)
        })
        .collect();
    let mut pictures = Vec::new();
    let mut broken = Vec::new();
    for result in packed {
        match result {
            Ok(picture) => pictures.push(picture),
            Err(error) => broken.push(error),
        }
    }
    report_broken(&progress, &broken);
    progress.finish_and_clear();
    ensure!(!pictures.is_empty(), "no picture could be read");
    write(&args.out, partition.classes, &pictures)
        .with_context(|| format!("writing {}", args.out.display()))?;
    say!(
        "{}: {} pictures, {} skipped",
        args.out.display(),
        pictures.len(),
        broken.len()
    );
    Ok(())
}

fn pack_one(partition: &Partition, entry: &Entry) -> Result<NewPicture> {
    let path = partition.roots[entry.root].join(&entry.path);
    let bytes = std::fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
    ensure!(
        sha256_hex(&bytes) == entry.sha256,
        "{} has changed since it was assigned to a part",
        path.display()
    );
    let image = read_rgb(&path)?;
    let (width, height) = image.dimensions();
    let side = f64::from(width.min(height));
    let window = Window {
        left: (f64::from(width) - side) / 2.0,
        top: (f64::from(height) - side) / 2.0,
        width: side,
        height: side,
        flip: false,
    };
    let square = resample(&image, width, height, window, SIDE)
        .with_context(|| format!("preparing {}", path.display()))?;
    Ok(NewPicture {
        class: entry.class,
        part: entry.part,
        source_sha256: entry.sha256.clone(),
        jpeg: encode(&square)?,
    })
}

/// 256x256 RGB as JPEG.
pub(super) fn encode(rgb: &[u8]) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(&mut bytes, QUALITY);
    encoder.set_sampling_factor(SamplingFactor::F_2_2);
    encoder.encode(rgb, SIDE as u16, SIDE as u16, ColorType::Rgb)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::pack::Pack;
    use crate::data::partition::{self, SplitArgs};
    use clap::Parser;
    use image::RgbImage;

    #[derive(Parser)]
    struct SplitCommand {
        #[command(flatten)]
        args: SplitArgs,
    }

    #[test]
    fn broken_pictures_are_left_out_and_the_rest_is_packed() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir_all(at("in/a")).unwrap();
        let wide = RgbImage::from_fn(400, 100, |x, _| {
            image::Rgb(if (150..250).contains(&x) {
                [0, 255, 0]
            } else {
                [255, 0, 0]
            })
        });
        wide.save(at("in/a/wide.png")).unwrap();
        std::fs::write(at("in/a/broken.jpg"), "no picture").unwrap();
        let text = |name: &str| at(name).to_string_lossy().into_owned();
        let split =
            SplitCommand::parse_from(["", "--images", &text("in"), "--out", &text("m.json")]);
        partition::run(&split.args).unwrap();
        run(&PackArgs {
            manifest: at("m.json"),
            out: at("a.pack"),
        })
        .unwrap();
        let pack = Pack::open(&at("a.pack")).unwrap();
        assert_eq!(pack.pictures.len(), 1);
        let pixels = pack.pixels(0).unwrap();
        let middle = &pixels[(128 * SIDE + 128) * 3..][..3];
        assert!(middle[1] > 200 && middle[0] < 60, "{middle:?}");
    }
}

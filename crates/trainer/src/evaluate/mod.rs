//! `trainer evaluate`: bytes and accuracy, measured.

mod command;
mod pictures;
pub(crate) mod summary;

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;

use aecnn::Split;
use aecnn::codec::CodecFile;
use aecnn::resnet::{Front, Precision, ResNet50};
use anyhow::{Context, Result, bail};
use burn::tensor::Device;
use clap::Args;
use rayon::prelude::*;
use serde::Serialize;
use wire::HEADER_BYTES;

use crate::data::{Loader, Picture, PictureArgs};
use crate::measure::{BATCH, Codec, Coded, Top5, rows, top5};
use crate::model::{ModelFolder, read_codec};
use crate::progress::{bar, report_broken};
use pictures::PictureCodec;
pub(crate) use summary::wilson;
use summary::{Counts, Method, Summary};

/// Measures codecs: bytes a picture from real payloads, accuracy from decoded bytes.
///
/// The uncompressed network runs on the same pictures, so that drops are paired.
#[derive(Args, Debug)]
pub(crate) struct EvaluateArgs {
    /// The model folder.
    #[arg(long, default_value = "models/resnet50-imagenet")]
    model: PathBuf,
    /// A codec file; may be given several times. Every rate in it is measured.
    #[arg(long)]
    codec: Vec<PathBuf>,
    /// Measure only rates of these names.
    #[arg(long, value_delimiter = ',')]
    rate: Vec<String>,
    /// Picture codecs to measure beside it, as what a client would upload: jpeg, webp.
    #[arg(long, value_delimiter = ',')]
    baseline: Vec<PictureCodec>,
    /// Qualities of the picture codecs, 1 to 100.
    #[arg(long, value_delimiter = ',', default_value = "5,10,20,30,50,75,90")]
    quality: Vec<u8>,
    /// Compute the features that codecs get by products of 8-bit numbers, as devices do where the processor has them.
    #[arg(long)]
    coarse: bool,
    #[command(flatten)]
    pictures: PictureArgs,
    /// Write the result as JSON.
    #[arg(long)]
    json: Option<PathBuf>,
    /// What the pictures are called in reports, in a few words; kept in the JSON. `trainer report`
    /// puts evaluations of the same title together.
    #[arg(long)]
    title: Option<String>,
    /// Which pictures these are, how they were chosen, and what their figures do not say; kept in
    /// the JSON, so that an evaluation's limits travel with it.
    #[arg(long)]
    about: Option<String>,
    /// Put a record of every picture into the JSON.
    #[arg(long)]
    predictions: bool,
}

#[derive(Serialize)]
struct Report {
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    about: Option<String>,
    /// How to run it again, without the names of this machine's folders.
    command: String,
    model: String,
    variant: aecnn::Variant,
    crop: f64,
    pictures: usize,
    skipped: usize,
    header_bytes: usize,
    uncompressed: Summary,
    methods: Vec<Summary>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    predictions: Vec<Prediction>,
}

/// What every method made of one picture, in the order of the report's `methods`.
#[derive(Serialize)]
struct Prediction {
    file: String,
    class: usize,
    uncompressed: usize,
    bytes: Vec<usize>,
    top1: Vec<usize>,
}

pub(crate) fn run(args: &EvaluateArgs) -> Result<()> {
    let device = Device::flex();
    let model = ModelFolder::open(&args.model)?;
    let network = model.network(&device)?;
    let files = args
        .codec
        .iter()
        .map(|path| {
            let mut codec = read_codec(path)?;
            let names: Vec<String> = codec.rates.iter().map(|rate| rate.name.clone()).collect();
            codec
                .rates
                .retain(|rate| args.rate.is_empty() || args.rate.contains(&rate.name));
            if codec.rates.is_empty() {
                bail!(
                    "{} has none of the rates wanted; it has {}",
                    path.display(),
                    names.join(", ")
                );
            }
            if codec.model != model.manifest.digest {
                bail!(
                    "{} was made for the network {}, not for {} ({})",
                    path.display(),
                    codec.model,
                    model.manifest.name,
                    model.manifest.digest
                );
            }
            Ok(codec)
        })
        .collect::<Result<Vec<_>>>()?;
    let pictures = args.pictures.find(&model.labels()?, true)?;

    let mut evaluation = Evaluation::new(args, &model, &network, &files, &device)?;
    evaluation.run(&pictures)?;
    let report = evaluation.report(args);
    summary::print(
        &report.uncompressed,
        &report.methods.iter().collect::<Vec<_>>(),
    );
    if let Some(path) = &args.json {
        let json = format!("{}\n", serde_json::to_string_pretty(&report)?);
        std::fs::write(path, json).with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(())
}

struct Evaluation<'a> {
    model: &'a ModelFolder,
    network: &'a ResNet50,
    /// Of every split that has a codec.
    fronts: HashMap<Split, Front>,
    files: &'a [CodecFile],
    codecs: Vec<Codec<'a>>,
    picture_codecs: Vec<(PictureCodec, u8)>,
    device: &'a Device,
    /// The uncompressed network's answers, then every method's.
    uncompressed: Counts,
    methods: Vec<Counts>,
    predictions: Vec<Prediction>,
    skipped: usize,
}

impl<'a> Evaluation<'a> {
    fn new(
        args: &EvaluateArgs,
        model: &'a ModelFolder,
        network: &'a ResNet50,
        files: &'a [CodecFile],
        device: &'a Device,
    ) -> Result<Self> {
        let variant = model.manifest.variant;
        let of_codecs = files.iter().flat_map(|file| {
            file.rates.iter().map(move |rate| Method {
                name: file.name.clone(),
                rate: rate.name.clone(),
                split: Some(file.split),
                channels: Some(rate.channels()),
                whole_feature_bytes: Some(file.split.whole_feature().fp32_bytes()),
                sent_feature_bytes: Some(variant.feature_shape(file.split).fp32_bytes()),
            })
        });
        let picture_codecs: Vec<(PictureCodec, u8)> = args
            .baseline
            .iter()
            .flat_map(|codec| args.quality.iter().map(move |quality| (*codec, *quality)))
            .collect();
        let of_pictures = picture_codecs.iter().map(|(codec, quality)| Method {
            name: codec.name().to_owned(),
            rate: format!("q{quality}"),
            split: None,
            channels: None,
            whole_feature_bytes: None,
            sent_feature_bytes: None,
        });
        let splits: HashSet<Split> = files.iter().map(|file| file.split).collect();
        let fronts = splits.into_iter().map(|split| {
            let front = match args.coarse {
                true => model.front(split, Precision::Coarse, device)?,
                false => network.front(split),
            };
            Ok((split, front))
        });
        Ok(Self {
            model,
            network,
            fronts: fronts.collect::<Result<_>>()?,
            files,
            codecs: files
                .iter()
                .map(|file| Codec::new(file, device))
                .collect::<Result<_>>()?,
            methods: of_codecs.chain(of_pictures).map(Counts::new).collect(),
            picture_codecs,
            device,
            uncompressed: Counts::new(Method::uncompressed()),
            predictions: Vec::new(),
            skipped: 0,
        })
    }

    fn run(&mut self, pictures: &[Picture]) -> Result<()> {
        let progress = bar(pictures.len(), "evaluating");
        for batch in pictures.chunks(BATCH) {
            let loader = Loader {
                preprocessing: &self.model.manifest.preprocessing,
            };
            let (read, broken) = loader.read(batch);
            report_broken(&progress, &broken);
            self.skipped += broken.len();
            if !read.is_empty() {
                self.batch(&loader, &read)?;
            }
            progress.inc(batch.len() as u64);
        }
        progress.finish_and_clear();
        Ok(())
    }

    fn batch(&mut self, loader: &Loader<'_>, read: &[(Picture, Vec<u8>)]) -> Result<()> {
        let input = loader.input(read.iter().map(|(_, rgb)| rgb.as_slice()), self.device);
        let reference: Vec<Top5> = rows(self.network.forward(input.clone()))?
            .iter()
            .map(|logits| top5(logits))
            .collect();
        let mut answers: Vec<Vec<Coded>> = Vec::new();
        // Codecs of one split share its feature.
        let mut features = HashMap::new();
        for (file, codec) in self.files.iter().zip(&self.codecs) {
            let tail = self.network.tail(file.split);
            let feature = features
                .entry(file.split)
                .or_insert_with(|| self.fronts[&file.split].forward(input.clone()));
            let latents = codec.latents(feature.clone())?;
            for rate in &file.rates {
                answers.push(codec.code(&latents, rate, &tail)?);
            }
        }
        for (codec, quality) in &self.picture_codecs {
            answers.push(self.send_pictures(loader, *codec, *quality, read)?);
        }
        for (at, (picture, _)) in read.iter().enumerate() {
            let class = picture.class.context("a picture without a class")?;
            let reference = &reference[at];
            self.uncompressed.add(0, reference, reference, class);
            for (counts, coded) in self.methods.iter_mut().zip(&answers) {
                counts.add(coded[at].bytes, &coded[at].top, reference, class);
            }
            self.predictions.push(Prediction {
                file: picture
                    .path
                    .file_name()
                    .unwrap_or_default()
                    .to_string_lossy()
                    .into_owned(),
                class,
                uncompressed: reference[0],
                bytes: answers.iter().map(|coded| coded[at].bytes).collect(),
                top1: answers.iter().map(|coded| coded[at].top[0]).collect(),
            });
        }
        Ok(())
    }

    /// Direct offloading: the 224x224 picture is compressed, sent, decoded and recognised.
    fn send_pictures(
        &self,
        loader: &Loader<'_>,
        codec: PictureCodec,
        quality: u8,
        read: &[(Picture, Vec<u8>)],
    ) -> Result<Vec<Coded>> {
        let sent = read
            .par_iter()
            .map(|(_, rgb)| codec.round_trip(rgb, quality))
            .collect::<Result<Vec<_>>>()?;
        let input = loader.input(sent.iter().map(|(_, rgb)| rgb.as_slice()), self.device);
        let answers = rows(self.network.forward(input))?;
        Ok(sent
            .iter()
            .zip(answers)
            .map(|((bytes, _), logits)| Coded {
                bytes: HEADER_BYTES + bytes,
                top: top5(&logits),
                logits,
            })
            .collect())
    }

    fn report(self, args: &EvaluateArgs) -> Report {
        Report {
            title: args.title.clone(),
            about: args.about.clone(),
            command: command::of(args),
            model: self.model.manifest.name.clone(),
            variant: self.model.manifest.variant,
            crop: self.model.manifest.preprocessing.crop,
            pictures: self.predictions.len(),
            skipped: self.skipped,
            header_bytes: HEADER_BYTES,
            uncompressed: self.uncompressed.summary(),
            methods: self.methods.iter().map(Counts::summary).collect(),
            predictions: if args.predictions {
                self.predictions
            } else {
                Vec::new()
            },
        }
    }
}

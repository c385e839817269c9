//! `trainer train-network`: step 1 alone, and the network as a model folder of its own classes.

use std::fs;
use std::path::{Path, PathBuf};

use aecnn::Split;
use aecnn::manifest::{Manifest, PartEntry, Provenance};
use aecnn::resnet::trainable::ResNet50;
use aecnn::resnet::{HEAD, part_names};
use anyhow::{Context, Result, ensure};
use clap::Args;

use super::harness::{DataArgs, Harness};
use super::network::Unfreeze;
use crate::import::{Array, part_bytes};
use crate::model::{write_file, write_manifest};
use crate::say;
use crate::train::{Named, Stop, collect};

/// Brings the network to a data set, and writes it as a model folder of its own.
///
/// Step 1 of `train-aecnn` and `train-bottlenet` alone, which find it where --network is. The folder has the data set's classes:
/// `fit-klt` and `train-rate` make codecs for it with --model, `evaluate` measures them, and an edge server that finds it among its
/// models serves it.
#[derive(Args, Debug, Clone)]
pub(crate) struct TrainNetworkArgs {
    #[command(flatten)]
    pub(super) data: DataArgs,
    /// The model folder to write, such as models/flowers; its last part is the model's name.
    #[arg(long)]
    pub(super) export: PathBuf,
}

pub(crate) fn run(args: &TrainNetworkArgs) -> Result<()> {
    let stop = Stop::install(args.data.minutes)?;
    if train(args, stop)?.is_none() {
        say!("stopped; the same command goes on from here");
    }
    Ok(())
}

/// Trains to the end and writes the folder. `None`: stopped before, to go on later.
pub(super) fn train(args: &TrainNetworkArgs, stop: Stop) -> Result<Option<Manifest>> {
    ensure!(
        !args.export.join("manifest.json").exists(),
        "{} holds a model already; name another folder, or delete it first",
        args.export.display()
    );
    let harness = Harness::open(&args.data, stop)?;
    let Some((network, _)) = harness.network(Split::Stage4)? else {
        return Ok(None);
    };
    let manifest = write(&harness, &network, &args.export)?;
    say!(
        "wrote {}: {} classes, {}",
        args.export.display(),
        manifest.classes,
        manifest.digest
    );
    Ok(Some(manifest))
}

fn write(harness: &Harness, network: &ResNet50, out: &Path) -> Result<Manifest> {
    fs::create_dir_all(out).with_context(|| format!("making {}", out.display()))?;
    let base = &harness.model.manifest;
    let tensors = by_part(collect(network)?)?;
    let part = |name: &str| -> Result<PartEntry> {
        let before = base.part(name).context("a part is missing")?;
        // What did not learn stays the same file, which whoever has it need not fetch again.
        let learned = name == HEAD || harness.args.network_args.unfreeze != Unfreeze::None;
        let bytes = if learned {
            let of_part = tensors.iter().filter(|(part, ..)| part == name);
            part_bytes(
                &of_part
                    .map(|(_, tensor, array)| (tensor.clone(), array.clone()))
                    .collect::<Vec<_>>(),
                false,
            )?
        } else {
            let path = harness.model.path.join(&before.file.file);
            let bytes = fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
            before.file.check(&bytes)?;
            bytes
        };
        Ok(PartEntry {
            name: name.to_owned(),
            file: write_file(out, &before.file.file, &bytes)?,
        })
    };
    let labels = serde_json::to_string_pretty(&harness.pack.classes)?;
    let name = out
        .file_name()
        .context("the model folder needs a name")?
        .to_string_lossy()
        .into_owned();
    let mut manifest = Manifest {
        name,
        classes: harness.classes(),
        parts: part_names().into_iter().map(part).collect::<Result<_>>()?,
        labels: write_file(out, "labels.json", format!("{labels}\n").as_bytes())?,
        codecs: Vec::new(),
        provenance: Provenance {
            source: format!("{}, trained on a data set of one's own", base.name),
            source_sha256: harness.pack.digest.clone(),
            licence: base.provenance.licence.clone(),
            attribution: base.provenance.attribution.clone(),
        },
        digest: String::new(),
        ..base.clone()
    };
    manifest.digest = manifest.network_digest();
    write_manifest(out, &manifest)?;
    Ok(manifest)
}

/// A module's parameters as a model's files have them: part, tensor, values.
fn by_part(parameters: Named) -> Result<Vec<(String, String, Array)>> {
    parameters
        .into_iter()
        .map(|(path, data)| {
            let name = tensor_name(&path)?;
            let part = name.split('.').next().unwrap_or_default().to_owned();
            let mut array = Array {
                shape: data.shape().to_vec(),
                values: data.iter::<f32>().collect(),
            };
            if name == "head.weight" {
                array = array.transposed()?;
            }
            Ok((part, name, array))
        })
        .collect()
}

/// `stages.0.blocks.1.conv2.weight` is `stage1.1.conv2.weight` in a model's files.
fn tensor_name(path: &str) -> Result<String> {
    let Some(rest) = path.strip_prefix("stages.") else {
        return Ok(path.to_owned());
    };
    let (stage, rest) = rest
        .split_once('.')
        .with_context(|| format!("`{path}` is no stage's"))?;
    let stage: usize = stage
        .parse()
        .with_context(|| format!("`{path}` is no stage's"))?;
    Ok(format!(
        "stage{}.{}",
        stage + 1,
        rest.strip_prefix("blocks.").unwrap_or(rest)
    ))
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use safetensors::SafeTensors;

    use super::*;
    use crate::model::ModelFolder;

    #[test]
    fn parameters_are_called_what_a_models_files_call_them() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/resnet50-imagenet");
        let model = ModelFolder::open(&path).unwrap();
        let network = model.trainable(&Device::flex()).unwrap();
        let tensors = by_part(collect(&network).unwrap()).unwrap();
        for name in part_names() {
            let mut of_part: Vec<(String, Array)> = tensors
                .iter()
                .filter(|(part, ..)| part == name)
                .map(|(_, tensor, array)| (tensor.clone(), array.clone()))
                .collect();
            of_part.sort_by(|a, b| a.0.cmp(&b.0));
            let file = path.join(&model.manifest.part(name).unwrap().file.file);
            let bytes = fs::read(file).unwrap();
            let before = SafeTensors::deserialize(&bytes).unwrap();
            let again = part_bytes(&of_part, false).unwrap();
            let again = SafeTensors::deserialize(&again).unwrap();
            assert_eq!(before.len(), again.len(), "{name}");
            for (tensor, view) in before.iter() {
                let other = again.tensor(tensor).unwrap();
                assert_eq!(view.shape(), other.shape(), "{tensor}");
                assert!(view.data() == other.data(), "{tensor}");
            }
        }
    }
}

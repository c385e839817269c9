//! torchvision's ResNet-50 (v1.5) as a PyTorch checkpoint or safetensors.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use aecnn::Variant;
use anyhow::{Context, Result, bail};
use pytorch_reader::{DType, PytorchReader};
use safetensors::{Dtype, SafeTensors};

use super::source::{Array, BatchNorm, Layer, Source, layer_names};

/// What torchvision's batch norms add to the variance.
const EPSILON: f32 = 1e-5;

pub(super) fn read(path: &Path, bytes: &[u8]) -> Result<Source> {
    let arrays = if path.extension().is_some_and(|e| e == "safetensors") {
        read_safetensors(bytes)?
    } else {
        read_checkpoint(path)?
    };
    let take = |name: String| {
        arrays.get(&name).cloned().with_context(|| {
            format!("the file has no weight `{name}`; is it torchvision's ResNet-50?")
        })
    };
    let layers = layer_names()
        .map(|(name, stage, block, layer)| {
            let (conv, norm) = torch_names(stage, block, layer);
            let layer = Layer {
                kernel: take(format!("{conv}.weight"))?,
                bias: None,
                norm: BatchNorm {
                    gamma: take(format!("{norm}.weight"))?.values,
                    beta: take(format!("{norm}.bias"))?.values,
                    mean: take(format!("{norm}.running_mean"))?.values,
                    variance: take(format!("{norm}.running_var"))?.values,
                    epsilon: EPSILON,
                },
            };
            Ok((name, layer))
        })
        .collect::<Result<BTreeMap<_, _>>>()?;
    Ok(Source {
        variant: Variant::V1_5,
        layers,
        head: take("fc.weight".to_owned())?,
        head_bias: take("fc.bias".to_owned())?.values,
        labels: Vec::new(),
        description: format!(
            "torchvision ResNet-50 v1.5, ImageNet-1k, from {}",
            path.file_name().unwrap_or_default().to_string_lossy()
        ),
        licence: "BSD-3-Clause".to_owned(),
        attribution: "torchvision".to_owned(),
    })
}

/// torchvision's names of a convolution and its norm.
fn torch_names(stage: usize, block: usize, layer: &str) -> (String, String) {
    if stage == 0 {
        return ("conv1".to_owned(), "bn1".to_owned());
    }
    let block = format!("layer{stage}.{block}");
    match layer.strip_prefix("conv") {
        Some(number) => (
            format!("{block}.conv{number}"),
            format!("{block}.bn{number}"),
        ),
        None => (
            format!("{block}.downsample.0"),
            format!("{block}.downsample.1"),
        ),
    }
}

fn read_safetensors(bytes: &[u8]) -> Result<HashMap<String, Array>> {
    let file = SafeTensors::deserialize(bytes).context("not a safetensors file")?;
    file.iter()
        .filter(|(name, _)| !name.ends_with("num_batches_tracked"))
        .map(|(name, view)| {
            let Dtype::F32 = view.dtype() else {
                bail!(
                    "tensor `{name}` is {:?}; only F32 is imported",
                    view.dtype()
                );
            };
            Ok((name.to_owned(), array(view.shape().to_vec(), view.data())))
        })
        .collect()
}

fn read_checkpoint(path: &Path) -> Result<HashMap<String, Array>> {
    let reader = PytorchReader::new(path).context("not a PyTorch checkpoint")?;
    reader
        .tensors()
        .iter()
        .filter(|(name, _)| !name.ends_with("num_batches_tracked"))
        .map(|(name, tensor)| {
            let DType::F32 = tensor.dtype() else {
                bail!(
                    "tensor `{name}` is {:?}; only F32 is imported",
                    tensor.dtype()
                );
            };
            let data = tensor
                .read()
                .with_context(|| format!("reading tensor `{name}`"))?;
            Ok((name.clone(), array(tensor.shape().to_vec(), &data)))
        })
        .collect()
}

fn array(shape: Vec<usize>, data: &[u8]) -> Array {
    let values = data
        .chunks_exact(4)
        .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
        .collect();
    Array { shape, values }
}

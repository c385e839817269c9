//! What every reader gives: the network's layers under common names.

use std::collections::BTreeMap;
use std::path::Path;

use aecnn::Variant;
use aecnn::resnet::CLASSES;
use anyhow::{Context, Result, bail, ensure};

/// A tensor in row-major layout.
#[derive(Debug, Clone)]
pub(crate) struct Array {
    pub(crate) shape: Vec<usize>,
    pub(crate) values: Vec<f32>,
}

impl Array {
    /// A matrix with rows and columns in each other's place.
    pub(crate) fn transposed(&self) -> Result<Self> {
        let [rows, columns] = self.shape[..] else {
            bail!("a classifier of shape {:?} is no matrix", self.shape);
        };
        let values = (0..columns)
            .flat_map(|c| (0..rows).map(move |r| (r, c)))
            .map(|(r, c)| self.values[r * columns + c])
            .collect();
        Ok(Self {
            shape: vec![columns, rows],
            values,
        })
    }
}

/// A batch norm's parameters and statistics, one value a channel.
#[derive(Debug, Clone)]
pub(super) struct BatchNorm {
    pub(super) gamma: Vec<f32>,
    pub(super) beta: Vec<f32>,
    pub(super) mean: Vec<f32>,
    pub(super) variance: Vec<f32>,
    pub(super) epsilon: f32,
}

/// A convolution and the norm behind it.
#[derive(Debug, Clone)]
pub(super) struct Layer {
    /// `[out, in, kernel, kernel]`.
    pub(super) kernel: Array,
    pub(super) bias: Option<Vec<f32>>,
    pub(super) norm: BatchNorm,
}

/// Imported weights.
pub(super) struct Source {
    pub(super) variant: Variant,
    /// Layers under the names of the model's parts: `stem.conv`, `stage1.0.conv1`,
    /// `stage1.0.shortcut` and so on.
    pub(super) layers: BTreeMap<String, Layer>,
    /// `[classes, 2048]`.
    pub(super) head: Array,
    pub(super) head_bias: Vec<f32>,
    pub(super) labels: Vec<String>,
    pub(super) description: String,
    pub(super) licence: String,
    pub(super) attribution: String,
}

/// The layers of ResNet-50 in order, each with its stage (0 for the stem), block and layer name.
pub(super) fn layer_names() -> impl Iterator<Item = (String, usize, usize, &'static str)> {
    let blocks = [3, 4, 6, 3];
    let stages = (1..=4).flat_map(move |stage| {
        (0..blocks[stage - 1]).flat_map(move |block| {
            ["conv1", "conv2", "conv3", "shortcut"]
                .into_iter()
                .filter(move |layer| *layer != "shortcut" || block == 0)
                .map(move |layer| (format!("stage{stage}.{block}.{layer}"), stage, block, layer))
        })
    });
    std::iter::once(("stem.conv".to_owned(), 0, 0, "conv")).chain(stages)
}

/// Class names from a file: a JSON array, a JSON object from number to name, or one a line.
pub(super) fn read_labels(path: &Path) -> Result<Vec<String>> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("reading class names from {}", path.display()))?;
    parse_labels(&text).with_context(|| format!("reading class names from {}", path.display()))
}

/// Class names from text; see [`read_labels`].
pub(super) fn parse_labels(text: &str) -> Result<Vec<String>> {
    let labels: Vec<String> = if text.trim_start().starts_with('[') {
        serde_json::from_str(text)?
    } else if text.trim_start().starts_with('{') {
        let numbered: BTreeMap<usize, String> =
            serde_json::from_str::<BTreeMap<String, String>>(text)?
                .into_iter()
                .map(|(number, name)| Ok((number.parse()?, name)))
                .collect::<Result<_>>()?;
        numbered.into_values().collect()
    } else {
        text.lines().map(|line| line.trim().to_owned()).collect()
    };
    ensure!(
        labels.len() == CLASSES,
        "{} class names; the network has {CLASSES} classes",
        labels.len()
    );
    Ok(labels
        .into_iter()
        .map(|name| name.replace('_', " "))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_53_convolutions() {
        assert_eq!(layer_names().count(), 53);
    }

    #[test]
    fn labels_come_in_three_forms() {
        let names: Vec<String> = (0..CLASSES).map(|i| format!("class_{i}")).collect();
        let object: BTreeMap<String, &String> = names
            .iter()
            .enumerate()
            .map(|(i, name)| (i.to_string(), name))
            .collect();
        let forms = [
            serde_json::to_string(&names).unwrap(),
            serde_json::to_string(&object).unwrap(),
            names.join("\n"),
        ];
        for text in forms {
            let labels = parse_labels(&text).unwrap();
            assert_eq!(labels[10], "class 10");
        }
        assert!(parse_labels("[\"one\"]").is_err());
    }
}

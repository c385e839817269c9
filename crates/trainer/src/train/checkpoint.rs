//! What a run needs to go on: parameters, the optimiser's state, the step.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use burn::tensor::{Bytes, TensorData};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde::{Deserialize, Serialize};

use super::Named;

const FORMAT: &str = "aecnn-checkpoint";
const VERSION: u32 = 1;
const METADATA: &str = "checkpoint";
/// Parameters' names begin with it in the file.
const PARAMETER: &str = "parameter.";
const OPTIMISER: &str = "optimiser";

/// A run's state between two steps.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Checkpoint {
    /// Steps that are done.
    pub(super) step: u64,
    /// Steps that the run has.
    pub(super) steps: u64,
    /// Seconds that the run has taken so far.
    pub(super) seconds: f64,
    /// The module's parameters: those that learn, and running statistics.
    pub(super) parameters: Named,
    /// The optimiser's state as burn writes it; empty in a finished run.
    pub(super) optimiser: Vec<u8>,
}

#[derive(Serialize, Deserialize)]
struct Metadata {
    format: String,
    version: u32,
    step: u64,
    steps: u64,
    seconds: f64,
}

impl Checkpoint {
    pub(super) fn optimiser(&self) -> Bytes {
        Bytes::from_bytes_vec(self.optimiser.clone())
    }

    /// Writes a file beside `path` and then puts it in its place, so that there is a whole checkpoint at any time.
    pub(super) fn write(&self, path: &Path) -> Result<()> {
        let bytes: Vec<(String, Vec<usize>, Vec<u8>)> = self
            .parameters
            .iter()
            .map(|(name, data)| {
                let values = data.iter::<f32>().flat_map(f32::to_le_bytes).collect();
                (format!("{PARAMETER}{name}"), data.shape().to_vec(), values)
            })
            .collect();
        let mut views = bytes
            .iter()
            .map(|(name, shape, values)| {
                let view = TensorView::new(Dtype::F32, shape.clone(), values)?;
                Ok((name.as_str(), view))
            })
            .collect::<Result<Vec<_>>>()?;
        let state = TensorView::new(Dtype::U8, vec![self.optimiser.len()], &self.optimiser)?;
        views.push((OPTIMISER, state));
        let metadata = serde_json::to_string(&Metadata {
            format: FORMAT.to_owned(),
            version: VERSION,
            step: self.step,
            steps: self.steps,
            seconds: self.seconds,
        })?;
        let metadata = HashMap::from([(METADATA.to_owned(), metadata)]);
        let file = safetensors::serialize(views, Some(metadata))?;
        let temporary = path.with_extension("partial");
        std::fs::write(&temporary, file)
            .and_then(|()| std::fs::rename(&temporary, path))
            .with_context(|| format!("writing {}", path.display()))
    }

    /// `None` where there is no such file.
    pub(super) fn read(path: &Path) -> Result<Option<Self>> {
        let file = match std::fs::read(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            result => result.with_context(|| format!("reading {}", path.display()))?,
        };
        Self::parse(&file)
            .with_context(|| format!("{} is no usable checkpoint", path.display()))
            .map(Some)
    }

    fn parse(file: &[u8]) -> Result<Self> {
        let (_, header) = SafeTensors::read_metadata(file)?;
        let json = header
            .metadata()
            .as_ref()
            .and_then(|entries| entries.get(METADATA))
            .context("it has no metadata of a checkpoint")?;
        let metadata: Metadata = serde_json::from_str(json)?;
        ensure!(
            metadata.format == FORMAT && metadata.version == VERSION,
            "it is `{}` version {}; this program reads `{FORMAT}` version {VERSION}",
            metadata.format,
            metadata.version
        );
        let mut parameters = Named::new();
        let mut optimiser = Vec::new();
        for (name, view) in SafeTensors::deserialize(file)?.iter() {
            match (name.strip_prefix(PARAMETER), view.dtype()) {
                (Some(name), Dtype::F32) => {
                    let values: Vec<f32> = view
                        .data()
                        .chunks_exact(4)
                        .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
                        .collect();
                    parameters.insert(name.to_owned(), TensorData::new(values, view.shape()));
                }
                (None, Dtype::U8) if name == OPTIMISER => optimiser = view.data().to_vec(),
                _ => bail!("it holds an unknown tensor `{name}`"),
            }
        }
        Ok(Self {
            step: metadata.step,
            steps: metadata.steps,
            seconds: metadata.seconds,
            parameters,
            optimiser,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comes_back_from_the_file_and_only_from_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("checkpoint.safetensors");
        assert_eq!(Checkpoint::read(&path).unwrap(), None);
        let values = TensorData::new(vec![1.0f32, -0.0, f32::MIN_POSITIVE], [3]);
        let checkpoint = Checkpoint {
            step: 7,
            steps: 9,
            seconds: 1.5,
            parameters: Named::from([("a.weight".to_owned(), values)]),
            optimiser: vec![1, 2, 3],
        };
        checkpoint.write(&path).unwrap();
        assert_eq!(Checkpoint::read(&path).unwrap(), Some(checkpoint));
        std::fs::write(&path, "something else").unwrap();
        assert!(Checkpoint::read(&path).is_err());
    }
}

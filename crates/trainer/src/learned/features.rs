//! Features of a whole data set, computed once: in front of a split where nothing learns, a picture always gives
//! the same feature. They stand in memory and on disk in half precision.

use std::fs;
use std::path::Path;

use aecnn::FeatureShape;
use anyhow::{Context, Result, ensure};
use burn::tensor::{Device, Tensor, TensorData};
use half::f16;
use half::slice::HalfFloatSliceExt;

use super::loss::accuracy;

/// Features that are answered at once.
const EVALUATED: usize = 32;

/// Features of pictures, with their classes.
pub(super) struct Features {
    pub(super) shape: FeatureShape,
    values: Vec<f16>,
    pub(super) classes: Vec<usize>,
}

impl Features {
    pub(super) fn new(shape: FeatureShape) -> Self {
        Self {
            shape,
            values: Vec::new(),
            classes: Vec::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.classes.len()
    }

    /// Appends a batch `[n, channels, height, width]`.
    pub(super) fn push(&mut self, batch: Tensor<4>, classes: &[usize]) -> Result<()> {
        let values = batch.try_into_vec_as::<f32>()?;
        ensure!(
            values.len() == classes.len() * self.shape.values(),
            "a feature has another shape than its split's"
        );
        let start = self.values.len();
        self.values.resize(start + values.len(), f16::ZERO);
        self.values[start..].convert_from_f32_slice(&values);
        self.classes.extend(classes);
        Ok(())
    }

    /// Some of the features as a batch, with their classes.
    pub(super) fn batch(&self, which: &[usize], device: &Device) -> (Tensor<4>, Vec<usize>) {
        let size = self.shape.values();
        let mut values = vec![0.0; which.len() * size];
        for (target, at) in values.chunks_mut(size).zip(which) {
            self.values[at * size..][..size].convert_to_f32_slice(target);
        }
        let FeatureShape {
            channels,
            height,
            width,
        } = self.shape;
        let data = TensorData::new(values, [which.len(), channels, height, width]);
        let classes = which.iter().map(|at| self.classes[*at]).collect();
        (Tensor::from_data(data, device), classes)
    }

    /// The share of features whose `answer` (logits) is right, 0 to 1; `None` where there are none.
    pub(super) fn accuracy(
        &self,
        device: &Device,
        answer: impl Fn(Tensor<4>) -> Tensor<2>,
    ) -> Option<f64> {
        let mut right = 0.0;
        for which in self.batches(EVALUATED) {
            let (feature, classes) = self.batch(&which, device);
            right += accuracy(&answer(feature), &classes) * which.len() as f64;
        }
        (self.len() > 0).then(|| right / self.len() as f64)
    }

    /// All features in batches of at most `size`, in their order.
    pub(super) fn batches(&self, size: usize) -> impl Iterator<Item = Vec<usize>> {
        let n = self.len();
        (0..n)
            .step_by(size)
            .map(move |start| (start..(start + size).min(n)).collect())
    }

    /// Writes the features to a file, whole or not at all.
    pub(super) fn save(&self, path: &Path) -> Result<()> {
        let bytes: Vec<u8> = self
            .values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        let temporary = path.with_extension("partial");
        fs::write(&temporary, bytes)
            .and_then(|()| fs::rename(&temporary, path))
            .with_context(|| format!("writing {}", path.display()))
    }

    /// Reads what [`Self::save`] wrote; `None` where there is no such file. The file's name must say what it holds:
    /// only its length is checked.
    pub(super) fn load(
        path: &Path,
        shape: FeatureShape,
        classes: Vec<usize>,
    ) -> Result<Option<Self>> {
        let Ok(bytes) = fs::read(path) else {
            return Ok(None);
        };
        let expected = 2 * shape.values() * classes.len();
        ensure!(
            bytes.len() == expected,
            "{} has {} bytes; the features need {expected}. Delete it to compute them again",
            path.display(),
            bytes.len()
        );
        let values = bytes
            .chunks_exact(2)
            .map(|b| f16::from_le_bytes([b[0], b[1]]))
            .collect();
        Ok(Some(Self {
            shape,
            values,
            classes,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn come_back_from_memory_and_file() {
        let device = Device::flex();
        let shape = FeatureShape {
            channels: 2,
            height: 1,
            width: 2,
        };
        let mut features = Features::new(shape);
        let batch = Tensor::<1>::from_floats([0., 1., 2., 3., 4., 5., 6., 7.5], &device);
        features.push(batch.reshape([2, 2, 1, 2]), &[5, 6]).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.f16");
        assert!(Features::load(&path, shape, vec![5, 6]).unwrap().is_none());
        features.save(&path).unwrap();
        let read = Features::load(&path, shape, vec![5, 6]).unwrap().unwrap();
        let (batch, classes) = read.batch(&[1, 0], &device);
        assert_eq!(classes, [6, 5]);
        let values = batch.try_into_vec_as::<f32>().unwrap();
        assert_eq!(values, [4., 5., 6., 7.5, 0., 1., 2., 3.]);
        assert!(Features::load(&path, shape, vec![5]).is_err());
    }
}

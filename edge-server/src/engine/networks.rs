//! The real engine: ResNet-50 tails and the codecs' decoders on one burn device.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Instant;

use aecnn::codec::{CodecFile, Decoder, dequantise};
use aecnn::manifest::Manifest;
use aecnn::preprocess::INPUT;
use aecnn::resnet::{Precision, ResNet50, Tail};
use aecnn::weights::Weights;
use aecnn::{Recorded, Split, Variant};
use burn::tensor::{DType, Device, FloatDType, Tensor, TensorData};
use half::f16;
use half::slice::HalfFloatSliceExt;

use super::{CodecId, Engine, EngineError, Input, Output};
use crate::catalogue::{Catalogue, Model};
use crate::config::Backend;

/// Pictures or features that go up to a graphics device at once.
const UPLOADED: usize = 8;

/// Every model of the catalogue, ready to run.
pub struct Networks {
    device: Device,
    models: Vec<Network>,
}

/// One model.
struct Network {
    variant: Variant,
    precision: Precision,
    backbone: Arc<Backbone>,
    /// The whole network to logits, and what is behind each split.
    whole: Recorded<2>,
    tails: [Recorded<2>; Split::ALL.len()],
    codecs: Vec<Restorer>,
}

/// A network without codecs. The tails share its weights.
struct Backbone {
    whole: ResNet50,
    tails: [Tail; Split::ALL.len()],
}

/// The backbones that are in use, by the digests of their networks: models that are read anew with
/// other codecs need no weights twice. Cheap to clone, and all clones know the same.
#[derive(Clone, Default)]
pub struct Backbones(Arc<Mutex<BTreeMap<String, Weak<Backbone>>>>);

impl Backbones {
    /// A model's backbone: that which is in use, or a new one.
    fn get(
        &self,
        model: &Model,
        precision: Precision,
        device: &Device,
    ) -> Result<Arc<Backbone>, EngineError> {
        let digest = &model.manifest.digest;
        let known = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(there) = known().get(digest).and_then(Weak::upgrade) {
            return Ok(there);
        }
        let weights = Weights::read(&model.parts())?;
        let Manifest {
            variant, classes, ..
        } = model.manifest;
        let whole = ResNet50::load(variant, classes, &weights, device)?.with_precision(precision);
        let tails = Split::ALL.map(|split| whole.tail(split));
        let fresh = Arc::new(Backbone { whole, tails });
        let mut known = known();
        known.retain(|_, backbone| backbone.strong_count() > 0);
        known.insert(digest.clone(), Arc::downgrade(&fresh));
        Ok(fresh)
    }
}

impl Network {
    /// Features in the network's precision with the place where each enters, in the order of the layers, to logits `[n,
    /// classes]`. What enters earlier passes through the layers before the next place and then
    /// goes on together with what enters there. `None` without features.
    fn forward(&self, features: Vec<(Option<Split>, Tensor<4>)>) -> Option<Tensor<2>> {
        let (entry, feature) =
            features
                .into_iter()
                .reduce(|(from, earlier), (entry, feature)| {
                    let earlier = match entry {
                        Some(to) => self.backbone.whole.section(from, to).forward(earlier),
                        None => earlier,
                    };
                    (entry, joined(vec![earlier, feature]))
                })?;
        Some(match entry {
            Some(split) => self.tails[split.stages()].run(feature),
            None => self.whole.run(feature),
        })
    }
}

/// A codec's decoder and what it needs to know of the codec.
struct Restorer {
    file: CodecFile,
    decoder: Decoder,
}

impl Networks {
    /// Loads every model of the catalogue onto the backend's device.
    ///
    /// # Errors
    ///
    /// When weights do not load.
    pub fn load(catalogue: &Catalogue, backend: Backend) -> Result<Self, EngineError> {
        Self::load_beside(catalogue, backend, &Backbones::default())
    }

    /// As [`Self::load`], beside others that may be in use: what is in use is not loaded again. Only
    /// on the processor, for work on a GPU is ordered by thread, and weights stay with theirs.
    ///
    /// # Errors
    ///
    /// When weights do not load.
    pub fn load_beside(
        catalogue: &Catalogue,
        backend: Backend,
        in_use: &Backbones,
    ) -> Result<Self, EngineError> {
        let alone = Backbones::default();
        let backbones = match backend == Backend::Flex {
            true => {
                aecnn::start_threads();
                in_use
            }
            false => &alone,
        };
        let device = device(backend);
        let precision = precision(backend);
        let models = catalogue
            .models()
            .iter()
            .map(|model| {
                let backbone = backbones.get(model, precision, &device)?;
                let codecs = model
                    .codecs
                    .iter()
                    .map(|file| {
                        Ok(Restorer {
                            file: file.clone(),
                            decoder: Decoder::new(file, &device)?,
                        })
                    })
                    .collect::<Result<_, EngineError>>()?;
                let whole = Arc::clone(&backbone);
                let tails = Split::ALL.map(|split| {
                    let backbone = Arc::clone(&backbone);
                    Recorded::new(move |feature| backbone.tails[split.stages()].forward(feature))
                });
                Ok(Network {
                    variant: model.manifest.variant,
                    precision,
                    backbone,
                    whole: Recorded::new(move |pictures| whole.whole.forward(pictures)),
                    tails,
                    codecs,
                })
            })
            .collect::<Result<_, EngineError>>()?;
        Ok(Self { device, models })
    }

    /// Runs every model once, so that the first client does not pay for what a device does only
    /// the first time (compiling shaders, choosing kernels, faulting in memory).
    ///
    /// # Errors
    ///
    /// When the device cannot run a model.
    pub fn warm_up(&mut self) -> Result<(), EngineError> {
        for model in 0..self.models.len() {
            let planes = vec![0.0; 3 * INPUT * INPUT];
            self.run(&[&Input::Picture { model, planes }])?;
        }
        Ok(())
    }

    fn restorer(&self, id: CodecId) -> Result<&Restorer, EngineError> {
        self.models
            .get(id.model)
            .and_then(|model| model.codecs.get(id.codec))
            .ok_or(EngineError::Unknown)
    }

    /// Latents and features to features in the network's precision, in the inputs' order. Neighbours of one codec are
    /// restored together, whatever their rates.
    fn restore(&self, network: &Network, inputs: &[&Input]) -> Result<Tensor<4>, EngineError> {
        let mut features = Vec::new();
        for group in inputs.chunk_by(|a, b| codec_of(a) == codec_of(b)) {
            features.push(match codec_of(group[0]) {
                Some(codec) => self.decode(codec, group)?.cast(network.precision.forth()),
                None => self.stack(network, group)?,
            });
        }
        Ok(joined(features))
    }

    /// Latents of one codec to features.
    fn decode(&self, codec: CodecId, inputs: &[&Input]) -> Result<Tensor<4>, EngineError> {
        let restorer = self.restorer(codec)?;
        let [channels, rows, columns] = restorer.file.latent_shape();
        let mut values = Vec::with_capacity(inputs.len() * restorer.decoder.latent_values());
        let mut steps = Vec::with_capacity(inputs.len());
        for input in inputs {
            let Input::Latent { rate, symbols, .. } = input else {
                return Err(EngineError::Unknown);
            };
            let rate = restorer.file.rates.get(*rate).ok_or(EngineError::Unknown)?;
            values.extend(dequantise(symbols, rate, rows * columns, channels));
            steps.push(rate.step);
        }
        Ok(restorer.decoder.restore(values, steps))
    }

    /// Pictures to the network's input `[n, 3, 224, 224]`, or features of one split to `[n,
    /// channels, height, width]`.
    fn stack(&self, network: &Network, inputs: &[&Input]) -> Result<Tensor<4>, EngineError> {
        let shape = match inputs.first().and_then(|input| input.entry()) {
            None => [3, INPUT, INPUT],
            Some(split) => {
                let shape = network.variant.feature_shape(split);
                [shape.channels, shape.height, shape.width]
            }
        };
        // A part goes up while the next is put together; and what is larger than some 30 MB the processor's memory gives anew each time.
        let together = match self.device == Device::flex() {
            true => inputs.len(),
            false => UPLOADED,
        };
        let parts = inputs
            .chunks(together)
            .map(|inputs| self.bring(network, inputs, shape));
        Ok(joined(parts.collect::<Result<_, _>>()?))
    }

    /// Values of the processor's memory, one behind the other, in the network's precision.
    fn bring(
        &self,
        network: &Network,
        inputs: &[&Input],
        shape: [usize; 3],
    ) -> Result<Tensor<4>, EngineError> {
        let size = shape.iter().product();
        let mut all: Vec<&[f32]> = Vec::with_capacity(inputs.len());
        for input in inputs {
            let (Input::Picture { planes: values, .. } | Input::Feature { values, .. }) = input
            else {
                return Err(EngineError::Unknown);
            };
            if values.len() != size {
                return Err(EngineError::Shape {
                    expected: size,
                    got: values.len(),
                });
            }
            all.push(values);
        }
        let [channels, height, width] = shape;
        let shape = [inputs.len(), channels, height, width];
        let dtype = network.precision.forth();
        let data = match dtype {
            FloatDType::F16 => {
                let mut halves = vec![f16::ZERO; inputs.len() * size];
                for (halves, values) in halves.chunks_exact_mut(size).zip(all) {
                    halves.convert_from_f32_slice(values);
                }
                TensorData::new(halves, shape)
            }
            _ => TensorData::new(all.concat(), shape),
        };
        let options = (&self.device, DType::from(dtype));
        Ok(Tensor::from_data(data, options))
    }

    /// Waits until the device has done what it was told, so that steps can be timed apart.
    fn settle(&self) -> Result<(), EngineError> {
        self.device
            .sync()
            .map_err(|error| EngineError::Device(format!("{error:?}")))
    }
}

impl Engine for Networks {
    fn run(&mut self, inputs: &[&Input]) -> Result<Output, EngineError> {
        let model = inputs.first().ok_or(EngineError::Unknown)?.model();
        let network = self.models.get(model).ok_or(EngineError::Unknown)?;
        if inputs.iter().any(|input| input.model() != model) {
            return Err(EngineError::Unknown);
        }
        // In the order of the layers behind which they enter, those of one codec side by side.
        let mut order: Vec<usize> = (0..inputs.len()).collect();
        order.sort_by_key(|&index| (inputs[index].entry(), codec_of(inputs[index])));
        let sorted: Vec<&Input> = order.iter().map(|&index| inputs[index]).collect();

        let started = Instant::now();
        let features = sorted
            .chunk_by(|a, b| a.entry() == b.entry())
            .map(|group| match group[0].entry() {
                entry @ Some(_) => Ok((entry, self.restore(network, group)?)),
                None => Ok((None, self.stack(network, group)?)),
            })
            .collect::<Result<Vec<_>, EngineError>>()?;
        self.settle()?;
        let restored = Instant::now();
        let logits = network.forward(features).ok_or(EngineError::Unknown)?;
        let [n, classes] = logits.dims();
        let values: Vec<f32> = logits
            .into_data()
            .try_to_vec()
            .map_err(|error| EngineError::Device(format!("{error:?}")))?;
        let tail = restored.elapsed();

        if n != inputs.len() || classes == 0 || values.len() != n * classes {
            return Err(EngineError::Shape {
                expected: inputs.len() * classes,
                got: values.len(),
            });
        }
        let mut logits = vec![Vec::new(); n];
        for (&index, values) in order.iter().zip(values.chunks_exact(classes)) {
            logits[index] = values.to_vec();
        }
        Ok(Output {
            logits,
            restore: restored.saturating_duration_since(started),
            tail,
        })
    }
}

/// The codec of an input that has one.
fn codec_of(input: &Input) -> Option<CodecId> {
    match input {
        Input::Latent { codec, .. } => Some(*codec),
        Input::Feature { .. } | Input::Picture { .. } => None,
    }
}

/// One batch of several.
fn joined(mut parts: Vec<Tensor<4>>) -> Tensor<4> {
    match parts.len() {
        1 => parts.remove(0),
        _ => Tensor::cat(parts, 0),
    }
}

fn device(backend: Backend) -> Device {
    match backend {
        Backend::Flex => Device::flex(),
        #[cfg(feature = "wgpu")]
        Backend::Wgpu => Device::wgpu(burn::tensor::DeviceKind::DefaultDevice),
        #[cfg(feature = "vulkan")]
        Backend::Vulkan => Device::vulkan(burn::tensor::DeviceKind::DefaultDevice),
        #[cfg(feature = "cuda")]
        Backend::Cuda => Device::cuda(0),
    }
}

/// Matrix units of an NVIDIA GPU take 16 bits several times as fast; other interfaces have them on some devices only.
fn precision(backend: Backend) -> Precision {
    match backend {
        #[cfg(feature = "cuda")]
        Backend::Cuda => Precision::Half,
        _ => Precision::Single,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn weights_in_use_are_not_loaded_again_and_are_freed_with_their_last_user() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models");
        let catalogue = Catalogue::read(&folder).unwrap();
        let in_use = Backbones::default();
        let load = || Networks::load_beside(&catalogue, Backend::Flex, &in_use).unwrap();
        let (first, mut second) = (load(), load());
        let backbone = Arc::clone(&first.models[0].backbone);
        assert!(Arc::ptr_eq(&backbone, &second.models[0].backbone));
        drop(first);
        second.warm_up().unwrap();
        drop(second);
        let left = Arc::downgrade(&backbone);
        drop(backbone);
        assert_eq!(left.strong_count(), 0);
        assert!(load().warm_up().is_ok());
    }
}

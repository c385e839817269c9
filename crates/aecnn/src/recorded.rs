//! Parts of a network that a graphics device is told of once.

use std::fmt;

#[cfg(feature = "gpu")]
use std::{cell::RefCell, collections::BTreeMap};

use burn::tensor::{Device, Tensor};
#[cfg(feature = "gpu")]
use gpu_kernels::Recording;

use crate::products::Layout;

/// Larger batches keep a graphics device busy for longer than it takes to tell it of the next kernel, and what they are recorded with is
/// memory that nothing else can have.
#[cfg(feature = "gpu")]
const BATCH: usize = 8;

/// Whether a device is one that records, so that it is worth to compute in one piece what would else be computed in several.
#[must_use]
pub fn records(device: &Device) -> bool {
    cfg!(feature = "gpu") && matches!(Layout::of(device), Layout::Last)
}

/// A function of images. With the feature `gpu`, on a graphics device that records, it is recorded for each shape when it is first asked for
/// one, and from then on the device is told to do the same again.
pub struct Recorded<const D: usize> {
    compute: Compute<D>,
    #[cfg(feature = "gpu")]
    recordings: RefCell<BTreeMap<[usize; 4], Option<Recording<D>>>>,
}

type Compute<const D: usize> = Box<dyn Fn(Tensor<4>) -> Tensor<D> + Send>;

impl<const D: usize> Recorded<D> {
    /// Nothing is computed yet. The function has to ask the device for the same kernels whenever shapes are the same.
    pub fn new(compute: impl Fn(Tensor<4>) -> Tensor<D> + Send + 'static) -> Self {
        Self {
            compute: Box::new(compute),
            #[cfg(feature = "gpu")]
            recordings: RefCell::default(),
        }
    }

    /// What the function makes of the images.
    pub fn run(&self, images: Tensor<4>) -> Tensor<D> {
        #[cfg(feature = "gpu")]
        if let Some(output) = self.replay(&images) {
            return output;
        }
        (self.compute)(images)
    }

    #[cfg(feature = "gpu")]
    fn replay(&self, images: &Tensor<4>) -> Option<Tensor<D>> {
        let shape @ [batch, ..] = images.dims();
        if batch > BATCH {
            return None;
        }
        (self.recordings.borrow_mut())
            .entry(shape)
            .or_insert_with(|| Recording::new(images, &self.compute))
            .as_ref()?
            .run(images)
    }
}

impl<const D: usize> fmt::Debug for Recorded<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorded").finish_non_exhaustive()
    }
}

//! In which numbers a network computes.

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{FloatDType, Tensor};

/// In which numbers a network computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    /// Single, or on a processor fixed point that is as good.
    Single,
    /// Products of 8-bit numbers, on a processor that has more of them at once; elsewhere as [`Self::Single`]. A feature is then
    /// within some hundredths, which is little beside what a codec leaves of it.
    Coarse,
    /// Half, on a graphics device: forth in 16 bits with ten of fraction, in which the weights are stored; back in 16 bits with the range of
    /// single precision, for gradients are small. Sums and everything behind the last stage stay single.
    Half,
}

impl Precision {
    /// The type of pictures, features and all other activations.
    #[must_use]
    pub fn forth(self) -> FloatDType {
        match self {
            Self::Single | Self::Coarse => FloatDType::F32,
            Self::Half => FloatDType::F16,
        }
    }

    /// The type of gradients.
    pub(super) fn back(self) -> FloatDType {
        match self {
            Self::Single | Self::Coarse => FloatDType::F32,
            Self::Half => FloatDType::BF16,
        }
    }

    /// The module with weights in what activations are in.
    pub(super) fn of<M: Module>(self, module: M) -> M {
        module.map(&mut Cast(self.forth()))
    }
}

struct Cast(FloatDType);

impl ModuleMapper for Cast {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        param.map(|tensor| tensor.cast(self.0))
    }
}

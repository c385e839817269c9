//! Where the arithmetic runs.

use aecnn::resnet::Precision;
use anyhow::{Result, ensure};
use burn::tensor::Device;
use clap::ValueEnum;

/// Where the arithmetic runs. The graphics backends are cargo features of the same names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Backend {
    /// The CPU: pure Rust with SIMD on all cores.
    Flex,
    /// A GPU through whatever graphics interface the system offers.
    #[cfg(feature = "wgpu")]
    Wgpu,
    /// A GPU through Vulkan.
    #[cfg(feature = "vulkan")]
    Vulkan,
    /// An NVIDIA GPU through CUDA.
    #[cfg(feature = "cuda")]
    Cuda,
}

impl Backend {
    pub(crate) fn device(self) -> Device {
        match self {
            Self::Flex => Device::flex(),
            #[cfg(feature = "wgpu")]
            Self::Wgpu => Device::wgpu(burn::tensor::DeviceKind::DefaultDevice),
            #[cfg(feature = "vulkan")]
            Self::Vulkan => Device::vulkan(burn::tensor::DeviceKind::DefaultDevice),
            #[cfg(feature = "cuda")]
            Self::Cuda => Device::cuda(0),
        }
    }
}

/// The precision of a network that does not learn, on this device.
pub(crate) fn precision(half: bool, device: &Device) -> Result<Precision> {
    ensure!(
        !half || *device != Device::flex(),
        "--half is for a GPU: give --backend as well, or leave it out"
    );
    Ok(match half {
        true => Precision::Half,
        false => Precision::Single,
    })
}

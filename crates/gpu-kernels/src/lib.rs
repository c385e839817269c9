//! Convolutions for graphics devices, by CubeCL.
//!
//! A network of small pictures keeps no graphics device busy: what takes time is the number of kernels that are sent
//! to it, and what they write to memory in between. So a convolution here is one kernel: the values that it reads are gathered
//! while they are multiplied, and bias, shortcut and ReLU are applied before anything is written.
//!
//! Images have their channels last, `[n, height, width, channels]`, and everything is in single precision, or in half where a card has matrix
//! units for it.

mod convolution;
mod image;
mod pool;
mod recording;
mod units;

pub use convolution::{Shortcut, convolve, packed};
pub use pool::max_pool;
pub use recording::Recording;
pub use units::has_matrix_units;

use cubecl::prelude::*;

/// Whether it is no number. By its bits: shader compilers may take it that there are none, and those of graphics cards do, so that
/// `x < 0 ? 0 : x` becomes a maximum, which is 0.
#[cube]
fn is_nan<F: Float>(value: F) -> bool {
    u32::reinterpret(f32::cast_from(value)) & 0x7fff_ffff > 0x7f80_0000
}

/// Where a pixel lies in images that lie one behind the other.
#[derive(CubeType)]
struct Place {
    picture: u32,
    row: u32,
    column: u32,
}

/// The place of a pixel, counted through all images of so many rows and columns.
#[cube]
fn place(pixel: u32, rows: u32, columns: u32) -> Place {
    let within = pixel % (rows * columns);
    Place {
        picture: pixel / (rows * columns),
        row: within / columns,
        column: within % columns,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use burn::tensor::{Device, Tensor, TensorData, Tolerance};

    pub(crate) static PROCESSOR: LazyLock<Device> = LazyLock::new(Device::flex);
    pub(crate) static GRAPHICS: LazyLock<Device> = LazyLock::new(|| {
        #[cfg(feature = "cuda")]
        let device = Device::cuda(0);
        #[cfg(not(feature = "cuda"))]
        let device = Device::wgpu(Default::default());
        device
    });

    pub(crate) fn values<const D: usize>(
        numbers: Vec<f32>,
        shape: [usize; D],
        device: &Device,
    ) -> Tensor<D> {
        Tensor::from_data(TensorData::new(numbers, shape), device)
    }

    /// Numbers between -1 and 1, the same for the same shape.
    pub(crate) fn image<const D: usize>(shape: [usize; D], device: &Device) -> Tensor<D> {
        let count = shape.iter().product::<usize>();
        let numbers = (0..count).map(|at| ((at * 7919 + 13) % 2017) as f32 / 1008.0 - 1.0);
        values(numbers.collect(), shape, device)
    }

    pub(crate) fn on<const D: usize>(tensor: Tensor<D>, device: &Device) -> Tensor<D> {
        Tensor::from_data(tensor.into_data(), device)
    }

    pub(crate) fn same(ours: Tensor<4>, theirs: Tensor<4>) {
        let (ours, theirs) = (ours.into_data(), theirs.into_data());
        ours.assert_approx_eq::<f32>(&theirs, Tolerance::permissive());
    }
}

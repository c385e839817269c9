//! burn's tensors as buffers of the graphics device.

use burn::tensor::{DType, Shape, Tensor};
use burn_cubecl::Cube;
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::tensor::CubeTensor;

/// The tensor on its graphics device, in one piece. None where it is elsewhere, has another type or is tracked for gradients.
pub(crate) fn buffer<const D: usize>(tensor: &Tensor<D>, dtype: DType) -> Option<CubeTensor> {
    if tensor.dtype() != dtype {
        return None;
    }
    let buffer = tensor.clone().try_into_primitive::<Cube>().ok()?;
    Some(into_contiguous(buffer))
}

/// A new tensor beside `like` and of its type, whose values are not set yet.
pub(crate) fn empty(like: &CubeTensor, shape: impl Into<Shape>) -> CubeTensor {
    let shape = shape.into();
    let bytes = shape.num_elements() * like.elem_size();
    let handle = like.client.empty(bytes);
    CubeTensor::new_contiguous(
        like.client.clone(),
        like.device.clone(),
        shape,
        handle,
        like.dtype,
    )
}

pub(crate) fn tensor<const D: usize>(buffer: CubeTensor) -> Tensor<D> {
    Tensor::from_primitive::<Cube>(buffer)
}

/// How many windows of this kernel fit.
pub(crate) fn places(length: usize, [kernel, stride, padding]: [usize; 3]) -> usize {
    (length + 2 * padding - kernel) / stride + 1
}

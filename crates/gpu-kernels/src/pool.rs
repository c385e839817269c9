//! Max-pooling.

use burn::tensor::{DType, Tensor};
use cubecl::prelude::*;
use half::f16;

use crate::image::{buffer, empty, places, tensor};
use crate::{is_nan, place};

const UNITS: usize = 64;

/// The greatest of each window of `[n, height, width, channels]`; places outside the image count for nothing. A window that holds
/// something that is no number gives that.
///
/// None where the image is not on a graphics device, neither in single precision nor in half or tracked for gradients, and where no window lies
/// within it.
#[must_use]
pub fn max_pool(image: &Tensor<4>, window: [usize; 3]) -> Option<Tensor<4>> {
    let [kernel, stride, padding] = window;
    let [n, height, width, channels] = image.dims();
    // Each window has to reach into the image.
    if padding >= kernel || kernel > height + 2 * padding || kernel > width + 2 * padding {
        return None;
    }
    let (rows, columns) = (places(height, window), places(width, window));
    let dtype = image.dtype();
    let image = buffer(image, dtype)?;
    let output = empty(&image, [n, rows, columns, channels]);
    let values = n * rows * columns * channels;
    let launch = match dtype {
        DType::F32 => pool::launch::<f32>,
        DType::F16 => pool::launch::<f16>,
        _ => return None,
    };
    launch(
        &output.client.clone(),
        CubeCount::Static(values.div_ceil(UNITS) as u32, 1, 1),
        CubeDim::new_1d(UNITS as u32),
        image.into_buffer_arg(),
        output.clone().into_buffer_arg(),
        SizesLaunch::new(
            height as u32,
            width as u32,
            rows as u32,
            columns as u32,
            channels as u32,
            values as u32,
        ),
        Window {
            kernel: kernel as u32,
            stride: stride as u32,
            padding: padding as u32,
        },
    );
    Some(tensor(output))
}

/// What a kernel is compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Window {
    kernel: u32,
    stride: u32,
    padding: u32,
}

/// What it is told with each image.
#[derive(CubeLaunch, CubeType, Clone, Copy)]
struct Sizes {
    height: u32,
    width: u32,
    rows: u32,
    columns: u32,
    channels: u32,
    /// That come out, of all images.
    values: u32,
}

#[cube(launch)]
fn pool<F: Float>(image: &[F], output: &mut [F], sizes: Sizes, #[comptime] window: Window) {
    let value = CUBE_POS_X * comptime!(UNITS as u32) + UNIT_POS;
    if value >= sizes.values {
        terminate!();
    }
    let channel = value % sizes.channels;
    let pixel = value / sizes.channels;
    let at = place(pixel, sizes.rows, sizes.columns);
    // Counted from the padding's corner.
    let top = at.row * window.stride;
    let left = at.column * window.stride;

    let mut greatest = F::new(0.0);
    let mut none = true;
    #[unroll]
    for y in 0..window.kernel {
        #[unroll]
        for x in 0..window.kernel {
            let row = top + y;
            let column = left + x;
            let inside = row >= window.padding
                && row < sizes.height + window.padding
                && column >= window.padding
                && column < sizes.width + window.padding;
            if inside {
                let row = at.picture * sizes.height + row - window.padding;
                let column = column - window.padding;
                let value =
                    image[((row * sizes.width + column) * sizes.channels + channel) as usize];
                // What is no number takes the place of any, and none takes its place: comparisons with it are false.
                if none || value > greatest || is_nan::<F>(value) {
                    greatest = value;
                    none = false;
                }
            }
        }
    }
    output[value as usize] = greatest;
}

#[cfg(test)]
mod tests {
    use burn::tensor::module::max_pool2d;
    use burn::tensor::ops::MaxPoolOptions;

    use super::*;
    use crate::tests::{GRAPHICS, PROCESSOR, image, on, same, values};

    #[test]
    fn windows_are_those_of_burn() {
        for (shape, kernel, stride, padding) in [
            ([2, 9, 8, 5], 3, 2, 1),
            ([1, 5, 7, 3], 3, 1, 0),
            ([1, 4, 4, 1], 2, 2, 0),
            ([1, 1, 1, 2], 3, 2, 1),
        ] {
            let image = image(shape, &PROCESSOR);
            let options = MaxPoolOptions::new([kernel; 2])
                .with_stride([stride; 2])
                .with_padding([padding; 2]);
            let wanted = max_pool2d(image.clone().permute([0, 3, 1, 2]), options);
            let ours = max_pool(&on(image, &GRAPHICS), [kernel, stride, padding]).unwrap();
            same(ours, wanted.permute([0, 2, 3, 1]));
        }
    }

    #[test]
    fn infinity_is_greatest_and_its_negative_is_found() {
        let mut numbers = vec![f32::NEG_INFINITY; 16];
        numbers[0] = f32::INFINITY;
        let image = values(numbers, [1, 4, 4, 1], &GRAPHICS);
        let out = max_pool(&image, [2, 2, 0]).unwrap().into_data();
        let wanted = [
            f32::INFINITY,
            f32::NEG_INFINITY,
            f32::NEG_INFINITY,
            f32::NEG_INFINITY,
        ];
        assert_eq!(out.try_to_vec::<f32>().unwrap(), wanted);
    }

    #[test]
    fn what_is_no_number_is_greatest() {
        for at in 0..4 {
            let mut numbers = vec![1.0; 16];
            numbers[[0, 1, 4, 5][at]] = f32::NAN;
            let image = values(numbers, [1, 4, 4, 1], &GRAPHICS);
            let out = max_pool(&image, [2, 2, 0]).unwrap().into_data();
            let out = out.try_to_vec::<f32>().unwrap();
            assert!(out[0].is_nan() && out[1..] == [1.0; 3], "{at}: {out:?}");
        }
    }

    #[test]
    fn what_does_not_fit_is_declined() {
        let small = image([1, 2, 2, 1], &GRAPHICS);
        assert!(max_pool(&small, [3, 2, 0]).is_none());
        assert!(max_pool(&small, [3, 2, 3]).is_none());
        assert!(max_pool(&image([1, 4, 4, 1], &PROCESSOR), [2, 2, 0]).is_none());
    }
}

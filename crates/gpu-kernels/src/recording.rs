//! What was computed once, computed again without telling the device of each kernel anew.
//!
//! A network is the same kernels on the same memory for every picture. To look each of them up, to find it memory and to tell the
//! device of it takes longer than most of them run.

use std::thread::{self, ThreadId};

use burn::backend::TensorMetadata;
use burn::tensor::{DType, Tensor};
use burn_cubecl::tensor::CubeTensor;
use cubecl::client::Graph;
use cubecl::prelude::*;
use half::f16;

use crate::image::{buffer, empty, tensor};

const UNITS: usize = 256;

/// A function of images of one shape and type, recorded.
pub struct Recording<const D: usize> {
    graph: Graph,
    /// Devices order what they are told by the thread that tells them.
    thread: ThreadId,
    input: CubeTensor,
    output: CubeTensor,
}

impl<const D: usize> Recording<D> {
    /// Computes and records. `compute` has to ask for the same kernels each time: it is called three times here and no more from then on, and
    /// values that it brings from the processor's memory stay those that they were, where they do not keep the device from recording.
    ///
    /// None where the image is not on a graphics device, and where the device does not record.
    pub fn new(image: &Tensor<4>, compute: impl Fn(Tensor<4>) -> Tensor<D>) -> Option<Self> {
        let given = buffer(image, image.dtype())?;
        let input = empty(&given, image.dims());
        copy(&given, &input)?;
        // To bring what comes out into one piece is a kernel as well.
        let compute = || {
            let output = compute(tensor(input.clone()));
            buffer(&output, output.dtype())
        };
        // Kernels are compiled now; then memory is found for all that is written, and kept for the recording.
        compute();
        let client = input.client.clone();
        client.graph_prepare().ok()?;
        compute();
        let started = client.start_capture();
        let output = started.is_ok().then(compute);
        let graph = client.stop_capture().ok()?;
        Some(Self {
            graph,
            thread: thread::current().id(),
            output: output??,
            input,
        })
    }

    /// What the function makes of an image. None where the image is of another shape or type or on another device, where this is not the thread that
    /// recorded, and where the device fails.
    pub fn run(&self, image: &Tensor<4>) -> Option<Tensor<D>> {
        let given = buffer(image, self.input.dtype)?;
        if thread::current().id() != self.thread
            || given.shape() != self.input.shape()
            || given.device != self.input.device
        {
            return None;
        }
        copy(&given, &self.input)?;
        replay(&self.graph)?;
        // The next run writes where this one did.
        let output = empty(&self.output, self.output.shape());
        copy(&self.output, &output)?;
        Some(tensor(output))
    }
}

#[allow(unsafe_code, reason = "see within")]
fn replay(graph: &Graph) -> Option<()> {
    // SAFETY: the device guards all memory that a graph touches for as long as the graph is there, so it is neither freed nor given to
    // others. The recording's input and output are its own: nothing else has a handle of them, and both are only touched from the thread
    // that recorded, whose work is done in its order.
    unsafe { graph.replay() }.ok()
}

/// From one piece of memory to another of the same length and type.
fn copy(from: &CubeTensor, to: &CubeTensor) -> Option<()> {
    let count = from.meta.num_elements();
    let launch = match from.dtype {
        DType::F32 => copied::launch::<f32>,
        DType::F16 => copied::launch::<f16>,
        _ => return None,
    };
    launch(
        &from.client,
        CubeCount::Static(count.div_ceil(UNITS) as u32, 1, 1),
        CubeDim::new_1d(UNITS as u32),
        from.clone().into_buffer_arg(),
        to.clone().into_buffer_arg(),
        count as u32,
    );
    Some(())
}

#[cube(launch)]
fn copied<F: Float>(from: &[F], to: &mut [F], count: u32) {
    let at = CUBE_POS_X * comptime!(UNITS as u32) + UNIT_POS;
    if at < count {
        to[at as usize] = from[at as usize];
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::convolve;
    use crate::tests::{GRAPHICS, PROCESSOR, image, on, same};

    #[test]
    fn a_recording_computes_what_was_recorded() {
        let weight = image([8, 8, 3, 3], &GRAPHICS);
        let bias = image([8], &GRAPHICS);
        let compute = |image: Tensor<4>| {
            let first = convolve(&image, &weight, Some(&bias), [1, 1], None, true).unwrap();
            convolve(&(first * 2.0), &weight, None, [2, 1], None, false).unwrap()
        };
        let of = |scale: f32| on(image([2, 9, 7, 8], &PROCESSOR) * scale, &GRAPHICS);
        let recording = Recording::new(&of(1.0), compute).unwrap();
        let results: Vec<_> = [1.0, -2.0, 0.5]
            .map(|scale| (recording.run(&of(scale)).unwrap(), compute(of(scale))))
            .into();
        for (ours, wanted) in results {
            same(ours, wanted);
        }
        assert!(recording.run(&image([1, 9, 7, 8], &GRAPHICS)).is_none());
        assert!(recording.run(&image([2, 9, 7, 8], &PROCESSOR)).is_none());
        let elsewhere = thread::scope(|scope| {
            let run = || recording.run(&of(1.0)).is_none();
            scope.spawn(run).join()
        });
        assert!(elsewhere.unwrap());
    }

    #[test]
    fn what_comes_out_in_another_order_is_brought_into_one_piece() {
        let compute = |image: Tensor<4>| (image * 2.0).permute([0, 3, 1, 2]);
        let of = |scale: f32| on(image([2, 3, 4, 5], &PROCESSOR) * scale, &GRAPHICS);
        let recording = Recording::new(&of(1.0), compute).unwrap();
        for scale in [1.0, -3.0] {
            same(recording.run(&of(scale)).unwrap(), compute(of(scale)));
        }
    }

    #[test]
    fn what_brings_values_along_is_recorded_with_them_or_not_at_all() {
        let compute =
            |image: Tensor<4>| image + on(self::image([1, 2, 2, 1], &PROCESSOR), &GRAPHICS);
        let input = image([1, 2, 2, 1], &GRAPHICS);
        let twice = image([1, 2, 2, 1], &PROCESSOR) * 2.0;
        if let Some(recording) = Recording::new(&input, compute) {
            same(recording.run(&input).unwrap(), twice.clone());
        }
        // And what comes behind is computed as ever.
        same(input * 2.0, twice);
    }
}

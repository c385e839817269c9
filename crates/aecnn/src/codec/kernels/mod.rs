//! The networks of a codec by kernels for the processor.

mod decoder;
mod encoder;
mod prepare;
mod refine;

use cpu_kernels::{Conv, Products};

pub(super) use self::decoder::Decoder;
pub(super) use self::encoder::Encoder;

/// Output channels of the kernels come in so many.
const GROUP: usize = 64;

/// Channels, and as many more that are always zero as the kernels need.
fn whole_groups(channels: usize) -> usize {
    channels.next_multiple_of(GROUP)
}

/// A convolution that keeps rows and columns, with weights `[out, in, kernel, kernel]` for `channels` `[in, out]`,
/// of which both become whole groups.
fn convolution(weights: &[f32], bias: &[f32], channels: [usize; 2], kernel: usize) -> Conv {
    let [inputs, outputs] = channels;
    let taps = kernel * kernel;
    let wide = channels.map(whole_groups);
    let mut padded = vec![0.0; wide[0] * wide[1] * taps];
    let rows = padded.chunks_exact_mut(wide[0] * taps);
    for (to, from) in rows.zip(weights.chunks_exact(inputs * taps)) {
        to[..from.len()].copy_from_slice(from);
    }
    let mut wide_bias = bias.to_vec();
    wide_bias.resize(whole_groups(outputs), 0.0);
    Conv::new(&padded, wide_bias, wide, kernel, 1, Products::Fine)
}

/// Planes `[pictures, channels, positions]` of channels in whole groups.
fn widened(planes: &[f32], channels: usize, positions: usize) -> Vec<f32> {
    let mut wide = Vec::with_capacity(planes.len() / channels * whole_groups(channels));
    for picture in planes.chunks_exact(channels * positions) {
        let start = wide.len();
        wide.extend_from_slice(picture);
        wide.resize(start + whole_groups(channels) * positions, 0.0);
    }
    wide
}

/// `values` times the matrix `[values, outputs]`, added to `sums`.
fn multiply(values: &[f32], matrix: &[f32], sums: &mut [f32]) {
    for (value, row) in values.iter().zip(matrix.chunks_exact(sums.len())) {
        for (sum, weight) in sums.iter_mut().zip(row) {
            *sum += value * weight;
        }
    }
}

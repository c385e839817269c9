//! Pooling.

use crate::Activation;
use crate::parallel::for_each_part;

/// The greatest of 3x3 values at every second pixel. The border of `input` must be one pixel or
/// wider, and no value of `input` negative: a border of zeros then wins against nothing.
#[must_use]
pub fn max_pool(input: &Activation) -> Activation {
    let channels = input.channels;
    let shape = [
        input.pictures,
        channels,
        input.height.div_ceil(2),
        input.width.div_ceil(2),
    ];
    let mut output = Activation::zeros(shape, 0);
    let height = output.height;
    let row_length = output.row_length();
    for_each_part(&mut output.values, row_length, |index, row| {
        let (picture, y) = (index / height, index % height);
        for (x, pixel) in row.chunks_exact_mut(channels).enumerate() {
            let corner = input.offset(picture, 2 * y, 2 * x) - input.row_length() - channels;
            for line in 0..3 {
                let line = &input.values[corner + line * input.row_length()..][..3 * channels];
                for from in line.chunks_exact(channels) {
                    for (greatest, value) in pixel.iter_mut().zip(from) {
                        *greatest = if *value > *greatest {
                            *value
                        } else {
                            *greatest
                        };
                    }
                }
            }
        }
    });
    output
}

/// The mean of each channel, `[pictures, channels]`.
#[must_use]
pub fn mean(input: &Activation) -> Vec<f32> {
    let channels = input.channels;
    let mut means = vec![0.0; input.pictures * channels];
    for (picture, means) in means.chunks_exact_mut(channels).enumerate() {
        for y in 0..input.height {
            let row = &input.values[input.offset(picture, y, 0)..][..input.width * channels];
            for pixel in row.chunks_exact(channels) {
                for (mean, value) in means.iter_mut().zip(pixel) {
                    *mean += value;
                }
            }
        }
        let pixels = (input.height * input.width) as f32;
        for mean in means {
            *mean /= pixels;
        }
    }
    means
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_greatest_of_nine_is_kept() {
        // One channel of 4x6, its values in an order that has no pattern.
        let values: Vec<f32> = (0..24).map(|i| (i * 7 % 24) as f32).collect();
        let pooled = max_pool(&Activation::from_planes(&values, [1, 1, 4, 6], 1));
        assert_eq!(pooled.shape(), [1, 1, 2, 3]);
        let expected: Vec<f32> = [(0, 0), (0, 2), (0, 4), (2, 0), (2, 2), (2, 4)]
            .into_iter()
            .map(|(y, x): (i32, i32)| {
                (y - 1..=y + 1)
                    .flat_map(|y| (x - 1..=x + 1).map(move |x| (y, x)))
                    .filter(|(y, x)| (0..4).contains(y) && (0..6).contains(x))
                    .map(|(y, x)| values[(y * 6 + x) as usize])
                    .fold(0.0, f32::max)
            })
            .collect();
        assert_eq!(pooled.to_planes(), expected);
    }

    #[test]
    fn means_are_of_each_channel() {
        let values: Vec<f32> = (0..12).map(|i| i as f32).collect();
        let input = Activation::from_planes(&values, [1, 2, 2, 3], 1);
        assert_eq!(mean(&input), [2.5, 8.5]);
    }
}

//! Square blocks of pixels as one pixel with all their channels.

use crate::Activation;
use crate::parallel::for_each_part;

impl Activation {
    /// From planes, `[pictures, channels, height, width]`: each block of `block` rows and columns becomes a
    /// pixel, in whose channels those of the picture stand one after the other, each with its block row by row.
    ///
    /// # Panics
    ///
    /// When `planes` has another length than its shape says, or blocks do not fill the picture.
    #[must_use]
    pub fn from_blocks(planes: &[f32], shape: [usize; 4], block: usize) -> Self {
        let [pictures, channels, height, width] = shape;
        let length = shape.iter().product::<usize>();
        assert_eq!(planes.len(), length, "planes of {shape:?}");
        assert!(
            height.is_multiple_of(block) && width.is_multiple_of(block),
            "{height}x{width} in blocks of {block}"
        );
        let (rows, read) = (height / block, channels * block * block);
        let mut activation = Self::zeros([pictures, read, rows, width / block], 0);
        if length == 0 {
            return activation;
        }
        for_each_part(
            &mut activation.values,
            read * width / block,
            |index, row| {
                let (picture, y) = (index / rows, index % rows);
                for line in 0..channels * block {
                    let (channel, dy) = (line / block, line % block);
                    let plane = picture * channels + channel;
                    let from = &planes[(plane * height + y * block + dy) * width..][..width];
                    let pixels = row.chunks_exact_mut(read);
                    for (pixel, from) in pixels.zip(from.chunks_exact(block)) {
                        pixel[line * block..][..block].copy_from_slice(from);
                    }
                }
            },
        );
        activation
    }

    /// Back to planes, `[pictures, channels, height, width]`, of the first `channels` of the picture; for what has
    /// no border.
    ///
    /// # Panics
    ///
    /// When a pixel has fewer values.
    #[must_use]
    pub fn to_planes_of_blocks(&self, channels: usize, block: usize) -> Vec<f32> {
        let [pictures, read, rows, columns] = self.shape();
        let (height, width) = (rows * block, columns * block);
        assert!(channels * block * block <= read, "{read} values a pixel");
        let mut planes = vec![0.0; pictures * channels * height * width];
        if planes.is_empty() {
            return planes;
        }
        for_each_part(&mut planes, width, |index, line| {
            let (plane, y) = (index / height, index % height);
            let (picture, channel) = (plane / channels, plane % channels);
            let value = channel * block + y % block;
            for (x, line) in line.chunks_exact_mut(block).enumerate() {
                let from = self.offset(picture, y / block, x) + value * block;
                line.copy_from_slice(&self.values[from..][..block]);
            }
        });
        planes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_become_pixels_and_come_back() {
        // Two pictures of two channels, 4 rows of 6.
        let planes: Vec<f32> = (0..2 * 2 * 24).map(|i| i as f32).collect();
        let blocks = Activation::from_blocks(&planes, [2, 2, 4, 6], 2);
        assert_eq!(blocks.shape(), [2, 8, 2, 3]);
        // Picture 1, second row of blocks, third column.
        let pixel = &blocks.values[blocks.offset(1, 1, 2)..][..8];
        assert_eq!(pixel, [64.0, 65.0, 70.0, 71.0, 88.0, 89.0, 94.0, 95.0]);
        assert_eq!(blocks.to_planes_of_blocks(2, 2), planes);
        let first: Vec<f32> = [&planes[..24], &planes[48..72]].concat();
        assert_eq!(blocks.to_planes_of_blocks(1, 2), first);
        let none = Activation::from_blocks(&[], [0, 2, 4, 6], 2);
        assert!(none.to_planes_of_blocks(2, 2).is_empty());
    }

    #[test]
    fn blocks_of_one_are_pixels() {
        let planes: Vec<f32> = (0..30).map(|i| i as f32).collect();
        let blocks = Activation::from_blocks(&planes, [1, 5, 2, 3], 1);
        assert_eq!(blocks.to_planes(), planes);
        assert_eq!(blocks.to_planes_of_blocks(5, 1), planes);
    }
}

//! A convolution as one kernel in half precision, by a card's matrix units.
//!
//! As in [`convolution`](crate::convolution), but the planes of a cube multiply squares of 16 x 16 values, which a plane's units
//! hold together and sum in single precision, and what the next step reads is on its way from memory while the last is multiplied.

use burn::tensor::{DType, Tensor};
use burn_cubecl::Cube;
use burn_cubecl::tensor::CubeTensor;
use cubecl::cmma::{self, Matrix, MatrixIdent, MatrixLayout};
use cubecl::features::MmaConfig;
use cubecl::ir::{ElemType, FloatKind};
use cubecl::prelude::*;

use crate::convolution::{Layer, Sizes, Task, relu};
use crate::place;

/// Rows and columns of what a matrix unit multiplies.
const SQUARE: usize = 16;
/// Units of a plane, of which cards with matrix units for these squares have as many.
const PLANE: usize = 32;
/// Values by which lines of shared memory are longer than what is read of them, so that those of a square lie in different banks.
const APART: usize = 8;
/// Values of a square that a unit sums where there are no matrix units.
const SHARE: usize = SQUARE * SQUARE / PLANE;

/// What a cube computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Tile {
    /// Planes, by pixels and by output channels.
    planes: [usize; 2],
    /// Squares of a plane, likewise.
    squares: [usize; 2],
    /// Of the values that a pixel reads, those in shared memory at a time.
    depth: usize,
}

/// From the largest on: the fewer pixels there are, the smaller, so that all of the card has work.
const TILES: [Tile; 3] = [
    Tile {
        planes: [2, 4],
        squares: [4, 2],
        depth: 32,
    },
    Tile {
        planes: [2, 2],
        squares: [2, 2],
        depth: 32,
    },
    Tile {
        planes: [2, 2],
        squares: [1, 1],
        depth: 64,
    },
];
/// With fewer cubes a part of a large card has no work.
const CUBES: usize = 128;

impl Tile {
    /// The largest of which there are enough, or the smallest.
    pub(crate) fn suiting(pixels: usize, outputs: usize) -> Self {
        let enough = |tile: &Self| {
            let [down, across] = tile.cubes(pixels, outputs);
            down * across >= CUBES
        };
        let [.., smallest] = TILES;
        TILES.into_iter().find(enough).unwrap_or(smallest)
    }

    const fn pixels(self) -> usize {
        self.planes[0] * self.squares[0] * SQUARE
    }

    const fn outputs(self) -> usize {
        self.planes[1] * self.squares[1] * SQUARE
    }

    const fn units(self) -> usize {
        self.planes[0] * self.planes[1] * PLANE
    }

    fn cubes(self, pixels: usize, outputs: usize) -> [usize; 2] {
        [
            pixels.div_ceil(self.pixels()),
            outputs.div_ceil(self.outputs()),
        ]
    }
}

/// How squares are multiplied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum By {
    /// By matrix units.
    Units,
    /// Value by value, so that all else can be tested where there are no matrix units.
    #[cfg_attr(not(test), expect(dead_code, reason = "for tests"))]
    Values,
}

/// Whether the tensor's device has units for products of this type that are summed in single precision.
pub(crate) fn serve(tensor: &CubeTensor, dtype: DType) -> bool {
    let kind = match dtype {
        DType::F16 => FloatKind::F16,
        DType::BF16 => FloatKind::BF16,
        _ => return false,
    };
    let [factors, sums] = [kind, FloatKind::F32].map(ElemType::Float);
    tensor.client.features().matmul.cmma.contains(&MmaConfig {
        a_type: factors,
        b_type: factors,
        cd_type: sums,
        m: SQUARE as u32,
        n: SQUARE as u32,
        k: SQUARE as u32,
    })
}

/// Whether the tensor is on a card with matrix units for half precision.
#[must_use]
pub fn has_matrix_units(tensor: &Tensor<4>) -> bool {
    let buffer = tensor.clone().try_into_primitive::<Cube>();
    buffer.is_ok_and(|tensor| serve(&tensor, DType::F16))
}

/// Sends the kernel.
pub(crate) fn launch<F: Float>(task: Task, tile: Tile, by: By) {
    let Task {
        buffers,
        sizes,
        layer,
        pixels,
        outputs,
    } = task;
    let client = buffers[0].client.clone();
    let [down, across] = tile.cubes(pixels, outputs);
    // Channels that are read and written at once: 16 bytes of them, or fewer where they do not come in such.
    let mut lanes = 16 / buffers[0].elem_size();
    while !layer.inputs.is_multiple_of(lanes) || !outputs.is_multiple_of(lanes) {
        lanes /= 2;
    }
    let [image, weight, bias, shortcut, output] = buffers.map(CubeTensor::into_buffer_arg);
    kernel::launch::<F>(
        &client,
        CubeCount::Static(down as u32, across as u32, 1),
        CubeDim::new_1d(tile.units() as u32),
        lanes,
        image,
        weight,
        bias,
        shortcut,
        output,
        sizes,
        layer,
        tile,
        by,
    );
}

#[cube(launch)]
fn kernel<F: Float, N: Size>(
    image: &[Vector<F, N>],
    weight: &[Vector<F, N>],
    bias: &[Vector<F, N>],
    shortcut: &[Vector<F, N>],
    output: &mut [Vector<F, N>],
    sizes: Sizes,
    #[comptime] layer: Layer,
    #[comptime] tile: Tile,
    #[comptime] by: By,
) {
    let lanes = N::value().comptime();
    let inputs = comptime!(layer.inputs as u32);
    let side = comptime!(layer.kernel as u32);
    let stride = comptime!(layer.stride as u32);
    let padding = comptime!(layer.padding as u32);
    let read = comptime!(layer.kernel * layer.kernel * layer.inputs);
    let steps = comptime!(read.div_ceil(tile.depth) as u32);
    let read = comptime!(read as u32);

    // Vectors of a line in shared memory: those that are read, and all.
    let share = comptime!(tile.depth / lanes);
    let line = comptime!((tile.depth + APART) / lanes);
    // Each twice: the one is multiplied while the other is filled.
    let size = comptime!(2 * tile.pixels() * line);
    let mut values = Shared::<[Vector<F, N>]>::new_aligned_slice(size, 128usize);
    let size = comptime!(2 * tile.outputs() * line);
    let mut weights = Shared::<[Vector<F, N>]>::new_aligned_slice(size, 128usize);

    // What a unit brings: the same part of every so many lines.
    let part = UNIT_POS % comptime!(share as u32);
    let first = UNIT_POS / comptime!(share as u32);
    let every = comptime!((tile.units() / share) as u32);
    let pixel_lines = comptime!(tile.pixels() * share / tile.units());
    let output_lines = comptime!(tile.outputs() * share / tile.units());
    let first_pixel = CUBE_POS_X * comptime!(tile.pixels() as u32);
    let first_output = CUBE_POS_Y * comptime!(tile.outputs() as u32);
    // Of its pixels: the padding's corner of what they read, and the picture.
    let mut tops = Array::<u32>::new(pixel_lines);
    let mut lefts = Array::<u32>::new(pixel_lines);
    let mut pictures = Array::<u32>::new(pixel_lines);
    #[unroll]
    for own in 0..pixel_lines {
        let pixel = first_pixel + first + comptime!(own as u32) * every;
        let at = place(pixel, sizes.rows, sizes.columns);
        tops[own] = at.row * stride;
        lefts[own] = at.column * stride;
        pictures[own] = at.picture;
    }
    let mut pixel_vectors = Array::<Vector<F, N>>::new(pixel_lines);
    let mut output_vectors = Array::<Vector<F, N>>::new(output_lines);

    // The squares of this unit's plane.
    let squares_down = comptime!(tile.squares[0]);
    let squares_across = comptime!(tile.squares[1]);
    let plane = UNIT_POS / comptime!(PLANE as u32);
    let within = UNIT_POS % comptime!(PLANE as u32);
    let down =
        plane / comptime!(tile.planes[1] as u32) * comptime!((tile.squares[0] * SQUARE) as u32);
    let across =
        plane % comptime!(tile.planes[1] as u32) * comptime!((tile.squares[1] * SQUARE) as u32);
    let mut sums = Sequence::<Matrix<f32>>::new();
    let shares = match by {
        By::Units => 1usize,
        By::Values => comptime!(tile.squares[0] * tile.squares[1] * SHARE),
    };
    let mut plain = Array::<f32>::new(shares);
    match by {
        By::Units =>
        {
            #[unroll]
            for _ in 0..comptime!(tile.squares[0] * tile.squares[1]) {
                sums.push(Matrix::<f32>::from_value(
                    MatrixIdent::Accumulator,
                    SQUARE,
                    SQUARE,
                    SQUARE,
                    MatrixLayout::Undefined,
                    0.0,
                ));
            }
        }
        By::Values =>
        {
            #[unroll]
            for at in 0..shares {
                plain[at] = 0.0;
            }
        }
    }

    // Step by step: what is read in the next is fetched, what was read in the last multiplied.
    let mut step = 0u32;
    while step <= steps {
        if step < steps {
            let index = step * comptime!(tile.depth as u32) + part * comptime!(lanes as u32);
            let input = index % inputs;
            let window = index / inputs;
            let below = window / side;
            let right = window % side;
            #[unroll]
            for own in 0..pixel_lines {
                let pixel = first_pixel + first + comptime!(own as u32) * every;
                let row = tops[own] + below;
                let column = lefts[own] + right;
                let inside = index < read
                    && pixel < sizes.pixels
                    && row >= padding
                    && row < sizes.height + padding
                    && column >= padding
                    && column < sizes.width + padding;
                let mut vector = Vector::<F, N>::new(F::new(0.0));
                if inside {
                    let row = pictures[own] * sizes.height + row - padding;
                    let at = (row * sizes.width + column - padding) * inputs + input;
                    vector = image[(at / comptime!(lanes as u32)) as usize];
                }
                pixel_vectors[own] = vector;
            }
            #[unroll]
            for own in 0..output_lines {
                let channel = first_output + first + comptime!(own as u32) * every;
                let mut vector = Vector::<F, N>::new(F::new(0.0));
                if index < read && channel < sizes.outputs {
                    vector = weight[((channel * read + index) / comptime!(lanes as u32)) as usize];
                }
                output_vectors[own] = vector;
            }
        }

        if step > 0 {
            let last = (step - 1) % 2;
            let value_line = last * comptime!(tile.pixels() as u32) + down;
            let weight_line = last * comptime!(tile.outputs() as u32) + across;
            match by {
                By::Units => {
                    let apart = comptime!((tile.depth + APART) as u32);
                    #[unroll]
                    for square in 0..comptime!(tile.depth / SQUARE) {
                        let from = comptime!((square * SQUARE / lanes) as u32);
                        let mut factors = Sequence::<Matrix<Vector<F, N>>>::new();
                        #[unroll]
                        for x in 0..squares_across {
                            let row = weight_line + comptime!((x * SQUARE) as u32);
                            let at = (row * comptime!(line as u32) + from) as usize;
                            factors.push(Matrix::<Vector<F, N>>::from_slice(
                                MatrixIdent::B,
                                SQUARE,
                                SQUARE,
                                SQUARE,
                                MatrixLayout::ColMajor,
                                &weights[at..weights.len()],
                                apart,
                            ));
                        }
                        #[unroll]
                        for y in 0..squares_down {
                            let row = value_line + comptime!((y * SQUARE) as u32);
                            let at = (row * comptime!(line as u32) + from) as usize;
                            let factor = Matrix::<Vector<F, N>>::from_slice(
                                MatrixIdent::A,
                                SQUARE,
                                SQUARE,
                                SQUARE,
                                MatrixLayout::RowMajor,
                                &values[at..values.len()],
                                apart,
                            );
                            #[unroll]
                            for x in 0..squares_across {
                                let sum = sums.index(comptime!(y * squares_across + x));
                                cmma::execute(&factor, factors.index(x), sum, sum);
                            }
                        }
                    }
                }
                By::Values =>
                {
                    #[unroll]
                    for at in 0..shares {
                        let square = comptime!(at / SHARE);
                        let y = comptime!((square / squares_across * SQUARE) as u32);
                        let x = comptime!((square % squares_across * SQUARE) as u32);
                        let place = within + comptime!((at % SHARE * PLANE) as u32);
                        let row = value_line + y + place / comptime!(SQUARE as u32);
                        let column = weight_line + x + place % comptime!(SQUARE as u32);
                        let row = row * comptime!(line as u32);
                        let column = column * comptime!(line as u32);
                        for vector in 0..comptime!(share as u32) {
                            let product = values[(row + vector) as usize]
                                * weights[(column + vector) as usize];
                            #[unroll]
                            for lane in 0..lanes {
                                plain[at] += f32::cast_from(product.extract(lane));
                            }
                        }
                    }
                }
            }
        }

        if step < steps {
            let next = step % 2;
            #[unroll]
            for own in 0..pixel_lines {
                let row =
                    next * comptime!(tile.pixels() as u32) + first + comptime!(own as u32) * every;
                values[(row * comptime!(line as u32) + part) as usize] = pixel_vectors[own];
            }
            #[unroll]
            for own in 0..output_lines {
                let row =
                    next * comptime!(tile.outputs() as u32) + first + comptime!(own as u32) * every;
                weights[(row * comptime!(line as u32) + part) as usize] = output_vectors[own];
            }
        }
        sync_cube();
        step += 1;
    }

    // A row of the plane's squares at a time goes through shared memory, where any unit can read any sum.
    let width = comptime!(tile.squares[1] * SQUARE);
    let apart = comptime!((width + APART) as u32);
    let size = comptime!(tile.planes[0] * tile.planes[1] * SQUARE * (width + APART));
    let mut scratch = Shared::<[f32]>::new_aligned_slice(size, 128usize);
    let own = plane * comptime!(SQUARE as u32) * apart;
    #[unroll]
    for y in 0..squares_down {
        match by {
            By::Units =>
            {
                #[unroll]
                for x in 0..squares_across {
                    let at = (own + comptime!((x * SQUARE) as u32)) as usize;
                    let end = scratch.len();
                    cmma::store(
                        &mut scratch[at..end],
                        sums.index(comptime!(y * squares_across + x)),
                        apart,
                        MatrixLayout::RowMajor,
                    );
                }
            }
            By::Values =>
            {
                #[unroll]
                for at in 0..comptime!(squares_across * SHARE) {
                    let x = comptime!((at / SHARE * SQUARE) as u32);
                    let place = within + comptime!((at % SHARE * PLANE) as u32);
                    let row = own + place / comptime!(SQUARE as u32) * apart;
                    let to = row + x + place % comptime!(SQUARE as u32);
                    scratch[to as usize] = plain[comptime!(y * squares_across * SHARE + at)];
                }
            }
        }
        sync_cube();

        let vectors = comptime!((width / lanes) as u32);
        #[unroll]
        for turn in 0..comptime!(SQUARE * width / lanes / PLANE) {
            let at = within + comptime!((turn * PLANE) as u32);
            let row = at / vectors;
            let column = at % vectors * comptime!(lanes as u32);
            let pixel = first_pixel + down + comptime!((y * SQUARE) as u32) + row;
            let channel = first_output + across + column;
            if pixel < sizes.pixels && channel < sizes.outputs {
                let from = own + row * apart + column;
                let mut added = Vector::<F, N>::new(F::new(0.0));
                if comptime!(layer.shortcut > 0) {
                    let step = comptime!(layer.shortcut as u32);
                    let at = place(pixel, sizes.rows, sizes.columns);
                    let row = at.picture * sizes.tall + at.row * step;
                    let at = (row * sizes.wide + at.column * step) * sizes.outputs + channel;
                    added = shortcut[(at / comptime!(lanes as u32)) as usize];
                }
                let mut biases = Vector::<F, N>::new(F::new(0.0));
                if comptime!(layer.bias) {
                    biases = bias[(channel / comptime!(lanes as u32)) as usize];
                }
                let mut result = Vector::<F, N>::new(F::new(0.0));
                #[unroll]
                for lane in 0..lanes {
                    let mut sum = scratch[(from + comptime!(lane as u32)) as usize];
                    sum += f32::cast_from(biases.extract(lane));
                    sum += f32::cast_from(added.extract(lane));
                    if comptime!(layer.relu) {
                        sum = relu::<f32>(sum);
                    }
                    result.insert(lane, F::cast_from(sum));
                }
                let to = (pixel * sizes.outputs + channel) / comptime!(lanes as u32);
                output[to as usize] = result;
            }
        }
        sync_cube();
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{FloatDType, activation, s};

    use super::*;
    use crate::convolution::tests::{SHAPES, plain};
    use crate::convolution::{Shortcut, convolve, packed};
    use crate::image::tensor;
    use crate::tests::{GRAPHICS, PROCESSOR, image, on, same, values};

    /// Small enough for the shared memory of any graphics device.
    const LITTLE: [Tile; 2] = [
        Tile {
            planes: [2, 1],
            squares: [1, 2],
            depth: 16,
        },
        Tile {
            planes: [1, 2],
            squares: [2, 1],
            depth: 32,
        },
    ];

    fn by_values(
        image: &Tensor<4>,
        weight: &Tensor<4>,
        bias: Option<&Tensor<1>>,
        geometry: [usize; 2],
        shortcut: Option<Shortcut<'_>>,
        tile: Tile,
    ) -> Tensor<4> {
        let relu = shortcut.is_some();
        let task = Task::new(image, weight, bias, geometry, shortcut, relu).unwrap();
        let output = task.output();
        launch::<f32>(task, tile, By::Values);
        tensor(output)
    }

    #[test]
    fn everything_but_the_units_is_a_convolution() {
        for ([n, height, width, inputs], outputs, [kernel, stride, padding]) in SHAPES {
            let input = image([n, height, width, inputs], &PROCESSOR);
            let weight = image([outputs, inputs, kernel, kernel], &PROCESSOR);
            let bias = image([outputs], &PROCESSOR);
            let with_bias = Some(bias.clone());
            let sum = plain(input.clone(), weight.clone(), with_bias, stride, padding);
            let [_, rows, columns, _] = sum.dims();
            let added = image([n, 2 * rows - 1, 2 * columns, outputs], &PROCESSOR);
            let shortcut = &on(added.clone(), &GRAPHICS);
            let wanted = activation::relu(sum.clone() + added.slice(s![.., ..;2, ..;2, ..]));
            let (input, bias) = (on(input, &GRAPHICS), on(bias, &GRAPHICS));
            let weight = packed(on(weight, &GRAPHICS));
            let geometry = [stride, padding];
            for tile in LITTLE {
                let ours = by_values(&input, &weight, Some(&bias), geometry, None, tile);
                same(ours, sum.clone());
                let shortcut = Some(Shortcut {
                    image: shortcut,
                    stride: 2,
                });
                let ours = by_values(&input, &weight, Some(&bias), geometry, shortcut, tile);
                same(ours, wanted.clone());
            }
        }
    }

    #[test]
    fn what_is_no_number_or_infinite_stays_where_it_is_read() {
        let mut numbers = vec![1.0; 5 * 5];
        numbers[12] = f32::NAN;
        numbers[0] = f32::INFINITY;
        let input = values(numbers, [1, 5, 5, 1], &GRAPHICS);
        let weight = values(vec![1.0; 9], [1, 1, 3, 3], &GRAPHICS);
        let nothing = values(vec![0.0; 25], [1, 5, 5, 1], &GRAPHICS);
        let shortcut = Some(Shortcut {
            image: &nothing,
            stride: 1,
        });
        let out = by_values(&input, &weight, None, [1, 1], shortcut, LITTLE[0]);
        let out = out.into_data().try_to_vec::<f32>().unwrap();
        for (at, value) in out.iter().enumerate() {
            let (row, column) = (at / 5, at % 5);
            let reads = (1..4).contains(&row) && (1..4).contains(&column);
            assert_eq!(value.is_nan(), reads, "{at}: {value}");
            let infinite = row < 2 && column < 2 && !reads;
            assert_eq!(value.is_infinite(), infinite, "{at}: {value}");
        }
    }

    #[test]
    fn in_half_precision_it_is_a_convolution_too() {
        if !has_matrix_units(&image([1, 1, 1, 1], &GRAPHICS)) {
            eprintln!("not tested: this device has no matrix units");
            return;
        }
        // One for each of the tiles, the first of a network, and one whose channels come one by one.
        let shapes = [
            ([4, 56, 56, 64], 256, [1, 1, 0]),
            ([1, 28, 28, 128], 128, [3, 1, 1]),
            ([2, 7, 7, 512], 512, [3, 1, 1]),
            ([1, 56, 40, 3], 64, [7, 2, 3]),
            ([3, 15, 9, 20], 33, [3, 2, 1]),
        ];
        for ([n, height, width, inputs], outputs, [kernel, stride, padding]) in shapes {
            let half = |tensor: Tensor<4>| on(tensor, &GRAPHICS).cast(FloatDType::F16);
            let scale = 1.0 / (inputs as f32 * (kernel * kernel) as f32).sqrt();
            let input = half(image([n, height, width, inputs], &PROCESSOR));
            let weight = half(image([outputs, inputs, kernel, kernel], &PROCESSOR) * scale);
            let bias = on(image([outputs], &PROCESSOR), &GRAPHICS).cast(FloatDType::F16);
            // Single precision of the same numbers.
            let exact = |tensor: &Tensor<4>| on(tensor.clone().cast(FloatDType::F32), &PROCESSOR);
            let with_bias = Some(on(bias.clone().cast(FloatDType::F32), &PROCESSOR));
            let sum = plain(exact(&input), exact(&weight), with_bias, stride, padding);
            let [_, rows, columns, _] = sum.dims();
            let added = half(image([n, rows, columns, outputs], &PROCESSOR));
            let wanted = activation::relu(sum + exact(&added));
            let shortcut = Some(Shortcut {
                image: &added,
                stride: 1,
            });
            let weight = packed(weight);
            let geometry = [stride, padding];
            let ours = convolve(&input, &weight, Some(&bias), geometry, shortcut, true).unwrap();
            let off = (exact(&ours) - wanted.clone())
                .abs()
                .max()
                .into_scalar::<f32>();
            let most = wanted.abs().max().into_scalar::<f32>();
            assert!(
                off <= most / 1000.0,
                "{off} off, of {most}: {inputs} {outputs}"
            );
        }
    }
}

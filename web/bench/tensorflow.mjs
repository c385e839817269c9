// The layers by TensorFlow.js, in the page.

import { tensors, through } from './layers.mjs';

/**
 * From the picture, `[224, 224, 3]`, through so many stages: to `[height, width, channels]`, at once or when a graphics device has it, or to planes.
 * @param {any} tf TensorFlow.js
 * @param {Uint8Array[]} files the parts' weights @param {number} stages
 * @returns {{ run: (pixels: Float32Array) => Float32Array, later: (pixels: Float32Array) => Promise<Float32Array>, asPlanes: (pixels: Float32Array) => Promise<Float32Array> }}
 */
export function front(tf, files, stages) {
  /** @type {Map<string, any>} */
  const weights = new Map();
  for (const [name, { shape, values }] of files.flatMap((file) => [...tensors(file)])) {
    weights.set(name, shape.length === 4 ? tf.tidy(() => tf.transpose(tf.tensor4d(values, shape), [2, 3, 1, 0])) : tf.tensor1d(values));
  }
  /** @type {import('./layers.mjs').Layers<any>} */
  const layers = {
    conv(name, input, strides, relu) {
      const filter = weights.get(`${name}.weight`);
      const pad = (filter.shape[0] - 1) / 2;
      return tf.fused.conv2d({ x: input, filter, strides, pad, bias: weights.get(`${name}.bias`), activation: relu ? 'relu' : 'linear' });
    },
    pool: (input) => tf.maxPool(input, 3, 2, 1),
    even: (input) => tf.maxPool(input, 1, 2, 'valid'),
    add: (a, b) => tf.relu(tf.add(a, b)),
  };
  const feature = (/** @type {Float32Array} */ pixels) => through(layers, tf.tensor4d(pixels, [1, 224, 224, 3]), undefined, stages);
  const later = async (/** @type {() => any} */ compute) => {
    const result = tf.tidy(compute);
    const values = await result.data();
    result.dispose();
    return values;
  };
  return {
    run: (pixels) => tf.tidy(() => feature(pixels).dataSync()),
    later: (pixels) => later(() => feature(pixels)),
    asPlanes: (pixels) => later(() => tf.transpose(feature(pixels), [0, 3, 1, 2])),
  };
}

/**
 * Fails where two results are further apart than a thousandth of the largest value.
 * @param {Float32Array} ours @param {Float32Array} theirs @param {string} names
 */
export function alike(ours, theirs, names) {
  const largest = theirs.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  const apart = ours.reduce((most, value, at) => Math.max(most, Math.abs(value - theirs[at])), 0);
  if (ours.length !== theirs.length || !(apart < 1e-3 * largest)) throw new Error(`${names} are ${apart} of ${largest} apart`);
}

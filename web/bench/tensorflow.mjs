// The layers by TensorFlow.js, in the page.

import { tensors, through } from './layers.mjs';

/**
 * From the picture, `[224, 224, 3]`, through so many stages: to `[height, width, channels]`, or to planes.
 * @param {any} tf TensorFlow.js
 * @param {Uint8Array[]} files the parts' weights @param {number} stages
 * @returns {Record<'run' | 'asPlanes', (pixels: Float32Array) => Float32Array>}
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
  return {
    run: (pixels) => tf.tidy(() => feature(pixels).dataSync()),
    asPlanes: (pixels) => tf.tidy(() => tf.transpose(feature(pixels), [0, 3, 1, 2]).dataSync()),
  };
}

// Writes the network, or the layers between two cuts, as an ONNX model, from the weights in `models/`.
//
// ONNX is protobuf; the few messages that are needed are written by hand below, so that the
// benchmark needs no other tool.

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { STAGES, partsOf, tensors, through } from './layers.mjs';

/** @typedef {import('./layers.mjs').Tensor} Tensor */

const FLOAT = 1;
const ATTRIBUTE_INT = 2;
const ATTRIBUTE_INTS = 7;

/** @param {number} value @returns {Buffer} */
function varint(value) {
  const bytes = [];
  let rest = BigInt(value);
  while (rest > 127n) {
    bytes.push(Number(rest & 127n) | 128);
    rest >>= 7n;
  }
  bytes.push(Number(rest));
  return Buffer.from(bytes);
}

/** @param {number} field @param {number} value */
const integer = (field, value) => Buffer.concat([varint(field << 3), varint(value)]);

/** @param {number} field @param {...(Buffer | string)} parts */
function bytes(field, ...parts) {
  const body = Buffer.concat(parts.map((part) => Buffer.from(/** @type {any} */ (part))));
  return Buffer.concat([varint((field << 3) | 2), varint(body.length), body]);
}

/** @param {string} name @param {number[]} values */
const ints = (name, values) =>
  bytes(5, bytes(1, name), ...values.map((value) => integer(8, value)), integer(20, ATTRIBUTE_INTS));

/** @param {string} op @param {string[]} inputs @param {string} output @param {...Buffer} attributes */
const node = (op, inputs, output, ...attributes) =>
  bytes(1, ...inputs.map((name) => bytes(1, name)), bytes(2, output), bytes(3, output), bytes(4, op), ...attributes);

/** @param {Tensor} tensor */
const initializer = ({ name, shape, values }) =>
  bytes(5, ...shape.map((length) => integer(1, length)), integer(2, FLOAT), bytes(8, name),
    bytes(9, Buffer.from(values.buffer, values.byteOffset, values.byteLength)));

/** @param {number} field @param {string} name @param {number[]} shape */
const value = (field, name, shape) =>
  bytes(field, bytes(1, name), bytes(2, bytes(1, integer(1, FLOAT), bytes(2, ...shape.map((length) => bytes(1, integer(1, length)))))));

/** The shape of what enters each stage, and the head behind the last. */
const SHAPES = [[64, 56, 56], [256, 28, 28], [512, 14, 14], [1024, 7, 7], [2048, 7, 7]];

/**
 * The layers from the picture, or from a cut, up to another cut or to the logits: input `x`, output `y`, in batches of `batch`.
 * @param {string} model the model's folder
 * @param {{ from?: number, to?: number, batch?: number }} layers stages before the first of them (without: from the
 *   picture), stages up to the last of them (without: to the logits)
 */
export async function asOnnx(model, { from, to, batch = 1 }) {
  const first = from ?? 0;
  const last = to ?? STAGES.length;
  /** @type {Map<string, Tensor>} */
  const weights = new Map();
  for (const part of partsOf(from, to)) {
    for (const [name, tensor] of tensors(await readFile(join(model, `${part}.safetensors`)))) weights.set(name, tensor);
  }
  /** @type {Buffer[]} */
  const nodes = [];
  /** @param {string} op @param {string[]} inputs @param {string} output @param {...Buffer} attributes */
  const push = (op, inputs, output, ...attributes) => {
    nodes.push(node(op, inputs, output, ...attributes));
    return output;
  };
  const relu = (/** @type {string} */ input) => push('Relu', [input], `${input}.relu`);
  const x = through({
    conv(name, input, stride, positive) {
      const weight = weights.get(`${name}.weight`);
      if (!weight) throw new Error(`${model} has no ${name}.weight`);
      const kernel = weight.shape[2];
      const pad = (kernel - 1) / 2;
      const output = push('Conv', [input, `${name}.weight`, `${name}.bias`], `${name}.out`,
        ints('kernel_shape', [kernel, kernel]), ints('strides', [stride, stride]), ints('pads', [pad, pad, pad, pad]));
      return positive ? relu(output) : output;
    },
    pool: (input) => push('MaxPool', [input], `${input}.pool`, ints('kernel_shape', [3, 3]), ints('strides', [2, 2]), ints('pads', [1, 1, 1, 1])),
    // A pool over one pixel is the cheapest way to take every second one.
    even: (input) => push('MaxPool', [input], `${input}.even`, ints('kernel_shape', [1, 1]), ints('strides', [2, 2])),
    add: (a, b) => relu(push('Add', [a, b], `${a}.sum`)),
  }, 'x', from, last);
  if (to === undefined) {
    nodes.push(node('GlobalAveragePool', [x], 'means'), node('Flatten', ['means'], 'flat'));
    nodes.push(node('Gemm', ['flat', 'head.weight', 'head.bias'], 'y', bytes(5, bytes(1, 'transB'), integer(3, 1), integer(20, ATTRIBUTE_INT))));
  } else {
    nodes.push(node('Identity', [x], 'y'));
  }
  const input = from === undefined ? [3, 224, 224] : SHAPES[first];
  const output = to === undefined ? [1000] : SHAPES[last];
  const graph = bytes(7, ...nodes, bytes(2, 'layers'), ...[...weights.values()].map(initializer),
    value(11, 'x', [batch, ...input]), value(12, 'y', [batch, ...output]));
  return Buffer.concat([integer(1, 8), graph, bytes(8, bytes(1, ''), integer(2, 13))]);
}

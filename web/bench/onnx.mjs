// Writes the network, or the layers between two cuts, as an ONNX model, from the weights in `models/`.
//
// ONNX is protobuf; the few messages that are needed are written by hand below, so that the
// benchmark needs no other tool. Layers are those that the device runs: batch norm is folded, and
// the last block before the cut computes even pixels only, for onnxruntime too.

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

/** @typedef {{ name: string, shape: number[], values: Float32Array }} Tensor */

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

/** @param {number} bits */
function half(bits) {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

/** @param {string} path @returns {Promise<Map<string, Tensor>>} */
async function readSafetensors(path) {
  const file = await readFile(path);
  const length = Number(file.readBigUInt64LE(0));
  const header = JSON.parse(file.subarray(8, 8 + length).toString('utf8'));
  const tensors = new Map();
  for (const [name, entry] of Object.entries(header)) {
    if (name === '__metadata__') continue;
    const { dtype, shape, data_offsets: [from, to] } = entry;
    const data = file.subarray(8 + length + from, 8 + length + to);
    /** @type {Float32Array} */
    let values;
    if (dtype === 'F32') values = new Float32Array(new Uint8Array(data).buffer);
    else if (dtype === 'F16') values = Float32Array.from(new Uint16Array(new Uint8Array(data).buffer), half);
    else throw new Error(`${path}: ${name} has the type ${dtype}; F16 and F32 are read`);
    tensors.set(name, { name, shape, values });
  }
  return tensors;
}

const STAGES = [3, 4, 6, 3];

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
  const parts = [
    ...(from === undefined ? ['stem'] : []),
    ...STAGES.map((_, stage) => `stage${stage + 1}`).slice(first, last),
    ...(to === undefined ? ['head'] : []),
  ];
  /** @type {Map<string, Tensor>} */
  const weights = new Map();
  for (const part of parts) {
    for (const [name, tensor] of await readSafetensors(join(model, `${part}.safetensors`))) weights.set(name, tensor);
  }
  /** @type {Buffer[]} */
  const nodes = [];
  /** @param {string} name @param {string} input @param {number} stride */
  const conv = (name, input, stride) => {
    const weight = weights.get(`${name}.weight`);
    if (!weight) throw new Error(`${model} has no ${name}.weight`);
    const kernel = weight.shape[2];
    const pad = (kernel - 1) / 2;
    nodes.push(node('Conv', [input, `${name}.weight`, `${name}.bias`], `${name}.out`,
      ints('kernel_shape', [kernel, kernel]), ints('strides', [stride, stride]), ints('pads', [pad, pad, pad, pad])));
    return `${name}.out`;
  };
  /** @param {string} input */
  const relu = (input) => {
    nodes.push(node('Relu', [input], `${input}.relu`));
    return `${input}.relu`;
  };

  let x = 'x';
  if (from === undefined) {
    x = relu(conv('stem.conv', x, 2));
    nodes.push(node('MaxPool', [x], 'stem.pool', ints('kernel_shape', [3, 3]), ints('strides', [2, 2]), ints('pads', [1, 1, 1, 1])));
    x = 'stem.pool';
  }
  for (let stage = first; stage < last; stage += 1) {
    for (let block = 0; block < STAGES[stage]; block += 1) {
      const name = `stage${stage + 1}.${block}`;
      const stride = block === STAGES[stage] - 1 && stage < 3 ? 2 : 1;
      const main = conv(`${name}.conv3`, relu(conv(`${name}.conv2`, relu(conv(`${name}.conv1`, x, 1)), stride)), 1);
      let shortcut = x;
      if (block === 0) shortcut = conv(`${name}.shortcut`, x, 1);
      if (stride === 2) {
        // A pool over one pixel is the cheapest way to take every second one.
        nodes.push(node('MaxPool', [x], `${name}.even`, ints('kernel_shape', [1, 1]), ints('strides', [2, 2])));
        shortcut = `${name}.even`;
      }
      nodes.push(node('Add', [main, shortcut], `${name}.sum`));
      x = relu(`${name}.sum`);
    }
  }
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

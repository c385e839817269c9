// The network's layers, for any runtime: the weights in `models/`, and the order in which they are used.
//
// Layers are those that the device runs: batch norm is folded, and the last block before a cut computes even
// pixels only, for the others too.

/** @typedef {{ name: string, shape: number[], values: Float32Array }} Tensor */

/**
 * How a runtime does a layer; `X` is what goes from one to the next.
 * @template X
 * @typedef {object} Layers
 * @property {(name: string, input: X, stride: number, relu: boolean) => X} conv by `name.weight` and `name.bias`, padded by half the kernel
 * @property {(input: X) => X} pool the greatest of 3x3 at every second pixel, padded by one
 * @property {(input: X) => X} even every second pixel
 * @property {(a: X, b: X) => X} add the sum, of which what is negative becomes zero
 */

export const STAGES = [3, 4, 6, 3];

/** The parts of the model between two cuts. @param {number | undefined} from @param {number | undefined} to */
export const partsOf = (from, to) => [
  ...(from === undefined ? ['stem'] : []),
  ...STAGES.map((_, stage) => `stage${stage + 1}`).slice(from ?? 0, to ?? STAGES.length),
  ...(to === undefined ? ['head'] : []),
];

/**
 * From the picture, or from the cut after `from` stages, through `to` stages.
 * @template X
 * @param {Layers<X>} layers @param {X} input @param {number | undefined} from @param {number} to
 */
export function through({ conv, pool, even, add }, input, from, to) {
  let x = from === undefined ? pool(conv('stem.conv', input, 2, true)) : input;
  for (let stage = from ?? 0; stage < to; stage += 1) {
    for (let block = 0; block < STAGES[stage]; block += 1) {
      const name = `stage${stage + 1}.${block}`;
      const stride = block === STAGES[stage] - 1 && stage < 3 ? 2 : 1;
      const narrow = conv(`${name}.conv2`, conv(`${name}.conv1`, x, 1, true), stride, true);
      const main = conv(`${name}.conv3`, narrow, 1, false);
      const kept = block === 0 ? conv(`${name}.shortcut`, x, 1, false) : x;
      x = add(main, stride === 2 ? even(kept) : kept);
    }
  }
  return x;
}

/** @param {number} bits */
function half(bits) {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

/** The tensors of a safetensors file. @param {Uint8Array} file @returns {Map<string, Tensor>} */
export function tensors(file) {
  const length = Number(new DataView(file.buffer, file.byteOffset).getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(file.subarray(8, 8 + length)));
  const found = new Map();
  for (const [name, entry] of Object.entries(header)) {
    if (name === '__metadata__') continue;
    const { dtype, shape, data_offsets: [from, to] } = entry;
    const data = new Uint8Array(file.subarray(8 + length + from, 8 + length + to)).buffer;
    /** @type {Float32Array} */
    let values;
    if (dtype === 'F32') values = new Float32Array(data);
    else if (dtype === 'F16') values = Float32Array.from(new Uint16Array(data), half);
    else throw new Error(`${name} has the type ${dtype}; F16 and F32 are read`);
    found.set(name, { name, shape, values });
  }
  return found;
}

// What the engine and its peers replay: the layers, values to put in, and programs that run once more whenever they are told to.

import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline/promises';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
/** The engine's program. */
export const PROGRAM = process.env.AECNN_LOAD ?? join(ROOT, 'target/release/aecnn-load');
/** The folder of models, and the model that is measured. */
export const MODELS = join(ROOT, 'models');
export const MODEL = join(MODELS, 'resnet50-imagenet');

/** @typedef {{ name: string, split: string | undefined, from: number | undefined, shape: number[] }} Layers */
/** What is measured. @type {Layers[]} */
export const LAYERS = [
  { name: 'whole network', split: undefined, from: undefined, shape: [3, 224, 224] },
  { name: 'behind the stem', split: 'stem', from: 0, shape: [64, 56, 56] },
  { name: 'behind stage 1', split: 'stage1', from: 1, shape: [256, 28, 28] },
  { name: 'behind stage 2', split: 'stage2', from: 2, shape: [512, 14, 14] },
];

/** Fails unless the engine's program is there. */
export function program() {
  if (!existsSync(PROGRAM)) throw new Error(`${PROGRAM} is missing: cargo build --release --workspace --exclude xtask --exclude gpu-kernels`);
}

/**
 * A batch of made-up values: features are not negative, pictures are about -120 to 150.
 * @param {Pick<Layers, 'split' | 'shape'>} layers @param {number} batch
 */
export function inputs({ split, shape }, batch) {
  const length = batch * shape.reduce((product, n) => product * n, 1);
  return Float32Array.from({ length }, (_, index) => ((index * 7919) % 271) / (split ? 200 : 1) - (split ? 0 : 120));
}

/**
 * A program that computes the layers and then, for each line that it is given, once more.
 * @param {string} program @param {string[]} flags @param {NodeJS.ProcessEnv} [environment]
 */
export async function start(program, flags, environment = {}) {
  const child = spawn(program, flags, { env: { ...process.env, ...environment }, stdio: ['pipe', 'pipe', 'inherit'] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const line = async () => {
    const { value, done } = await lines.next();
    if (done) throw new Error(`${program} ended: what it printed says why`);
    return value;
  };
  return {
    /** What it says when its logits are written. */
    ready: await line(),
    /** Milliseconds of one run. */
    run: async () => {
      child.stdin.write('\n');
      return Number(await line());
    },
    end: () => child.stdin.end(),
  };
}

/** The 32-bit floats of a file. @param {string} file */
export async function values(file) {
  const bytes = await readFile(file);
  return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
}

/**
 * Fails unless the logits are those that are expected.
 * @param {Float32Array} got @param {Float32Array} expected @param {number} tolerance @param {string} whose
 */
export function compare(got, expected, tolerance, whose) {
  const worst = expected.reduce((most, value, index) => Math.max(most, Math.abs(value - got[index])), 0);
  if (!(got.length === expected.length && worst < tolerance)) throw new Error(`${whose} logits differ by ${worst}`);
}

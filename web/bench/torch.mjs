// PyTorch as a peer: its environment, and the layers in the form in which `torch_layers.py` replays them.

import { execFile } from 'node:child_process';
import { cp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { STAGES, partsOf, tensors, through } from './layers.mjs';

/** @typedef {{ python: string, version: string }} PyTorch */

const run = promisify(execFile);
const FOLDER = fileURLToPath(new URL('.', import.meta.url));
const VENV = join(FOLDER, '.venv');
const REQUIREMENTS = join(FOLDER, 'requirements.txt');
const PYTHON = join(VENV, process.platform === 'win32' ? 'Scripts/python.exe' : 'bin/python');
export const PROGRAM = join(FOLDER, 'torch_layers.py');
/** What was compiled stays with the environment, for the next run takes minutes without it, and goes with it. */
export const ENVIRONMENT = { TORCHINDUCTOR_CACHE_DIR: join(VENV, 'compiled') };

/**
 * PyTorch, installed where it is missing or another version, or that of the Python that PYTHON names; nothing where it
 * cannot be had.
 * @returns {Promise<PyTorch | undefined>}
 */
export async function pytorch() {
  try {
    const python = process.env.PYTHON ?? PYTHON;
    if (python === PYTHON) await install();
    const { stdout } = await run(python, ['-c', 'import torch; print(torch.__version__)']);
    return { python, version: stdout.trim() };
  } catch (error) {
    // The last line is the one that says why, with Python's tools.
    const { stderr, message } = /** @type {Error & { stderr?: string }} */ (error);
    console.log(`without PyTorch: ${(stderr || message).trim().split('\n').at(-1)}`);
    return undefined;
  }
}

async function install() {
  // Written when all of them are there.
  const list = join(VENV, 'requirements.txt');
  const read = (/** @type {string} */ file) => readFile(file, 'utf8').catch(() => undefined);
  if ((await read(list)) === (await read(REQUIREMENTS))) return;
  console.log(`installing PyTorch into ${VENV}: some gigabytes, for it comes with what graphics cards need`);
  await run(process.platform === 'win32' ? 'python' : 'python3', ['-m', 'venv', VENV]);
  await run(PYTHON, ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '--requirement', REQUIREMENTS]);
  await cp(REQUIREMENTS, list);
}

/**
 * Writes the layers from the picture, or from a cut, to the logits: what is done in which order, and the weights.
 * @param {string} model the model's folder
 * @param {{ from: number | undefined, shape: number[], threads: number, device?: string, dtype?: string }} layers stages before the
 *   first of them, the input's shape
 * @param {{ layers: string, weights: string }} files
 */
export async function writeLayers(model, { from, shape, threads, device = 'cpu', dtype = 'float32' }, files) {
  /** @type {import('./layers.mjs').Tensor[]} */
  const weights = [];
  for (const part of partsOf(from, undefined)) weights.push(...tensors(await readFile(join(model, `${part}.safetensors`))).values());
  /** @type {object[]} */
  const operations = [];
  /** The number of what it makes; the input is 0. @param {string} kind @param {number[]} inputs @param {object} [settings] */
  const push = (kind, inputs, settings) => operations.push({ kind, inputs, ...settings });
  const x = through({
    conv: (name, input, stride, relu) => push('conv', [input], { name, stride, relu }),
    pool: (input) => push('pool', [input]),
    even: (input) => push('even', [input]),
    add: (a, b) => push('add', [a, b]),
  }, 0, from, STAGES.length);
  push('head', [x], { name: 'head' });
  await writeFile(files.layers, JSON.stringify({ threads, device, dtype, shape, tensors: weights.map(({ name, shape }) => [name, shape]), operations }));
  await writeFile(files.weights, weights.map(({ values }) => new Uint8Array(values.buffer, values.byteOffset, values.byteLength)));
}

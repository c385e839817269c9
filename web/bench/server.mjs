// The server's engine on the CPU against onnxruntime (native) on the same layers and values, run by run in turn.
//
//   cargo xtask bench --suite server
//
// The logits of both are compared before anything is timed. Between two runs is a pause, so that threads of the one that
// still wait for work do not take the other's time. ROUNDS says how often each runs, JSON where the figures go,
// AECNN_LOAD which program is measured.

import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline/promises';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { asOnnx } from './onnx.mjs';
import { show, summary } from './summary.mjs';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const PROGRAM = process.env.AECNN_LOAD ?? join(ROOT, 'target/release/aecnn-load');
const MODELS = join(ROOT, 'models');
const ROUNDS = Number(process.env.ROUNDS ?? 30);
const WARM_UP = 5;
const PAUSE_MS = 60;
/** Logits are of the order of ten, products in fixed point within some thousandths. */
const TOLERANCE = 5e-2;

/** @typedef {{ name: string, split: string | undefined, from: number | undefined, shape: number[] }} Layers */
/** @type {Layers[]} */
const LAYERS = [
  { name: 'whole network', split: undefined, from: undefined, shape: [3, 224, 224] },
  { name: 'behind the stem', split: 'stem', from: 0, shape: [64, 56, 56] },
  { name: 'behind stage 1', split: 'stage1', from: 1, shape: [256, 28, 28] },
  { name: 'behind stage 2', split: 'stage2', from: 2, shape: [512, 14, 14] },
];

// Its types are not there where the page is checked.
const ort = await import(/** @type {string} */ ('onnxruntime-node'));
if (!existsSync(PROGRAM)) throw new Error(`${PROGRAM} is missing: cargo build --release --workspace --exclude xtask`);
const folder = await mkdtemp(join(tmpdir(), 'aecnn-bench-'));
const version = JSON.parse(await readFile(new URL('node_modules/onnxruntime-node/package.json', import.meta.url), 'utf8')).version;
const cores = cpus();
console.log(`${cores[0].model}, ${cores.length} cores; onnxruntime ${version}; ${ROUNDS} runs each in turn, medians (fastest in brackets)\n`);
console.log('| layers | threads | batch | onnxruntime ms | this project ms | ratio |\n|---|---|---|---|---|---|');
/** @type {object[]} */
const rows = [];
for (const layers of LAYERS) {
  for (const threads of new Set([1, cores.length])) {
    for (const batch of [1, 8]) {
      const { theirs, ours } = await measure(layers, threads, batch);
      const ratio = ours.median / theirs.median;
      console.log(`| ${layers.name} | ${threads} | ${batch} | ${show(theirs)} | ${show(ours)} | ${ratio.toFixed(2)} |`);
      rows.push({ layers: layers.name, threads, batch, onnxruntime: theirs, ours, ratio });
    }
  }
}
await rm(folder, { recursive: true });
if (process.env.JSON) {
  const machine = { cpu: cores[0].model, cores: cores.length, onnxruntime: version };
  await writeFile(process.env.JSON, `${JSON.stringify({ machine, rounds: ROUNDS, rows }, null, 2)}\n`);
}

/**
 * Milliseconds of both.
 * @param {Layers} layers @param {number} threads @param {number} batch
 */
async function measure({ split, from, shape }, threads, batch) {
  const length = batch * shape.reduce((product, n) => product * n, 1);
  // Features are not negative, pictures are about -120 to 150.
  const input = Float32Array.from({ length }, (_, index) => ((index * 7919) % 271) / (split ? 200 : 1) - (split ? 0 : 120));
  const [inputFile, outputFile] = [join(folder, 'input'), join(folder, 'output')];
  await writeFile(inputFile, input);

  const model = await asOnnx(join(MODELS, 'resnet50-imagenet'), { from, batch });
  const session = await ort.InferenceSession.create(model, { intraOpNumThreads: threads, interOpNumThreads: 1, graphOptimizationLevel: 'all' });
  const feeds = { x: new ort.Tensor('float32', input, [batch, ...shape]) };

  const chosen = split ? ['--split', split] : [];
  const child = spawn(PROGRAM, ['layers', '--models', MODELS, ...chosen, '--input', inputFile, '--output', outputFile], {
    env: { ...process.env, RAYON_NUM_THREADS: String(threads) },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const line = async () => {
    const { value, done } = await lines.next();
    if (done) throw new Error(`${PROGRAM} ended: what it printed says why`);
    return value;
  };
  await line();

  const expected = /** @type {Float32Array} */ ((await session.run(feeds)).y.data);
  const bytes = await readFile(outputFile);
  const got = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
  const worst = expected.reduce((most, value, index) => Math.max(most, Math.abs(value - got[index])), 0);
  if (!(got.length === expected.length && worst < TOLERANCE)) throw new Error(`logits differ by ${worst}`);

  const runTheirs = async () => {
    const began = performance.now();
    await session.run(feeds);
    return performance.now() - began;
  };
  const runOurs = async () => {
    child.stdin.write('\n');
    return Number(await line());
  };
  /** @type {number[]} */
  const theirs = [];
  /** @type {number[]} */
  const ours = [];
  for (let round = -WARM_UP; round < ROUNDS; round += 1) {
    for (const turn of round % 2 === 0 ? [0, 1] : [1, 0]) {
      const time = await (turn === 0 ? runTheirs() : runOurs());
      if (round >= 0) (turn === 0 ? theirs : ours).push(time);
      await pause(PAUSE_MS);
    }
  }
  child.stdin.end();
  await session.release();
  return { theirs: summary(theirs), ours: summary(ours) };
}

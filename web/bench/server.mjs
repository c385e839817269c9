// The server's engine on the CPU against onnxruntime (native) and PyTorch on the same layers and values, run by run in
// turn. PyTorch is left out where it cannot be had.
//
//   cargo xtask bench --suite server
//
// The logits of all are compared before anything is timed. Between two runs is a pause, so that threads of the one that
// still wait for work do not take another's time. ROUNDS says how often each runs, JSON where the figures go,
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
import { ENVIRONMENT, PROGRAM as TORCH_LAYERS, pytorch, writeLayers } from './torch.mjs';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const PROGRAM = process.env.AECNN_LOAD ?? join(ROOT, 'target/release/aecnn-load');
const MODELS = join(ROOT, 'models');
const ROUNDS = Number(process.env.ROUNDS ?? 30);
const WARM_UP = 5;
const PAUSE_MS = 60;
/** Logits are of the order of ten, products in fixed point within some thousandths. */
const TOLERANCE = 5e-2;
/** PyTorch's products are in floating point, as onnxruntime's are. */
const TOLERANCE_PYTORCH = 1e-2;

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
if (!existsSync(PROGRAM)) throw new Error(`${PROGRAM} is missing: cargo build --release --workspace --exclude xtask --exclude gpu-kernels`);
const torch = await pytorch();
const folder = await mkdtemp(join(tmpdir(), 'aecnn-bench-'));
const version = JSON.parse(await readFile(new URL('node_modules/onnxruntime-node/package.json', import.meta.url), 'utf8')).version;
const cores = cpus();
console.log(`${cores[0].model}, ${cores.length} cores; onnxruntime ${version}; ${torch ? `PyTorch ${torch.version}; ` : ''}${ROUNDS} runs each in turn, medians (fastest in brackets)\n`);
console.log('| layers | threads | batch | onnxruntime ms | PyTorch ms | this project ms | ratio | ratio to PyTorch |\n|---|---|---|---|---|---|---|---|');
/** @type {object[]} */
const rows = [];
/** Why PyTorch's layers were not compiled, where they were not. @type {string | undefined} */
let eager;
for (const layers of LAYERS) {
  for (const threads of new Set([1, cores.length])) {
    for (const batch of [1, 8]) {
      const { theirs, ours, torchs } = await measure(layers, threads, batch);
      const ratio = ours.median / theirs.median;
      const ratioTorch = torchs && ours.median / torchs.median;
      console.log(`| ${layers.name} | ${threads} | ${batch} | ${show(theirs)} | ${torchs ? show(torchs) : '–'} | ${show(ours)} | ${ratio.toFixed(2)} | ${ratioTorch?.toFixed(2) ?? '–'} |`);
      rows.push({
        layers: layers.name, threads, batch, onnxruntime: theirs, ours, ratio, pytorch: torchs ?? null, ratio_pytorch: ratioTorch ?? null,
      });
    }
  }
}
await rm(folder, { recursive: true });
if (torch) console.log(`\nPyTorch's layers were ${eager ? `not all compiled: ${eager}` : 'compiled'}`);
if (process.env.JSON) {
  const machine = {
    cpu: cores[0].model, cores: cores.length, onnxruntime: version, pytorch: torch ? { version: torch.version, compiled: !eager } : null,
  };
  await writeFile(process.env.JSON, `${JSON.stringify({ machine, rounds: ROUNDS, rows }, null, 2)}\n`);
}

/**
 * A program that computes the layers and then, for each line that it is given, once more.
 * @param {string} program @param {string[]} flags @param {NodeJS.ProcessEnv} environment
 */
async function start(program, flags, environment) {
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

/**
 * Fails unless the file has the logits.
 * @param {string} file @param {Float32Array} expected @param {number} tolerance @param {string} whose
 */
async function compare(file, expected, tolerance, whose) {
  const bytes = await readFile(file);
  const got = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
  const worst = expected.reduce((most, value, index) => Math.max(most, Math.abs(value - got[index])), 0);
  if (!(got.length === expected.length && worst < tolerance)) throw new Error(`${whose} logits differ by ${worst}`);
}

/**
 * Milliseconds of all.
 * @param {Layers} layers @param {number} threads @param {number} batch
 */
async function measure({ split, from, shape }, threads, batch) {
  const length = batch * shape.reduce((product, n) => product * n, 1);
  // Features are not negative, pictures are about -120 to 150.
  const input = Float32Array.from({ length }, (_, index) => ((index * 7919) % 271) / (split ? 200 : 1) - (split ? 0 : 120));
  const [inputFile, outputFile, torchsOutput] = ['input', 'output', 'output-pytorch'].map((name) => join(folder, name));
  await writeFile(inputFile, input);

  const modelFolder = join(MODELS, 'resnet50-imagenet');
  const model = await asOnnx(modelFolder, { from, batch });
  const session = await ort.InferenceSession.create(model, { intraOpNumThreads: threads, interOpNumThreads: 1, graphOptimizationLevel: 'all' });
  const feeds = { x: new ort.Tensor('float32', input, [batch, ...shape]) };
  const expected = /** @type {Float32Array} */ ((await session.run(feeds)).y.data);

  const chosen = split ? ['--split', split] : [];
  const engine = await start(PROGRAM, ['layers', '--models', MODELS, ...chosen, '--input', inputFile, '--output', outputFile], {
    RAYON_NUM_THREADS: String(threads),
  });
  await compare(outputFile, expected, TOLERANCE, "this project's");

  let torchsLayers;
  if (torch) {
    const files = { layers: join(folder, 'layers.json'), weights: join(folder, 'weights') };
    await writeLayers(modelFolder, { from, shape: [batch, ...shape], threads }, files);
    torchsLayers = await start(torch.python, [TORCH_LAYERS, files.layers, files.weights, inputFile, torchsOutput], ENVIRONMENT);
    await compare(torchsOutput, expected, TOLERANCE_PYTORCH, "PyTorch's");
    if (torchsLayers.ready !== 'compiled') eager ??= torchsLayers.ready;
  }

  const runTheirs = async () => {
    const began = performance.now();
    await session.run(feeds);
    return performance.now() - began;
  };
  /** @typedef {{ run: () => Promise<number>, times: number[] }} Runner */
  /** @type {Runner} */
  const theirs = { run: runTheirs, times: [] };
  /** @type {Runner} */
  const ours = { run: engine.run, times: [] };
  /** @type {Runner | undefined} */
  const torchs = torchsLayers && { run: torchsLayers.run, times: [] };
  const turns = [theirs, ours, ...(torchs ? [torchs] : [])];
  for (let round = -WARM_UP; round < ROUNDS; round += 1) {
    for (const { run, times } of round % 2 === 0 ? turns : turns.toReversed()) {
      const time = await run();
      if (round >= 0) times.push(time);
      await pause(PAUSE_MS);
    }
  }
  engine.end();
  torchsLayers?.end();
  await session.release();
  return { theirs: summary(theirs.times), ours: summary(ours.times), torchs: torchs && summary(torchs.times) };
}

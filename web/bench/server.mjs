// The server's engine on the CPU against onnxruntime (native) and PyTorch on the same layers and values, run by run in
// turn. PyTorch is left out where it cannot be had.
//
//   cargo xtask bench --suite server
//
// The logits of all are compared before anything is timed. Between two runs is a pause, so that threads of the one that
// still wait for work do not take another's time. ROUNDS says how often each runs, JSON where the figures go,
// AECNN_LOAD which program is measured.

import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { asOnnx } from './onnx.mjs';
import { LAYERS, MODEL, MODELS, PROGRAM, compare, inputs, program, start, values } from './replay.mjs';
import { show, summary } from './summary.mjs';
import { ENVIRONMENT, PROGRAM as TORCH_LAYERS, pytorch, writeLayers } from './torch.mjs';

const ROUNDS = Number(process.env.ROUNDS ?? 30);
const WARM_UP = 5;
const PAUSE_MS = 60;
/** Logits are of the order of ten, products in fixed point within some thousandths. */
const TOLERANCE = 5e-2;
/** PyTorch's products are in floating point, as onnxruntime's are. */
const TOLERANCE_PYTORCH = 1e-2;

// Its types are not there where the page is checked.
const ort = await import(/** @type {string} */ ('onnxruntime-node'));
program();
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
 * Milliseconds of all.
 * @param {import('./replay.mjs').Layers} layers @param {number} threads @param {number} batch
 */
async function measure({ split, from, shape }, threads, batch) {
  const input = inputs({ split, shape }, batch);
  const [inputFile, outputFile, torchsOutput] = ['input', 'output', 'output-pytorch'].map((name) => join(folder, name));
  await writeFile(inputFile, input);

  const model = await asOnnx(MODEL, { from, batch });
  const session = await ort.InferenceSession.create(model, { intraOpNumThreads: threads, interOpNumThreads: 1, graphOptimizationLevel: 'all' });
  const feeds = { x: new ort.Tensor('float32', input, [batch, ...shape]) };
  const expected = /** @type {Float32Array} */ ((await session.run(feeds)).y.data);

  const chosen = split ? ['--split', split] : [];
  const engine = await start(PROGRAM, ['layers', '--models', MODELS, ...chosen, '--input', inputFile, '--output', outputFile], {
    RAYON_NUM_THREADS: String(threads),
  });
  compare(await values(outputFile), expected, TOLERANCE, "this project's");

  let torchsLayers;
  if (torch) {
    const files = { layers: join(folder, 'layers.json'), weights: join(folder, 'weights') };
    await writeLayers(MODEL, { from, shape: [batch, ...shape], threads }, files);
    torchsLayers = await start(torch.python, [TORCH_LAYERS, files.layers, files.weights, inputFile, torchsOutput], ENVIRONMENT);
    compare(await values(torchsOutput), expected, TOLERANCE_PYTORCH, "PyTorch's");
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

// The server's engine on a GPU against PyTorch on the same layers, card and values, run by run in turn.
//
//   cargo xtask bench --suite gpu
//
// Each time is from values in the processor's memory to logits there. PyTorch computes with channels last, compiled, all kernels
// replayed by one launch: in single precision, its products rounded as the matrix units take them, and in half. Before anything
// is timed all logits are compared with those of the engine on the processor. BACKEND is the engine's (cuda, vulkan or
// wgpu), and the program has to be built with it; BATCHES and SPLITS are lists of what is measured, DTYPES of what PyTorch computes in, ROUNDS how often;
// PYTHON is one with PyTorch, instead of one that is installed; JSON where the figures go.

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { LAYERS, MODEL, MODELS, PROGRAM, compare, inputs, program, start, values } from './replay.mjs';
import { show, summary } from './summary.mjs';
import { ENVIRONMENT, PROGRAM as TORCH_LAYERS, pytorch, writeLayers } from './torch.mjs';

const BACKEND = process.env.BACKEND ?? 'cuda';
const BATCHES = (process.env.BATCHES ?? '1,8,64').split(',').map(Number);
const SPLITS = process.env.SPLITS?.split(',');
const ROUNDS = Number(process.env.ROUNDS ?? 30);
const WARM_UP = 10;
/** Logits are of the order of ten; products in half precision and in fixed point differ by hundredths. */
const TOLERANCE = 0.5;
const DTYPES = (process.env.DTYPES ?? 'float32,float16').split(',');

program();
const torch = await pytorch();
const folder = await mkdtemp(join(tmpdir(), 'aecnn-bench-'));
console.log(`${torch ? `PyTorch ${torch.version}; ` : ''}${ROUNDS} runs each in turn, medians (fastest in brackets)\n`);
console.log(`| layers | batch | this project ms (${BACKEND}) | PyTorch ms | PyTorch in half ms | ratio | ratio to half |\n|---|---|---|---|---|---|---|`);
/** @type {object[]} */
const rows = [];
for (const layers of LAYERS.filter(({ split }) => !SPLITS || SPLITS.includes(split ?? 'whole'))) {
  for (const batch of BATCHES) rows.push(await measure(layers, batch));
}
await rm(folder, { recursive: true });
if (process.env.JSON) {
  await writeFile(process.env.JSON, `${JSON.stringify({ machine: { cpu: cpus()[0].model, pytorch: torch?.version ?? null }, backend: BACKEND, rounds: ROUNDS, rows }, null, 2)}\n`);
}

/**
 * Milliseconds of all, which are printed too.
 * @param {import('./replay.mjs').Layers} layers @param {number} batch
 */
async function measure({ name, split, from, shape }, batch) {
  const file = (/** @type {string} */ of) => join(folder, of);
  await writeFile(file('input'), inputs({ split, shape }, batch));
  const engine = (/** @type {string} */ backend, /** @type {string} */ output) => start(PROGRAM, [
    'layers', '--models', MODELS, ...(split ? ['--split', split] : []), '--input', file('input'), '--output', output, '--backend', backend,
  ]);
  (await engine('flex', file('expected'))).end();
  const expected = await values(file('expected'));

  /** @type {{ name: string, run: () => Promise<number>, end: () => void, times: number[] }[]} */
  const all = [{ name: 'ours', ...(await engine(BACKEND, file('ours'))), times: [] }];
  compare(await values(file('ours')), expected, TOLERANCE, "this project's");
  for (const dtype of torch ? DTYPES : []) {
    const files = { layers: file(`layers-${dtype}.json`), weights: file('weights') };
    await writeLayers(MODEL, { from, shape: [batch, ...shape], threads: cpus().length, device: 'cuda', dtype }, files);
    const run = await start(/** @type {{ python: string }} */ (torch).python, [TORCH_LAYERS, files.layers, files.weights, file('input'), file(dtype)], ENVIRONMENT);
    if (run.ready !== 'compiled') console.log(`PyTorch's layers were not compiled: ${run.ready}`);
    compare(await values(file(dtype)), expected, TOLERANCE, `PyTorch's ${dtype}`);
    all.push({ name: dtype, ...run, times: [] });
  }
  for (let round = -WARM_UP; round < ROUNDS; round += 1) {
    for (const { run, times } of round % 2 === 0 ? all : all.toReversed()) {
      const time = await run();
      if (round >= 0) times.push(time);
    }
  }
  for (const { end } of all) end();
  const of = (/** @type {string} */ name) => all.filter((one) => one.name === name).map(({ times }) => summary(times));
  const [[ours], [single], [half]] = ['ours', 'float32', 'float16'].map(of);
  const ratio = (/** @type {typeof ours | undefined} */ theirs) => (theirs ? ours.median / theirs.median : null);
  const cells = [name, batch, show(ours), ...[single, half].map((times) => (times ? show(times) : '–')), ...[single, half].map((times) => ratio(times)?.toFixed(2) ?? '–')];
  console.log(`| ${cells.join(' | ')} |`);
  return { layers: name, batch, ours, pytorch: single ?? null, pytorch_half: half ?? null, ratio: ratio(single), ratio_half: ratio(half) };
}

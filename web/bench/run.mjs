// Encoding in the browser on the CPU: the device against onnxruntime-web and TensorFlow.js (WebAssembly with SIMD) on the
// same layers, a few pictures each in turn, in the same tab; each by one thread, and by as many as the machine has, up to four.
// The features of the two others are compared before anything is timed.
//
//   cargo xtask bench --suite device
//
// Each pass is a fresh tab and prints its medians. Other programs can only make a pass slower:
// the last line of a split takes each one's fastest median. CHROMIUM names another browser, MODEL
// another model's folder, ROUNDS how many pictures a pass takes, PASSES how many passes there are, JSON a
// file for the figures.

import { readFile, writeFile } from 'node:fs/promises';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { launch } from '../tests/support/browser.mjs';
import { pickCodec } from '../worker/model.js';
import { asOnnx } from './onnx.mjs';
import { MODEL, serve, version } from './serve.mjs';
import { show, summary } from './summary.mjs';

const ROUNDS = Number(process.env.ROUNDS ?? 40);
const PASSES = Number(process.env.PASSES ?? 3);
const WARM_UP = 10;
/** The device's package; the others can be measured as well. */
const BUILD = process.env.BUILD ?? 'relaxed';
const THREADS = [...new Set([1, Math.min(4, cpus().length)])];

const { url, made, close } = await serve(BUILD);
const manifest = JSON.parse(await readFile(join(MODEL, 'manifest.json'), 'utf8'));
const browser = await launch();
const machine = { cpu: cpus()[0].model, cores: cpus().length, chromium: browser.version(), onnxruntimeWeb: await version('onnxruntime-web'), tensorflowJs: await version('@tensorflow/tfjs-core') };
console.log(`${machine.cpu}; Chromium ${machine.chromium}, onnxruntime-web ${machine.onnxruntimeWeb}, TensorFlow.js ${machine.tensorflowJs}; medians of ${ROUNDS} pictures (fastest in brackets)\n`);
console.log('| split | threads | pass | TensorFlow.js, front ms | onnxruntime, front ms | device, front ms | ratio to onnxruntime | device, encoder ms | device, pixels to bytes ms | ratio to onnxruntime |');
console.log('|---|---|---|---|---|---|---|---|---|---|');
/** @type {object[]} */
const rows = [];
const SPLITS = /** @type {const} */ (['stem', 'stage1', 'stage2']);
for (const [stages, split] of SPLITS.entries()) {
  const codec = pickCodec(manifest, { codec: null, split });
  made.set(`/${split}.onnx`, await asOnnx(MODEL, { to: stages }));
  const files = manifest.parts.filter((/** @type {any} */ part) => SPLITS.slice(0, stages + 1).includes(part.name));
  for (const threads of THREADS) {
    /** @type {Figures[]} */
    const passes = [];
    for (let pass = 1; pass <= PASSES; pass += 1) {
      const times = await measure(split, codec, files, threads);
      const figures = { tensorflow: summary(times.map((time) => time.tensorflow)), ort: summary(times.map((time) => time.ort)), front: summary(times.map((time) => time.front)), encoder: summary(times.map((time) => time.encoder)), whole: summary(times.map((time) => time.whole)) };
      passes.push(figures);
      print(split, threads, String(pass), figures);
    }
    const best = (/** @type {keyof Figures} */ key) => passes.map((pass) => pass[key]).reduce((a, b) => (b.median < a.median ? b : a));
    const figures = { tensorflow: best('tensorflow'), ort: best('ort'), front: best('front'), encoder: best('encoder'), whole: best('whole') };
    print(split, threads, 'best', figures);
    rows.push({ split, threads, codec: codec.name, rate: codec.rates[codec.default_rate].name, ...figures, passes });
  }
}
if (process.env.JSON) await writeFile(process.env.JSON, `${JSON.stringify({ machine, rounds: ROUNDS, rows }, null, 2)}\n`);
await browser.close();
close();

/** @typedef {import('./summary.mjs').Summary} Summary */
/** @typedef {{ tensorflow: Summary, ort: Summary, front: Summary, encoder: Summary, whole: Summary }} Figures */

/** @param {string} split @param {number} threads @param {string} pass @param {Figures} figures */
function print(split, threads, pass, { tensorflow, ort, front, encoder, whole }) {
  const ratio = (/** @type {Summary} */ ours) => (ours.median / ort.median).toFixed(2);
  console.log(`| ${[split, threads, pass, show(tensorflow), show(ort), show(front), ratio(front), show(encoder), show(whole), ratio(whole)].join(' | ')} |`);
}

/**
 * Milliseconds of each on one picture, again and again, in a fresh tab.
 * @param {'stem' | 'stage1' | 'stage2'} split
 * @param {any} codec the manifest's entry
 * @param {any[]} files the manifest's entries of the front's parts
 * @param {number} threads
 */
async function measure(split, codec, files, threads) {
  const page = await browser.newPage();
  page.on('pageerror', (error) => { throw error; });
  await page.goto(url);
  for (const script of ['tfjs-core/dist/tf-core.min.js', 'tfjs-backend-cpu/dist/tf-backend-cpu.min.js', 'tfjs-backend-wasm/dist/tf-backend-wasm.min.js']) {
    await page.addScriptTag({ url: `${url}bench/node_modules/@tensorflow/${script}` });
  }
  const times = await page.evaluate(async ({ split, stages, codec, files, threads, rounds, warmUp, build }) => {
    const bytes = async (/** @type {string} */ path) => new Uint8Array(await (await fetch(path)).arrayBuffer());
    const [ortPath, devicePath] = ['/bench/node_modules/onnxruntime-web/dist/ort.wasm.min.mjs', `/pkg/${build}/device.js`];
    const ort = await import(ortPath);
    ort.env.wasm.numThreads = threads;
    ort.env.wasm.wasmPaths = '/bench/node_modules/onnxruntime-web/dist/';
    const session = await ort.InferenceSession.create(await bytes(`/${split}.onnx`), { executionProviders: ['wasm'], graphOptimizationLevel: 'all' });

    const module = await import(devicePath);
    await module.default({ module_or_path: `/pkg/${build}/device_bg.wasm` });
    const device = await module.Device.create('cpu');
    /** @type {Record<string, Uint8Array>} */
    const weights = {};
    for (const part of files) weights[part.name] = await bytes(`/model/${part.file}`);
    const manifest = await (await fetch('/model/manifest.json')).text();
    await device.load(manifest, split, weights, await bytes(`/model/${codec.file}`), codec.default_rate);
    if (threads > 1) {
      const helpersPath = '/worker/helpers.js';
      const { Helpers } = await import(helpersPath);
      const helpers = new Helpers(build, 0, threads - 1);
      await helpers.load(manifest, split, 'codec', weights);
      if (helpers.count(split, 'codec') !== threads - 1) throw new Error('the helpers did not start');
      device.setHelpers(helpers);
    }

    const image = await createImageBitmap(await (await fetch('/samples/zebra.jpg')).blob());
    const context = new OffscreenCanvas(image.width, image.height).getContext('2d');
    if (!context) throw new Error('no canvas');
    context.drawImage(image, 0, 0);
    const { data } = context.getImageData(0, 0, image.width, image.height);
    const AREA = 224 * 224;
    const input = Float32Array.from({ length: 3 * AREA }, (_, index) => ((index * 7919) % 256) - 116);
    const pixels = Float32Array.from(input, (_, index) => input[(index % 3) * AREA + Math.floor(index / 3)]);

    const tensorflowPath = '/bench/tensorflow.mjs';
    const { alike, front } = await import(tensorflowPath);
    const { tf } = /** @type {any} */ (globalThis);
    tf.wasm.setWasmPaths('/bench/node_modules/@tensorflow/tfjs-backend-wasm/dist/');
    tf.wasm.setThreadsCount(threads);
    await tf.setBackend('wasm');
    const tensorflow = front(tf, Object.values(weights), stages);
    const { y } = await session.run({ x: new ort.Tensor('float32', input, [1, 3, 224, 224]) });
    alike(await tensorflow.asPlanes(pixels), y.data, 'TensorFlow.js and onnxruntime');

    /** @type {{ tensorflow: number, ort: number, front: number, encoder: number, whole: number }[]} */
    const measured = [];
    const runOrt = async () => {
      const began = performance.now();
      const outputs = await session.run({ x: new ort.Tensor('float32', input, [1, 3, 224, 224]) });
      const time = performance.now() - began;
      if (outputs.y.data.length < 1000) throw new Error('onnxruntime gave no feature');
      return { ort: time };
    };
    const runTensorflow = async () => {
      const began = performance.now();
      tensorflow.run(pixels);
      return { tensorflow: performance.now() - began };
    };
    const runDevice = async () => {
      const began = performance.now();
      const encoded = await device.encode(data, image.width, image.height, 0);
      return { front: encoded.timings.front, encoder: encoded.timings.encode, whole: performance.now() - began };
    };
    // Threads with nothing to do go on turning for a while, and each finds the other's data in the cache: so both run a few
    // pictures in a row, of which the first is not counted.
    const inARow = async (/** @type {() => Promise<object>} */ run) => {
      await new Promise((resolve) => { setTimeout(resolve, 50); });
      await run();
      const row = [];
      for (let turn = 0; turn < ROW; turn += 1) row.push(await run());
      return row;
    };
    const ROW = 5;
    const all = [runOrt, runDevice, runTensorflow];
    for (let round = -warmUp; round < rounds; round += ROW) {
      const from = Math.abs(round / ROW) % all.length;
      /** @type {object[]} */
      const times = Array.from({ length: ROW }, () => ({}));
      for (const run of [...all.slice(from), ...all.slice(0, from)]) {
        (await inARow(run)).forEach((time, turn) => Object.assign(times[turn], time));
      }
      if (round >= 0) measured.push(.../** @type {any[]} */ (times));
    }
    return measured;
  }, { split, stages: SPLITS.indexOf(split), codec, files, threads, rounds: ROUNDS, warmUp: WARM_UP, build: BUILD });
  await page.close();
  return times;
}

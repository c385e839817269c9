// Encoding in the browser on WebGPU: the device against the WebGPU of onnxruntime-web and TensorFlow.js on the same layers, in turn in the same tab.
//
//   cargo xtask bench --suite webgpu
//
// For each split what a picture asks of the graphics device (dispatches of compute shaders, submissions to its queue, kilobytes that go
// to it, reads that come back), which is the same on every machine, how long it keeps the page's thread busy, and then the
// milliseconds until its result is there. The adapter's name stands above: a software adapter's milliseconds are printed,
// but say nothing about a graphics card's. CHROMIUM names another browser, MODEL another model's folder, ROUNDS how many pictures
// are timed, JSON a file for the figures, FLAGS the browser's flags; without it, a software adapter. What made an NVIDIA card
// without a display answer: `--enable-unsafe-webgpu --enable-features=Vulkan,VulkanFromANGLE,DefaultANGLEVulkan --use-angle=vulkan
// --use-vulkan=native --disable-gpu-sandbox --ignore-gpu-blocklist --disable-vulkan-surface`.

import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { launch, SOFTWARE_WEBGPU } from '../tests/support/browser.mjs';
import { pickCodec } from '../worker/model.js';
import { asOnnx } from './onnx.mjs';
import { MODEL, serve, version } from './serve.mjs';
import { show, summary } from './summary.mjs';

const ROUNDS = Number(process.env.ROUNDS ?? 10);
const WARM_UP = 2;
const SPLITS = /** @type {const} */ (['stem', 'stage1', 'stage2']);
/** @typedef {{ dispatches: number, submits: number, uploads: number, uploaded: number, reads: number }} Asked a picture's */
/** @typedef {'ort' | 'tensorflow' | 'device'} Name */
/** @typedef {{ asked: Asked, times: number[], busy: number }} Runtime `busy`: milliseconds of the page's thread for a picture */

const { url, made, close } = await serve('webgpu');
const manifest = JSON.parse(await readFile(join(MODEL, 'manifest.json'), 'utf8'));
const browser = await launch(process.env.FLAGS ? process.env.FLAGS.split(' ') : SOFTWARE_WEBGPU);
console.log(`Chromium ${browser.version()}, onnxruntime-web ${await version('onnxruntime-web')}, TensorFlow.js ${await version('@tensorflow/tfjs-core')}; medians of ${ROUNDS} pictures (fastest in brackets)`);
/** @type {object[]} */
const rows = [];
for (const [stages, split] of SPLITS.entries()) {
  made.set(`/${split}.onnx`, await asOnnx(MODEL, { to: stages }));
  const codec = pickCodec(manifest, { codec: null, split });
  const files = manifest.parts.filter((/** @type {any} */ part) => SPLITS.slice(0, stages + 1).includes(part.name));
  const { adapter, ort, tensorflow, device } = await measure(split, codec, files);
  if (stages === 0) {
    console.log(`Adapter: ${adapter}\n`);
    console.log('| split | runtime | dispatches | submissions | uploads | KB up | reads | page busy ms | front ms |\n|---|---|---|---|---|---|---|---|---|');
  }
  for (const [runtime, { asked, times, busy }] of /** @type {const} */ ([['onnxruntime', ort], ['TensorFlow.js', tensorflow], ['device, with encoder', device]])) {
    console.log(`| ${[split, runtime, asked.dispatches, asked.submits, asked.uploads, (asked.uploaded / 1000).toFixed(0), asked.reads, busy.toFixed(1), show(summary(times))].join(' | ')} |`);
  }
  rows.push({ split, codec: codec.name, adapter, ort: figures(ort), tensorflow: figures(tensorflow), device: figures(device) });
}
if (process.env.JSON) await writeFile(process.env.JSON, `${JSON.stringify({ chromium: browser.version(), rounds: ROUNDS, rows }, null, 2)}\n`);
await browser.close();
close();

/** @param {Runtime} runtime */
function figures({ asked, times, busy }) {
  return { ...asked, busy_ms: busy, ms: summary(times) };
}

/**
 * One picture by both, again and again, in a fresh tab.
 * @param {'stem' | 'stage1' | 'stage2'} split
 * @param {any} codec the manifest's entry
 * @param {any[]} files the manifest's entries of the front's parts
 * @returns {Promise<{ adapter: string } & Record<Name, Runtime>>}
 */
async function measure(split, codec, files) {
  const page = await browser.newPage();
  page.on('pageerror', (error) => { throw error; });
  await page.goto(url);
  for (const script of ['tfjs-core/dist/tf-core.min.js', 'tfjs-backend-cpu/dist/tf-backend-cpu.min.js', 'tfjs-backend-webgpu/dist/tf-backend-webgpu.min.js']) {
    await page.addScriptTag({ url: `${url}bench/node_modules/@tensorflow/${script}` });
  }
  const measured = /** @type {any} */ (await page.evaluate(async ({ split, stages, codec, files, rounds, warmUp }) => {
    const bytes = async (/** @type {string} */ path) => new Uint8Array(await (await fetch(path)).arrayBuffer());
    const asked = { dispatches: 0, submits: 0, uploads: 0, uploaded: 0, reads: 0 };
    /** Has `count` told of each call. @param {any} prototype @param {string} name @param {(...values: any[]) => void} count */
    const watch = (prototype, name, count) => {
      const call = prototype[name];
      prototype[name] = function watched(/** @type {any[]} */ ...values) {
        count(...values);
        return call.apply(this, values);
      };
    };
    const { GPUComputePassEncoder, GPUDevice, GPUQueue, GPUBuffer } = /** @type {any} */ (globalThis);
    watch(GPUComputePassEncoder.prototype, 'dispatchWorkgroups', () => { asked.dispatches += 1; });
    watch(GPUComputePassEncoder.prototype, 'dispatchWorkgroupsIndirect', () => { asked.dispatches += 1; });
    watch(GPUQueue.prototype, 'submit', () => { asked.submits += 1; });
    watch(GPUQueue.prototype, 'writeBuffer', (_buffer, _at, data, from, size) => {
      asked.uploads += 1;
      asked.uploaded += size === undefined ? data.byteLength - (from ?? 0) : size * (data.BYTES_PER_ELEMENT ?? 1);
    });
    watch(GPUBuffer.prototype, 'mapAsync', (mode) => { asked.reads += mode === 1 ? 1 : 0; });
    // A buffer that can be written before the graphics device has it is another way up.
    watch(GPUDevice.prototype, 'createBuffer', ({ mappedAtCreation, size }) => {
      asked.uploads += mappedAtCreation ? 1 : 0;
      asked.uploaded += mappedAtCreation ? size : 0;
    });

    const ortPath = '/bench/node_modules/onnxruntime-web/dist/ort.webgpu.min.mjs';
    const ort = await import(ortPath);
    ort.env.wasm.wasmPaths = '/bench/node_modules/onnxruntime-web/dist/';
    const session = await ort.InferenceSession.create(await bytes(`/${split}.onnx`), { executionProviders: ['webgpu'], graphOptimizationLevel: 'all' });
    const { info } = await (/** @type {any} */ (navigator)).gpu.requestAdapter();

    const devicePath = '/pkg/webgpu/device.js';
    const module = await import(devicePath);
    await module.default({ module_or_path: '/pkg/webgpu/device_bg.wasm' });
    const device = await module.Device.create('webgpu');
    /** @type {Record<string, Uint8Array>} */
    const weights = {};
    for (const part of files) weights[part.name] = await bytes(`/model/${part.file}`);
    await device.load(await (await fetch('/model/manifest.json')).text(), split, weights, await bytes(`/model/${codec.file}`), codec.default_rate);

    const image = await createImageBitmap(await (await fetch('/samples/zebra.jpg')).blob());
    const context = new OffscreenCanvas(image.width, image.height).getContext('2d');
    if (!context) throw new Error('no canvas');
    context.drawImage(image, 0, 0);
    const { data } = context.getImageData(0, 0, image.width, image.height);
    const input = Float32Array.from({ length: 3 * 224 * 224 }, (_, index) => ((index * 7919) % 256) - 116);

    const AREA = 224 * 224;
    const pixels = Float32Array.from(input, (_, index) => input[(index % 3) * AREA + Math.floor(index / 3)]);
    const tensorflowPath = '/bench/tensorflow.mjs';
    const { alike, front } = await import(tensorflowPath);
    const { tf } = /** @type {any} */ (globalThis);
    await tf.setBackend('webgpu');
    const tensorflow = front(tf, Object.values(weights), stages);
    const { y: expected } = await session.run({ x: new ort.Tensor('float32', input, [1, 3, 224, 224]) });
    alike(await tensorflow.asPlanes(pixels), await expected.getData(), 'TensorFlow.js and onnxruntime');

    const runs = {
      async ort() {
        const { y } = await session.run({ x: new ort.Tensor('float32', input, [1, 3, 224, 224]) });
        if ((await y.getData()).length < 1000) throw new Error('onnxruntime gave no feature');
      },
      async tensorflow() {
        if ((await tensorflow.later(pixels)).length < 1000) throw new Error('TensorFlow.js gave no feature');
      },
      async device() {
        await device.encode(data, image.width, image.height, 0);
      },
    };
    /** @type {Record<string, { asked: any, times: number[] }>} */
    const all = Object.fromEntries(Object.keys(runs).map((name) => [name, { asked: null, times: [] }]));
    for (let round = -warmUp; round < rounds; round += 1) {
      for (const [name, run] of Object.entries(runs)) {
        for (const key of Object.keys(asked)) asked[/** @type {keyof typeof asked} */ (key)] = 0;
        const began = performance.now();
        await run();
        if (round >= 0) all[name].times.push(performance.now() - began);
        all[name].asked = { ...asked };
      }
    }
    Object.assign(globalThis, { runs });
    return { adapter: [info.vendor, info.architecture, info.description].filter(Boolean).join(', '), ...all };
  }, { split, stages: SPLITS.indexOf(split), codec, files, rounds: ROUNDS, warmUp: WARM_UP }));
  for (const name of /** @type {const} */ (['ort', 'tensorflow', 'device'])) measured[name].busy = await busy(page, name);
  await page.close();
  return measured;
}

/**
 * Milliseconds of a picture in which the page's thread did not wait, by the browser's profiler.
 * @param {import('playwright-core').Page} page @param {Name} name
 */
async function busy(page, name) {
  const client = await page.context().newCDPSession(page);
  await client.send('Profiler.enable');
  await client.send('Profiler.start');
  const pictures = Math.min(ROUNDS, 5);
  await page.evaluate(async ({ name, pictures }) => {
    for (let picture = 0; picture < pictures; picture += 1) await (/** @type {any} */ (globalThis)).runs[name]();
  }, { name, pictures });
  const { profile } = await client.send('Profiler.stop');
  await client.detach();
  const idle = new Set(profile.nodes.filter(({ callFrame }) => callFrame.functionName === '(idle)').map(({ id }) => id));
  const deltas = profile.timeDeltas ?? [];
  // In microseconds; a delta ends with its sample.
  const worked = (profile.samples ?? []).reduce((sum, id, index) => sum + (idle.has(id) ? 0 : deltas[index]), 0);
  return worked / 1000 / pictures;
}

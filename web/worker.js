// The worker that holds the device: loads it, feeds it frames, tells the page.

import { Device } from './worker/api.js';
import { DownloadError, fetchedFiles, wireBytes } from './worker/download.js';
import { fetchManifest, pickCodec, pickRate } from './worker/model.js';

/** @typedef {import('./messages.js').ToWorker} ToWorker */
/** @typedef {import('./messages.js').FromWorker} FromWorker */
/** @typedef {import('./messages.js').Answer} Answer */
/** @typedef {import('./messages.js').Settings} Settings */
/** @typedef {import('./messages.js').FrameMessage} FrameMessage */
/** @typedef {import('../device-wasm/npm/index.d.ts').Progress} Progress */

const RETRY_MS = 2000;
/** Classes in an answer. */
const TOP_K = 5;
/** Where this page came from: it has the models as well. */
const HERE = new URL('./', self.location.href);

/** @type {Device | null} */
let device = null;
/** Whether frames can be taken. */
let ready = false;
/** Whether the device is started anew; frames wait for it. */
let recovering = false;
/** @type {FrameMessage | null} the frame that is being worked on */
let current = null;
/** @type {Settings['server']} where frames go */
let server = '';
/** Loading happens one at a time, in the order it was asked for. @type {Promise<void>} */
let queue = Promise.resolve();

/** @param {FromWorker} message @param {Transferable[]} [transfer] */
const tell = (message, transfer = []) => self.postMessage(message, { transfer });

/** @param {Progress} progress */
const onProgress = (progress) => tell({ type: 'progress', ...progress });

self.addEventListener('message', (/** @type {MessageEvent<ToWorker>} */ event) => {
  const message = event.data;
  switch (message.type) {
    case 'start':
      enqueue(() => start(message.settings, message.token));
      break;
    case 'token':
      enqueue(async () => connect(message.token), false);
      break;
    case 'choose':
      enqueue(() => choose(message.codec, message.rate));
      break;
    case 'load-whole':
      enqueue(loadWhole, false);
      break;
    case 'link-emulation':
      enqueue(async () => device?.setLink(message.link), false);
      break;
    case 'automatic':
      enqueue(async () => device?.setAutomatic(message.goal), false);
      break;
    case 'frame':
      frame(message);
      break;
  }
});

/** @param {() => Promise<void>} work @param {boolean} [vital] whether the worker is of no use without it */
function enqueue(work, vital = true) {
  queue = queue.then(work).catch((error) => fail(error, vital));
}

/** @param {Settings} settings @param {string | null} token */
async function start(settings, token) {
  server = settings.server;
  onProgress({ label: 'Asking the server for its models', share: null, detail: '' });
  const manifest = await untilReachable(() => fetchManifest(HERE, settings.model));
  tell({ type: 'models', manifest });
  const progress = (/** @type {string} */ label, /** @type {number | null} */ share, /** @type {string} */ detail) => onProgress({ label, share, detail });
  device = await untilReachable(() => Device.create(HERE, manifest, settings.backend, settings.threads, progress));
  tell({ type: 'backend', ...device.backend });
  listen(device);
  const codec = pickCodec(manifest, settings);
  await choose(codec.name, pickRate(codec, settings.rate));
  connect(token);
}

/** @param {string | null} token */
function connect(token) {
  device?.connect(server, { topK: TOP_K, ...(token === null ? {} : { token }) });
}

/** @param {string} name @param {number} rate */
async function choose(name, rate) {
  const choosing = device;
  if (!choosing) return;
  const warmUpMs = await untilReachable(() => choosing.choose(name, rate, { onProgress }));
  ready = true;
  tell({ type: 'ready', codec: name, rate, warmUpMs, wireBytes: wireBytes(), files: fetchedFiles() });
}

async function loadWhole() {
  const loading = device;
  if (!loading || loading.hasWhole) return;
  let total = 0;
  const { bytes, ms } = await loading.loadWhole({
    onBytes: (loaded, all) => {
      total = all;
      tell({ type: 'whole', state: 'loading', bytes: loaded, total: all, ms: null });
    },
  });
  tell({ type: 'whole', state: 'ready', bytes, total, ms, files: fetchedFiles() });
}

/** @param {Device} listened */
function listen(listened) {
  /** @template T @param {string} type @param {(detail: T) => void} then */
  const on = (type, then) => listened.addEventListener(type, (event) => then(/** @type {CustomEvent<T>} */ (event).detail));
  on('result', result);
  on('state', (/** @type {import('./messages.js').SessionState} */ state) => {
    if (state.state !== 'ready' && !recovering) drop();
    tell({ type: 'link', state });
  });
  on('error', (error) => {
    recovering = false;
    fail(error, false);
    drop();
  });
  on('decision', (/** @type {import('./messages.js').Decision} */ decision) => tell({ type: 'decision', ...decision }));
  on('recovering', (/** @type {{ reason: string }} */ { reason }) => {
    recovering = true;
    tell({ type: 'recovering', reason });
  });
  on('recovered', () => {
    recovering = false;
    const chosen = listened.chosen;
    tell({ type: 'backend', ...listened.backend });
    if (chosen) tell({ type: 'ready', codec: chosen.codec.name, rate: chosen.rate, warmUpMs: null, wireBytes: wireBytes(), files: fetchedFiles() });
  });
}

/** @param {Answer} answer */
function result(answer) {
  const done = current;
  if (!done || done.capturedAt !== answer.capture_time_us) return;
  current = null;
  const { way, upBytes, downBytes, latent, ...rest } = answer;
  const steps = { ...answer.steps, capture: done.captureMs + answer.steps.capture };
  const totalMs = performance.timeOrigin + performance.now() - done.capturedAt / 1000;
  tell({
    type: 'result', id: done.id, answer: { ...rest, way, upBytes, downBytes },
    captureMs: steps.capture, totalMs, way, upBytes, downBytes, steps, latent,
  }, latent ? [/** @type {ArrayBuffer} */ (latent.symbols.buffer)] : []);
}

/** @param {FrameMessage} message */
function frame(message) {
  if (!device || !ready) {
    message.image.close();
    tell({ type: 'lost', id: message.id });
    return;
  }
  drop();
  current = message;
  try {
    device.submit(message.image, { capturedAt: message.capturedAt, way: message.way, wantLatent: message.wantLatent });
  } catch (error) {
    fail(error, false);
    drop();
  }
}

/** The current frame gets no answer any more. */
function drop() {
  if (!current) return;
  tell({ type: 'lost', id: current.id });
  current = null;
}

/**
 * Repeats what failed because the server could not be reached.
 * @template T
 * @param {() => Promise<T>} work
 * @returns {Promise<T>}
 */
async function untilReachable(work) {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof DownloadError) || !error.unreachable) throw error;
      tell({ type: 'link', state: { state: 'waiting', retryInMs: RETRY_MS, code: 0, reason: error.message, lostFrames: 0 } });
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      tell({ type: 'link', state: { state: 'connecting', attempt } });
    }
  }
}

/** @param {unknown} error @returns {{ name: string, message: string, hint: string, code: string }} */
function describe(error) {
  if (!(error instanceof Error)) return { name: 'Error', message: String(error), hint: '', code: '' };
  const hint = 'hint' in error && typeof error.hint === 'string' ? error.hint : '';
  const code = 'code' in error && typeof error.code === 'string' ? error.code : '';
  return { name: error.name, message: error.message, hint, code };
}

/** @param {unknown} error @param {boolean} fatal */
function fail(error, fatal) {
  tell({ type: 'failure', fatal, ...describe(error) });
}

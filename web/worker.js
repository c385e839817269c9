// The worker that holds the device: picks a build, loads it, feeds it frames, tells the page.

import { chooseBuilds } from './worker/builds.js';
import { createDevice } from './worker/device.js';
import { DownloadError, downloadBytes, wireBytes } from './worker/download.js';
import { codecByName, loadModel, pickCodec, pickRate } from './worker/model.js';

/** @typedef {import('./messages.js').ToWorker} ToWorker */
/** @typedef {import('./messages.js').FromWorker} FromWorker */
/** @typedef {import('./messages.js').Settings} Settings */
/** @typedef {import('./messages.js').Manifest} Manifest */
/** @typedef {import('./messages.js').CodecEntry} CodecEntry */
/** @typedef {import('./messages.js').FrameMessage} FrameMessage */
/** @typedef {import('./worker/device.js').Device} Device */

const RETRY_MS = 2000;

/** @type {Device | null} */
let device = null;
/** @type {Manifest | null} */
let manifest = null;
/** @type {{ codec: CodecEntry, rate: number } | null} what the device has loaded */
let loaded = null;
/** @type {Settings | null} */
let settings = null;
/** @type {FrameMessage | null} the frame that is being worked on */
let current = null;
/** Loading happens one at a time, in the order it was asked for. @type {Promise<void>} */
let queue = Promise.resolve();

/** @param {FromWorker} message */
const tell = (message) => self.postMessage(message);

self.addEventListener('message', (/** @type {MessageEvent<ToWorker>} */ event) => {
  const message = event.data;
  switch (message.type) {
    case 'start':
      enqueue(() => start(message.settings));
      break;
    case 'choose':
      enqueue(() => choose(message.codec, message.rate));
      break;
    case 'frame':
      frame(message);
      break;
  }
});

/** @param {() => Promise<void>} work */
function enqueue(work) {
  queue = queue.then(work).catch((error) => fail(error, true));
}

/** @param {Settings} wanted */
async function start(wanted) {
  settings = wanted;
  manifest = await untilReachable(fetchManifest);
  tell({ type: 'models', manifest });
  device = await untilReachable(makeDevice);
  const codec = pickCodec(manifest, wanted);
  await load(codec, pickRate(codec, wanted.rate));
}

/** @returns {Promise<Manifest>} */
async function fetchManifest() {
  tell({ type: 'progress', label: 'Asking the server for its models', share: null, detail: '' });
  const answer = JSON.parse(new TextDecoder().decode(await downloadBytes('v1/models')));
  /** @type {Manifest[]} */
  const models = answer.models;
  const usable = models.find((model) => model.codecs.length > 0);
  if (!usable) {
    throw new Error('The server has no model with a codec. Start it with --models pointing at a folder that has one.');
  }
  return usable;
}

async function makeDevice() {
  const choices = await chooseBuilds(settings?.backend ?? null);
  for (const [index, choice] of choices.entries()) {
    try {
      const { device: made, name } = await createDevice(choice, (label, share, detail) =>
        tell({ type: 'progress', label, share, detail }));
      tell({ type: 'backend', name, reason: choice.reason, fallback: choice.fallback });
      return made;
    } catch (error) {
      const next = choices[index + 1];
      if (error instanceof DownloadError || !next) throw error;
      next.reason = `${next.reason} (${describe(error).message})`;
    }
  }
  throw new Error('No build of the device could be started.');
}

/** @param {CodecEntry} codec @param {number} rate */
async function load(codec, rate) {
  const loading = device;
  const model = manifest;
  if (!loading || !model) return;
  if (loaded?.codec.name === codec.name) {
    loading.setRate(rate);
    loaded = { codec, rate };
    tell({ type: 'ready', codec: codec.name, rate, warmUpMs: null, wireBytes: wireBytes() });
    return;
  }
  // Said before hanging up: the page then knows that it was this side that closed the connection.
  tell({ type: 'progress', label: 'Asking for the weights', share: null, detail: '' });
  drop();
  loading.disconnect();
  loaded = null;
  const files = await untilReachable(() => loadModel(model, codec, (label, share, detail) =>
    tell({ type: 'progress', label, share, detail })));
  tell({ type: 'progress', label: `Preparing the network on ${loading.backend}`, share: null, detail: 'The first pass is the slowest: the device compiles and tunes what it will run.' });
  await loading.load(JSON.stringify(model), codec.split, files.parts, files.codec, rate);
  const warmUpMs = await loading.warmUp();
  loaded = { codec, rate };
  tell({ type: 'ready', codec: codec.name, rate, warmUpMs, wireBytes: wireBytes() });
  connect(loading);
}

/** @param {string} name @param {number} rate */
async function choose(name, rate) {
  if (!manifest) return;
  await load(codecByName(manifest, name), rate);
}

/** @param {Device} connecting */
function connect(connecting) {
  const url = new URL('v1/stream', `${settings?.server.replace(/\/$/, '')}/`);
  url.protocol = url.protocol.replace('http', 'ws');
  connecting.connect(url.href, {
    topK: 5,
    onResult: (answer) => {
      const done = current;
      if (!done || done.capturedAt !== answer.capture_time_us) return;
      current = null;
      tell({
        type: 'result',
        id: done.id,
        answer,
        captureMs: done.captureMs + answer.frame.timings.capture,
        totalMs: performance.timeOrigin + performance.now() - done.capturedAt / 1000,
      });
    },
    onState: (state) => {
      if (state.state !== 'ready') drop();
      tell({ type: 'link', state });
    },
    onError: (error) => {
      fail(error, false);
      drop();
    },
  });
}

/** @param {FrameMessage} message */
function frame(message) {
  if (!device || !loaded) {
    message.image.close();
    tell({ type: 'lost', id: message.id });
    return;
  }
  drop();
  current = message;
  try {
    device.submit(message.image, message.capturedAt);
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

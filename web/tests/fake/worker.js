// A stand-in for the worker, for working on the page without building Rust. It classifies nothing:
// it makes answers up, with times and bytes that are plausible under the emulated link. It is served
// by `tests/fake/serve.mjs` only and never by the edge server.

/** @typedef {import('../../messages.js').ToWorker} ToWorker */
/** @typedef {import('../../messages.js').FromWorker} FromWorker */
/** @typedef {import('../../messages.js').Way} Way */

/** @param {FromWorker} message */
const tell = (message) => self.postMessage(message);
/** @param {number} ms */
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const wobble = () => 0.92 + Math.random() * 0.16;

const NAMES = ['zebra', 'hartebeest', 'ostrich, Struthio_camelus', 'African_chameleon', 'gazelle'];
const CHANNELS = 64;

/** @type {import('../../messages.js').Manifest} */
let manifest;
let chosen = { codec: '', rate: 0 };
/** @type {import('../../messages.js').Link | null} */
let link = null;
/** @type {import('../../messages.js').Goal | null} */
let goal = null;
let decidedAt = 0;

self.addEventListener('message', async (/** @type {MessageEvent<ToWorker>} */ { data }) => {
  switch (data.type) {
    case 'start': {
      manifest = (await (await fetch('v1/models')).json()).models[0];
      tell({ type: 'models', manifest });
      tell({ type: 'backend', name: 'cpu (simd)', reason: 'A stand-in: nothing is computed.', fallback: true, threads: 1 });
      const codec = manifest.codecs.find(({ split }) => split === (data.settings.split ?? 'stage2')) ?? manifest.codecs[0];
      await ready(codec.name, codec.default_rate);
      tell({ type: 'link', state: { state: 'ready', session: 1, server: 'edge-server 0.1.0 (stand-in)' } });
      break;
    }
    case 'choose':
      await ready(data.codec, data.rate);
      break;
    case 'link-emulation':
      link = data.link;
      break;
    case 'automatic':
      goal = data.goal;
      decidedAt = 0;
      break;
    case 'load-whole':
      for (let bytes = 3e6; bytes < 51e6; bytes += 8e6) {
        tell({ type: 'whole', state: 'loading', bytes, total: 51e6, ms: null });
        await sleep(150);
      }
      tell({ type: 'whole', state: 'ready', bytes: 51e6, total: 51e6, ms: 812 });
      break;
    case 'frame':
      data.image.close();
      await answer(data);
      break;
  }
});

/** @param {string} codec @param {number} rate */
async function ready(codec, rate) {
  for (const share of [0.2, 0.6, 1]) {
    tell({ type: 'progress', label: 'Downloading the front of the network', share, detail: `${(share * 6.8).toFixed(2)} MB of 6.80 MB` });
    await sleep(60);
  }
  chosen = { codec, rate };
  tell({ type: 'ready', codec, rate, warmUpMs: 412.3, wireBytes: 5_400_000 });
}

/** @param {import('../../messages.js').FrameMessage} frame */
async function answer({ id, way: asked, capturedAt, captureMs, wantLatent }) {
  const way = asked ?? (goal ? decide() : { kind: /** @type {const} */ ('features'), ...chosen, channels: null });
  const upBytes = bytesOf(way);
  const downBytes = way.kind === 'device' ? 0 : 512;
  const steps = stepsOf(way, captureMs, upBytes, downBytes);
  const totalMs = Object.values(steps).reduce((sum, ms) => sum + ms, 0);
  await sleep(Math.max(0, totalMs - (performance.timeOrigin + performance.now() - capturedAt / 1000)));
  const wrong = way.kind === 'picture' && way.quality < 20;
  const top = NAMES.map((label, index) => ({ class: wrong ? 4 - index : index, label: wrong ? NAMES[4 - index] : label, probability: [0.94, 0.021, 0.013, 0.006, 0.004][index] }));
  const latent = wantLatent && way.kind === 'features' ? made(way) : undefined;
  const answer = /** @type {import('../../messages.js').Answer} */ ({ sequence: id, capture_time_us: capturedAt, top, batch: 1 });
  tell({ type: 'result', id, answer, captureMs, totalMs, way, upBytes, downBytes, steps, latent });
}

/** @param {Way} way */
function bytesOf(way) {
  if (way.kind === 'device') return 0;
  if (way.kind === 'features') return Math.round((600 + 420 * way.rate) * ((way.channels ?? CHANNELS) / CHANNELS) * wobble());
  const perQuality = way.format === 'jpeg' ? 110 : 85;
  return way.format === 'raw' ? 150_548 : Math.round(1500 + perQuality * way.quality * wobble());
}

/** @param {Way} way @param {number} capture @param {number} up @param {number} down */
function stepsOf(way, capture, up, down) {
  const perByte = 8 / (link?.kbps ?? 100_000);
  const half = (link?.rttMs ?? 1) / 2;
  const server = { queue: 0.2, decode: way.kind === 'features' ? 2.2 : 1.4, tail: (way.kind === 'features' ? 42 : 61) * wobble(), send: half + up * perByte, answer: half + down * perByte };
  const nothing = { queue: 0, decode: 0, tail: 0, send: 0, answer: 0.3 };
  const front = { features: 27, picture: 0, device: 210 }[way.kind] * wobble();
  const encode = way.kind === 'features' ? 3.4 : way.kind === 'picture' && way.format !== 'raw' ? 4.8 : 0;
  return { capture, preprocess: 1.9 * wobble(), front, encode, code: way.kind === 'features' ? 0.4 : 0, ...(way.kind === 'device' ? nothing : server) };
}

/** @returns {Way} */
function decide() {
  /** @type {Way[]} */
  const ways = [{ kind: 'features', codec: 'aecnn-stage2', rate: 2, channels: null }, { kind: 'picture', format: 'webp', quality: 75 }, { kind: 'picture', format: 'jpeg', quality: 75 }];
  const estimates = ways.map((way, index) => {
    const bytes = bytesOf(way);
    return { way, bytes, agreement: [0.84, 0.93, 0.95][index], ms: Object.values(stepsOf(way, 2, bytes, 512)).reduce((sum, ms) => sum + ms, 0) };
  }).sort((a, b) => a.ms - b.ms);
  const [best] = estimates;
  if (performance.now() - decidedAt > 1000 || decidedAt === 0) {
    decidedAt = performance.now();
    tell({ type: 'decision', way: best.way, estimates, because: 'The soonest of the ways that reach the floor.', at: Date.now(), link: { kbps: link?.kbps ?? 100_000, rttMs: link?.rttMs ?? 1 } });
  }
  return best.way;
}

/** @param {{ codec: string, rate: number, channels: number | null }} way @returns {import('../../messages.js').Latent} */
function made({ codec, rate, channels }) {
  const sent = channels ?? CHANNELS;
  const symbols = Int16Array.from({ length: sent * 49 }, (_, at) => {
    const [channel, place] = [Math.floor(at / 49), at % 49];
    const blob = Math.exp(-(((place % 7) - (channel % 7)) ** 2 + (Math.floor(place / 7) - ((channel * 3) % 7)) ** 2) / 4);
    return Math.round(8 * blob * Math.exp(-channel / 30));
  });
  return { codec, rate, shape: [sent, 7, 7], symbols };
}

export {};

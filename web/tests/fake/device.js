// A stand-in for the device, for working on the page without building Rust. It classifies nothing:
// it makes answers up. It is served by `tests/fake/serve.mjs` only and never by the edge server.

/** @param {{ module_or_path: Response }} options */
export default async function init({ module_or_path }) {
  await module_or_path.arrayBuffer();
}

/** @param {number} ms */
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** @typedef {import('../../messages.js').Way} Way */

export class Device {
  /** @type {{ codec: string, rate: number }} */ #chosen = { codec: '', rate: 0 };
  /** @type {Set<string>} */ #splits = new Set();
  /** @type {any} */ #callbacks = null;
  #sequence = 0;
  /** @type {any} */ #link = null;
  /** @type {any} */ #goal = null;

  /** @param {string} backend */
  constructor(backend) {
    this.backend = backend === 'cpu' ? 'cpu (simd)' : 'webgpu: stand-in';
  }

  /** @param {string} backend */
  static async create(backend) {
    await sleep(200);
    return new Device(backend);
  }

  /** @param {string} manifest @param {string} split @param {unknown} _parts @param {unknown} _codec @param {number} rate */
  load(manifest, split, _parts, _codec, rate) {
    this.#splits.add(split);
    this.#chosen = { codec: JSON.parse(manifest).codecs.find((/** @type {any} */ codec) => codec.split === split).name, rate };
  }

  addCodec() {}

  loadWhole() {}

  /** @param {string} split */
  hasSplit(split) {
    return this.#splits.has(split);
  }

  async warmUp() {
    await sleep(400);
    return 412.3;
  }

  /** @param {string} codec @param {number} rate */
  choose(codec, rate) {
    this.#chosen = { codec, rate };
  }

  /** @param {string} _url @param {unknown} callbacks */
  connect(_url, callbacks) {
    this.#callbacks = callbacks;
    this.#callbacks.onState({ state: 'connecting', attempt: 1 });
    setTimeout(() => this.#callbacks?.onState({ state: 'ready', session: 1, server: 'edge-server 0.1.0 (stand-in)' }), 100);
  }

  disconnect() {
    this.#callbacks?.onState({ state: 'closed', code: 1000, reason: '' });
    this.#callbacks = null;
  }

  /** @param {unknown} link */
  setLink(link) {
    this.#link = link;
  }

  /** @param {unknown} goal */
  setAutomatic(goal) {
    this.#goal = goal;
  }

  /** @param {ImageBitmap} _source @param {number} captureTimeUs @param {{ way?: Way | null, wantLatent?: boolean }} [options] */
  async submit(_source, captureTimeUs, { way, wantLatent } = {}) {
    const callbacks = this.#callbacks;
    const wobble = () => 0.9 + Math.random() * 0.2;
    /** @type {Way} */
    const went = way ?? { kind: 'features', ...this.#chosen, channels: null };
    if (!way && this.#goal) this.#decide(went);
    const bytes = Math.round({ features: 900 + 420 * this.#chosen.rate, picture: 9000, device: 0 }[went.kind] * wobble());
    const here = went.kind === 'device' ? 130 : went.kind === 'picture' ? 0 : 27;
    const timings = { capture: 1.1 * wobble(), preprocess: 1.9 * wobble(), front: here * wobble(), encode: 3.2 * wobble(), quantise: 0.2, code: 0.4 * wobble(), total: 7 + here };
    await sleep(timings.total);
    const send = bytes === 0 ? 0 : 5 + (this.#link ? this.#link.rttMs / 2 + (bytes * 8) / this.#link.kbps : 0);
    const server = bytes === 0 ? 0 : 54;
    await sleep(send + server);
    this.#sequence += 1;
    callbacks?.onResult({
      sequence: this.#sequence,
      capture_time_us: captureTimeUs,
      top: [['zebra', 0.94], ['hartebeest', 0.021], ['ostrich, Struthio_camelus', 0.013], ['African_chameleon', 0.006], ['gazelle', 0.004]]
        .map(([label, probability], index) => ({ class: index, label, probability })),
      timings: server === 0 ? { queue_us: 0, decode_us: 0, restore_us: 0, tail_us: 0, total_us: 0 } : { queue_us: 180, decode_us: 140, restore_us: 2100, tail_us: 51_000, total_us: 53_500 },
      batch: 1, payload_bytes: Math.max(0, bytes - 20), roundTripMs: send + server, way: went, upBytes: bytes, downBytes: bytes === 0 ? 0 : 520,
      steps: { capture: timings.capture, preprocess: timings.preprocess, front: timings.front, encode: timings.encode, code: timings.code, send: 0.8 * send, queue: 0.3, decode: server === 0 ? 0 : 2.2, tail: server === 0 ? 0 : 51, answer: 0.2 * send },
      frame: { sequence: this.#sequence, captureTimeUs, bytes, way: went, timings },
      ...(wantLatent && went.kind === 'features' ? { latent: { codec: went.codec, rate: went.rate, shape: [64, 14, 14], symbols: Int16Array.from({ length: 64 * 196 }, (_, at) => Math.round(4 * Math.sin(at / 9)) ) } } : {}),
    });
  }

  /** @param {Way} way */
  #decide(way) {
    const estimates = [{ way, ms: 95, agreement: 0.9, bytes: 1300 }, { way: { kind: 'picture', format: 'jpeg', quality: 75 }, ms: 140, agreement: 0.92, bytes: 10_000 }];
    this.#callbacks?.onDecision?.({ way, estimates, because: 'This is a stand-in: it decides nothing.', at: Date.now(), link: { kbps: this.#link?.kbps ?? 20_000, rttMs: this.#link?.rttMs ?? 4 } });
  }
}

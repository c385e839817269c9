// A stand-in for the device, for working on the page without building Rust. It classifies nothing:
// it makes answers up. It is served by `tests/fake/serve.mjs` only and never by the edge server.

/** @param {{ module_or_path: Response }} options */
export default async function init({ module_or_path }) {
  await module_or_path.arrayBuffer();
}

/** @param {number} ms */
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

export class Device {
  #rate = 0;
  #split = 'stem';
  /** @type {any} */ #callbacks = null;
  #sequence = 0;

  /** @param {string} backend */
  constructor(backend) {
    this.backend = backend === 'cpu' ? 'cpu (simd)' : 'webgpu: stand-in';
  }

  /** @param {string} backend */
  static async create(backend) {
    await sleep(200);
    return new Device(backend);
  }

  /** @param {string} _manifest @param {string} split @param {unknown} _parts @param {unknown} _codec @param {number} rate */
  async load(_manifest, split, _parts, _codec, rate) {
    this.#split = split;
    this.#rate = rate;
    await sleep(200);
  }

  async warmUp() {
    await sleep(400);
    return 412.3;
  }

  /** @param {number} rate */
  setRate(rate) {
    this.#rate = rate;
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

  /** @param {ImageBitmap} source @param {number} captureTimeUs */
  async submit(source, captureTimeUs) {
    source.close();
    const callbacks = this.#callbacks;
    const wobble = () => 0.9 + Math.random() * 0.2;
    const timings = { capture: 1.1 * wobble(), preprocess: 1.9 * wobble(), front: 27 * wobble(), encode: 3.2 * wobble(), quantise: 0.2, code: 0.4 * wobble(), total: 34 };
    await sleep(34);
    const bytes = Math.round((900 + 420 * this.#rate) * wobble());
    await sleep(62);
    this.#sequence += 1;
    callbacks?.onResult({
      sequence: this.#sequence,
      capture_time_us: captureTimeUs,
      top: [['zebra', 0.94], ['hartebeest', 0.021], ['ostrich, Struthio_camelus', 0.013], ['African_chameleon', 0.006], ['gazelle', 0.004]]
        .map(([label, probability], index) => ({ class: index, label, probability })),
      timings: { queue_us: 180, decode_us: 140, restore_us: 2100, tail_us: 51_000, total_us: 53_500 },
      batch: 1, payload_bytes: bytes - 20, roundTripMs: 58,
      frame: { sequence: this.#sequence, captureTimeUs, bytes, split: this.#split, codec: '', rate: '', channels: 10, timings },
    });
  }
}

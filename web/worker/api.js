// The device as programs use it: loading, frames, events, recovery. Also the npm package's.

import { chooseBuilds } from './builds.js';
import { createDevice } from './device.js';
import { DownloadError } from './download.js';
import { Helpers, threadsHere } from './helpers.js';
import { codecByName, fetchFiles, fetchManifest, filesOfCodec, filesOfWhole, frontOf, megabytes, pickCodec, pickRate } from './model.js';

/** @typedef {import('../messages.js').Manifest} Manifest */
/** @typedef {import('../messages.js').CodecEntry} CodecEntry */
/** @typedef {import('./builds.js').Choice} Choice */
/** @typedef {import('./device.js').RustDevice} RustDevice */
/** @typedef {import('./device.js').FrameSource} FrameSource */
/** @typedef {import('./device.js').SubmitOptions} SubmitOptions */
/** @typedef {import('./model.js').OnProgress} OnProgress */
/** @typedef {import('../../device-wasm/npm/index.d.ts').LoadOptions} LoadOptions */
/** @typedef {import('../../device-wasm/src/types.d.ts').ConnectOptions} ConnectOptions */
/** @typedef {import('../../device-wasm/src/types.d.ts').Goal} Goal */
/** @typedef {import('../../device-wasm/src/types.d.ts').Link} Link */

/** A device that is lost again within this time runs on the CPU from then on. */
const AGAIN_MS = 60_000;
/** What a browser says of a socket that was closed without a word. */
const ABNORMAL = 1006;
/** It is waited so long for the reason why a socket was refused before the device goes on. */
const REASON_MS = 200;
/** What a token is made of: it goes to the server as the name of a subprotocol. */
const TOKEN = /^[A-Za-z0-9._~-]+$/;
/** Helpers share the whole network up to there: behind it are too few rows. */
const SHARED = 'stage2';
/** A frame that fails waits so long for the news that the device is lost. */
const LOST_MS = 300;

/** What was submitted and is not answered yet. @typedef {{ source: FrameSource, capturedAt: number, options: SubmitOptions }} Pending */

/** A device. Its types, in words, are in `device-wasm/npm/index.d.ts`. */
export class Device extends EventTarget {
  /** @type {Manifest} */ manifest;
  /** @type {{ name: string, reason: string, fallback: boolean, threads: number }} */ backend = { name: '', reason: '', fallback: false, threads: 1 };
  /** What frames that name no way are sent as. @type {{ codec: CodecEntry, rate: number } | null} */ chosen = null;
  /** @type {URL} */ #server;
  /** @type {'webgpu' | 'cpu' | 'simd' | 'scalar' | null} */ #wanted;
  /** @type {RustDevice | null} */ #rust = null;
  /** The device's thread among them. */ #threads;
  /** @type {Helpers | null} */ #helpers = null;
  #turn = 0;
  #lostAt = Number.NEGATIVE_INFINITY;
  /** @type {Promise<void> | null} */ #recovery = null;
  /** Codecs that were loaded, by name. @type {Map<string, CodecEntry>} */ #codecs = new Map();
  #whole = false;
  /** @type {{ url: string, options: ConnectOptions } | null} */ #connection = null;
  /** Why the server does not let this device in. @type {string | null} */ #refusal = null;
  /** @type {Link | null} */ #link = null;
  /** @type {Goal | null} */ #goal = null;
  /** @type {Pending | null} */ #pending = null;
  #disposed = false;

  /** @param {LoadOptions} [options] @returns {Promise<Device>} */
  static async load(options = {}) {
    const progress = progressOf(options);
    const server = new URL(options.server ?? './', self.location.href);
    progress('Asking the server for its models', null, '');
    const manifest = await fetchManifest(server, options.model ?? null);
    const device = await Device.create(server, manifest, options.backend ?? null, options.threads ?? null, progress);
    const codec = pickCodec(manifest, { codec: options.codec ?? null, split: options.split ?? null });
    await device.choose(codec.name, pickRate(codec, options.rate === undefined ? null : String(options.rate)), options);
    return device;
  }

  /**
   * A device without a network.
   * @param {URL} server @param {Manifest} manifest
   * @param {'webgpu' | 'cpu' | 'simd' | 'scalar' | null} wanted
   * @param {number | null} threads on the CPU
   * @param {OnProgress} progress
   */
  static async create(server, manifest, wanted, threads, progress) {
    const device = new Device(server, manifest, wanted, threads ?? threadsHere());
    await device.#start(await chooseBuilds(wanted), progress);
    return device;
  }

  /** @param {URL} server @param {Manifest} manifest @param {'webgpu' | 'cpu' | 'simd' | 'scalar' | null} wanted @param {number} threads */
  constructor(server, manifest, wanted, threads) {
    super();
    this.#server = server;
    this.manifest = manifest;
    this.#wanted = wanted;
    this.#threads = threads;
  }

  /** Whether frames can go the way `device`. */
  get hasWhole() {
    return this.#whole;
  }

  /**
   * @param {string} name @param {number} rate @param {Pick<LoadOptions, 'onProgress'>} [options]
   * @returns {Promise<number | null>} the first, cold pass in milliseconds; null when the network was there
   */
  async choose(name, rate, options = {}) {
    await this.#recovery;
    const codec = codecByName(this.manifest, name);
    if (!codec.rates[rate]) throw new Error(`The codec “${name}” has no rate ${rate}.`);
    const warmUpMs = await this.#loadCodec(codec, rate, progressOf(options));
    this.chosen = { codec, rate };
    return warmUpMs;
  }

  /**
   * Loads a codec without choosing it; with it, what its split needs.
   * @param {string} name @param {Pick<LoadOptions, 'onProgress'>} [options]
   */
  async addCodec(name, options = {}) {
    await this.#recovery;
    const chosen = this.chosen;
    if (!chosen) throw named('NotLoaded', 'no codec is chosen', 'call choose() first');
    const codec = codecByName(this.manifest, name);
    if (this.#codecs.has(name)) return;
    await this.#loadCodec(codec, codec.default_rate, progressOf(options));
    this.#running().choose(chosen.codec.name, chosen.rate);
  }

  /**
   * Loads the rest of the network, so that frames can go the way `device`.
   * @param {{ onBytes?: (loaded: number, total: number) => void }} [options]
   * @returns {Promise<{ bytes: number, ms: number }>} bytes of its files, and the first, cold pass in milliseconds
   */
  async loadWhole({ onBytes } = {}) {
    await this.#recovery;
    return this.#loadWhole(onBytes);
  }

  /** @param {(loaded: number, total: number) => void} [onBytes] */
  async #loadWhole(onBytes) {
    const files = filesOfWhole(this.manifest);
    let bytes = 0;
    const { parts, other } = await fetchFiles(this.#server, this.manifest, files, (loaded, total) => {
      bytes = total;
      onBytes?.(loaded, total);
    });
    const rust = this.#running();
    rust.loadWhole(parts, other);
    const ms = await rust.warmUp(true);
    this.#whole = true;
    const shared = Object.fromEntries(frontOf(SHARED).map((name) => [name, parts[name]]));
    this.#helpers?.load(JSON.stringify(this.manifest), SHARED, 'whole', shared);
    return { bytes, ms };
  }

  /** @param {FrameSource} source @param {{ capturedAt?: number }} [options] */
  encode(source, { capturedAt = nowUs() } = {}) {
    return this.#running().encodeFrame(source, capturedAt);
  }

  /** @param {string | URL} server @param {ConnectOptions} [options] */
  connect(server, options = {}) {
    const url = new URL(server, self.location.href);
    url.protocol = url.protocol.replace('http', 'ws');
    if (!url.pathname.endsWith('/v1/stream')) url.pathname = `${url.pathname.replace(/\/$/, '')}/v1/stream`;
    if (options.token !== undefined && !TOKEN.test(options.token)) {
      throw named('InvalidArgument', 'a token has letters, digits, “.”, “_”, “~” and “-”', 'give the token as the server has it');
    }
    this.#refusal = null;
    this.#connection = { url: url.href, options };
    this.#connectNow();
  }

  disconnect() {
    this.#connection = null;
    this.#forget();
    this.#rust?.disconnect();
  }

  /** @param {FrameSource} source @param {SubmitOptions & { capturedAt?: number }} [options] */
  submit(source, { capturedAt = nowUs(), ...options } = {}) {
    this.#forget();
    this.#pending = { source, capturedAt, options };
    if (this.#recovery) return;
    try {
      this.#submitPending();
    } catch (error) {
      this.#forget();
      throw error;
    }
  }

  /** @param {Link | null} link */
  setLink(link) {
    if (!this.#recovery) this.#running().setLink(link);
    this.#link = link;
  }

  /** @param {Goal | null} goal */
  setAutomatic(goal) {
    if (!this.#recovery) this.#running().setAutomatic(goal);
    this.#goal = goal;
  }

  dispose() {
    this.#disposed = true;
    this.disconnect();
    this.#helpers?.dispose();
    this.#rust = null;
  }

  #running() {
    if (this.#disposed || !this.#rust) throw named('NotLoaded', 'the device does not run', 'load it, or wait until it has recovered');
    return this.#rust;
  }

  /** Starts the first build that starts. @param {Choice[]} choices @param {OnProgress} progress */
  async #start(choices, progress) {
    for (const [index, choice] of choices.entries()) {
      try {
        const turn = this.#turn;
        this.#rust = await createDevice(choice, turn, progress, (reason) => {
          if (turn === this.#turn) this.#lost(reason);
        });
        this.#help(choice, turn);
        this.backend = { name: this.#rust.backend, reason: choice.reason, fallback: choice.fallback, threads: this.#helpers ? this.#threads : 1 };
        return;
      } catch (error) {
        const next = choices[index + 1];
        if (error instanceof DownloadError || !next) throw error;
        next.reason = `${next.reason} (${error instanceof Error ? error.message : error})`;
      }
    }
    throw new Error('No build of the device could be started.');
  }

  /** On the CPU, other workers share the front. @param {Choice} choice @param {number} turn */
  #help({ backend, build }, turn) {
    this.#helpers?.dispose();
    this.#helpers = backend === 'cpu' && this.#threads > 1 ? new Helpers(build, turn, this.#threads - 1) : null;
    this.#running().setHelpers(this.#helpers);
  }

  /** @param {CodecEntry} codec @param {number} rate @param {OnProgress} progress @returns {Promise<number | null>} */
  async #loadCodec(codec, rate, progress) {
    const rust = this.#running();
    if (this.#codecs.has(codec.name)) {
      rust.choose(codec.name, rate);
      return null;
    }
    const withFront = !rust.hasSplit(codec.split);
    progress('Asking for the weights', null, '');
    const files = filesOfCodec(this.manifest, codec, withFront);
    const { parts, other } = await fetchFiles(this.#server, this.manifest, files, (loaded, total) =>
      progress('Downloading the front of the network', loaded / total, `${megabytes(loaded)} of ${megabytes(total)}`));
    progress(`Preparing the network on ${rust.backend}`, null, 'The first pass is the slowest: the device compiles and tunes what it will run.');
    rust.load(JSON.stringify(this.manifest), codec.split, parts, other, rate);
    this.#codecs.set(codec.name, codec);
    const ms = await rust.warmUp();
    // The first label does not wait for them.
    this.#helpers?.load(JSON.stringify(this.manifest), codec.split, 'codec', await this.#front(codec));
    return withFront ? ms : null;
  }

  /** The weights of a codec's front, which are there. @param {CodecEntry} codec */
  async #front(codec) {
    const { parts } = await fetchFiles(this.#server, this.manifest, filesOfCodec(this.manifest, codec, true), () => {});
    return parts;
  }

  #connectNow() {
    if (!this.#connection) return;
    const turn = this.#turn;
    const tell = (/** @type {string} */ type) => (/** @type {unknown} */ detail) => {
      // What a lost device says is of no interest.
      if (turn === this.#turn) this.dispatchEvent(new CustomEvent(type, { detail }));
    };
    const rust = this.#running();
    /** @type {import('../../device-wasm/src/types.d.ts').SessionState | null} */
    let latest = null;
    rust.connect(this.#connection.url, {
      ...this.#connection.options,
      onResult: (answer) => {
        if (answer.capture_time_us === this.#pending?.capturedAt) this.#forget();
        tell('result')(answer);
      },
      onError: async (failure) => {
        // If the graphics device was lost, that is heard in a moment, and the frame is taken up again later.
        if (failure.name === 'EncodeFailed' && rust.backend.startsWith('webgpu')) await sleep(LOST_MS);
        if (turn !== this.#turn) return;
        this.#forget();
        tell('error')(failure);
      },
      onState: (state) => {
        const refused = latest?.state === 'connecting' && state.state === 'waiting' && state.code === ABNORMAL;
        latest = state;
        if (!refused) {
          tell('state')(this.#refusal && state.state === 'closed' ? { ...state, reason: this.#refusal } : state);
          return;
        }
        // That the server is gone is not said where only a token is missing.
        Promise.race([this.#askWhy(), sleep(REASON_MS)]).then(() => {
          if (latest === state) tell('state')(state);
        });
      },
      onSent: tell('sent'),
      onDecision: tell('decision'),
    });
  }

  /** A browser does not say why a server refused a socket; asked again without one, the server does. */
  async #askWhy() {
    const asking = this.#connection;
    if (!asking) return;
    /** @type {HeadersInit} */
    const headers = asking.options.token ? { Authorization: `Bearer ${asking.options.token}` } : {};
    const response = await fetch(asking.url.replace(/^ws/, 'http'), { headers }).catch(() => null);
    // What else may be wrong shows itself when it is tried again.
    if (response?.status !== 401) return;
    const { message, hint, code } = await response.json().catch(() => ({}));
    if (asking !== this.#connection) return;
    this.#refusal = String(message ?? 'the server asks for a token');
    const error = Object.assign(named('ServerError', this.#refusal, String(hint ?? '')), { code: String(code ?? 'unauthorized') });
    this.dispatchEvent(new CustomEvent('error', { detail: error }));
    this.disconnect();
  }

  #submitPending() {
    if (!this.#pending) return;
    const { source, capturedAt, options } = this.#pending;
    this.#running().submit(source, capturedAt, { ...options, keep: true });
  }

  /** Nothing is waited for any more. */
  #forget() {
    const source = this.#pending?.source;
    this.#pending = null;
    if (source && 'close' in source) source.close();
  }

  /** @param {string} reason */
  #lost(reason) {
    if (this.#disposed || this.#recovery) return;
    this.dispatchEvent(new CustomEvent('recovering', { detail: { reason } }));
    this.#recovery = this.#recover(reason).then(
      () => {
        this.#recovery = null;
        this.dispatchEvent(new CustomEvent('recovered'));
        this.#takeUp();
      },
      (error) => {
        this.#recovery = null;
        this.#rust = null;
        this.#forget();
        const why = error instanceof Error ? error.message : error;
        this.dispatchEvent(new CustomEvent('error', { detail: named('BackendUnavailable', `the device was lost (${reason}) and could not be started anew: ${why}`, 'reload the page') }));
      },
    );
  }

  /** The newest frame goes its way after all. */
  #takeUp() {
    try {
      this.#submitPending();
    } catch (error) {
      this.#forget();
      this.dispatchEvent(new CustomEvent('error', { detail: error }));
    }
  }

  /** Starts the device anew and gives it all that it had. @param {string} reason */
  async #recover(reason) {
    // So that it is known to go on before anything happens.
    await null;
    const before = this.#rust;
    const again = performance.now() - this.#lostAt < AGAIN_MS;
    this.#lostAt = performance.now();
    this.#turn += 1;
    this.#rust = null;
    try {
      before?.disconnect();
    } catch {
      // What is lost may be in pieces.
    }
    const quiet = () => {};
    const gpuFirst = await chooseBuilds(again ? 'cpu' : this.#wanted);
    const choices = gpuFirst.map((choice) => ({ ...choice, reason: `The graphics device was lost (${reason.trim() || 'no reason was given'}). ${choice.backend === 'cpu' ? 'It runs on the CPU now.' : 'It was started anew.'}`, fallback: choice.fallback || choice.backend === 'cpu' }));
    await this.#start(choices, quiet);
    const [codecs, chosen, whole] = [[...this.#codecs.values()], this.chosen, this.#whole];
    this.#codecs.clear();
    this.#whole = false;
    for (const codec of codecs) await this.#loadCodec(codec, codec.default_rate, quiet);
    if (chosen) this.#running().choose(chosen.codec.name, chosen.rate);
    if (whole) await this.#loadWhole();
    if (this.#link) this.#running().setLink(this.#link);
    this.#connectNow();
    if (this.#goal) this.#running().setAutomatic(this.#goal);
  }
}

/** @param {Pick<LoadOptions, 'onProgress'>} options @returns {OnProgress} */
function progressOf({ onProgress }) {
  return (label, share, detail) => onProgress?.({ label, share, detail });
}

/** @param {string} name @param {string} message @param {string} hint */
function named(name, message, hint) {
  const error = new Error(message);
  error.name = name;
  return Object.assign(error, { hint });
}

/** @param {number} ms */
function sleep(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

function nowUs() {
  return Math.round((performance.timeOrigin + performance.now()) * 1000);
}

export { DownloadError } from './download.js';
export { fetchManifest } from './model.js';
export { shannonKbps } from './link.js';

// Workers that compute rows of the feature beside the device. They share no memory with it, so that a page need not be
// isolated for them.

import { HELPER } from './download.js';

/** @typedef {import('../../device-wasm/src/types.d.ts').Helpers} HelpersOfDevice */
/** @typedef {'codec' | 'whole'} Purpose what a front is for: by that it is as exact as it must be */
/** @typedef {{ type: 'start', build: string, turn: number } | { type: 'load', id: number, manifest: string, split: string, purpose: Purpose, parts: Record<string, Uint8Array> } | { type: 'rows', id: number, split: string, purpose: Purpose, seen: Uint8Array, first: number, end: number }} ToHelper */
/** @typedef {{ id: number, values?: Float32Array, error?: string }} FromHelper */

/** With more, each computes mostly what its neighbours compute as well. */
const MOST = 4;

/** Who has not answered after this time will not: a worker can end without a word. */
const LATE_MS = 5_000;

/** How many threads suit this machine. */
export function threadsHere() {
  return Math.min(MOST, navigator.hardwareConcurrency || 1);
}

/** One worker, and who waits for it. */
class Helper {
  /** @type {Worker} */ #worker;
  /** @type {Map<number, { done: (values: Float32Array | undefined) => void, failed: (error: Error) => void }>} */ #waiting = new Map();
  #last = 0;

  /** @param {string} build the folder in `pkg/` @param {number} turn */
  constructor(build, turn) {
    this.#worker = new Worker(HELPER, { type: 'module', name: 'helper' });
    this.#worker.addEventListener('message', ({ data }) => this.#answered(/** @type {FromHelper} */ (data)));
    const broken = (/** @type {string} */ why) => () => this.end(why);
    this.#worker.addEventListener('error', broken('it could not be started'));
    this.#worker.addEventListener('messageerror', broken('its answer could not be read'));
    this.#worker.postMessage(/** @type {ToHelper} */ ({ type: 'start', build, turn }));
  }

  /** @param {string} manifest @param {string} split @param {Purpose} purpose @param {Record<string, Uint8Array>} parts */
  async load(manifest, split, purpose, parts) {
    await this.#ask((id) => ({ type: 'load', id, manifest, split, purpose, parts }), []);
  }

  /** @param {string} split @param {Purpose} purpose @param {Uint8Array} seen @param {number} first @param {number} end @returns {Promise<Float32Array>} */
  async rows(split, purpose, seen, first, end) {
    const late = setTimeout(() => this.end('it did not answer'), LATE_MS);
    try {
      const values = await this.#ask((id) => ({ type: 'rows', id, split, purpose, seen, first, end }), [seen.buffer]);
      if (!values) throw new Error('a helper gave no values');
      return values;
    } finally {
      clearTimeout(late);
    }
  }

  /** @param {string} why */
  end(why) {
    this.#worker.terminate();
    const waiting = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const { failed } of waiting) failed(new Error(`a helper has ended: ${why}`));
  }

  /** @param {(id: number) => ToHelper} message @param {Transferable[]} transfer @returns {Promise<Float32Array | undefined>} */
  #ask(message, transfer) {
    this.#last += 1;
    const id = this.#last;
    return new Promise((done, failed) => {
      this.#waiting.set(id, { done, failed });
      this.#worker.postMessage(message(id), transfer);
    });
  }

  /** @param {FromHelper} answer */
  #answered({ id, values, error }) {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (error === undefined) waiting?.done(values);
    else waiting?.failed(new Error(error));
  }
}

/** Some helpers; without any once one of them fails, for whoever helps must be quick. @implements {HelpersOfDevice} */
export class Helpers {
  /** @type {Helper[]} */ #helpers;
  /** Splits, with what for, that every one of them has. @type {Set<string>} */ #fronts = new Set();
  #next = 0;

  /** @param {string} build @param {number} turn @param {number} count */
  constructor(build, turn, count) {
    this.#helpers = Array.from({ length: count }, () => new Helper(build, turn));
  }

  /**
   * Gives all of them the front of a split. What fails is told on the console: the device does without.
   * @param {string} manifest @param {string} split @param {Purpose} purpose @param {Record<string, Uint8Array>} parts
   */
  async load(manifest, split, purpose, parts) {
    if (this.#fronts.has(`${split} ${purpose}`)) return;
    try {
      await Promise.all(this.#helpers.map((helper) => helper.load(manifest, split, purpose, parts)));
      this.#fronts.add(`${split} ${purpose}`);
    } catch (error) {
      this.#giveUp(error);
    }
  }

  /** @param {string} split @param {Purpose} purpose */
  count(split, purpose) {
    return this.#fronts.has(`${split} ${purpose}`) ? this.#helpers.length : 0;
  }

  /** @param {string} split @param {Purpose} purpose @param {Uint8Array} seen @param {number} first @param {number} end @returns {Promise<Float32Array>} */
  async ask(split, purpose, seen, first, end) {
    const helper = this.#helpers[this.#next % this.#helpers.length];
    this.#next += 1;
    try {
      return await helper.rows(split, purpose, seen, first, end);
    } catch (error) {
      this.#giveUp(error);
      throw error;
    }
  }

  /** Ends them. */
  dispose() {
    const helpers = this.#helpers;
    this.#helpers = [];
    this.#fronts.clear();
    for (const helper of helpers) helper.end('it is not needed any more');
  }

  /** @param {unknown} error */
  #giveUp(error) {
    if (this.#helpers.length > 0) console.warn('The front is computed without helpers:', error);
    this.dispose();
  }
}

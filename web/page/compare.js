// The comparison: each frame goes all the chosen ways in turn, and what they cost is summed up.

import { qualityFor } from './same-bytes.js';
import { STEPS, WAY_KEYS, wayKey } from './ways.js';

/** @typedef {import('../messages.js').Way} Way */
/** @typedef {import('../messages.js').ResultMessage} ResultMessage */
/** @typedef {import('../messages.js').Steps} Steps */
/** @typedef {import('./frames.js').Shot} Shot */
/** @typedef {import('./frames.js').Step} Step */
/** @typedef {import('./ways.js').WayKey} WayKey */

/** Frames that the means are over: the newest. */
export const WINDOW = 30;
/** What a frame's binary message has before its payload. */
export const HEADER_BYTES = 20;

/**
 * What one way has done so far.
 * @typedef {object} Standing
 * @property {ResultMessage} last
 * @property {{ up: number, down: number, ms: number, steps: Steps }[]} recent the newest last
 * @property {number} frames
 * @property {number} compared frames for which the uncompressed network's answer is known
 * @property {number} agreed those of them with the same best class
 */

/**
 * @typedef {object} Choices
 * @property {WayKey[]} ways
 * @property {number} quality of JPEG and WebP, unless they are to cost what the features cost
 * @property {boolean} sameBytes
 * @property {() => Way} features what is chosen as features now
 * @property {() => boolean} automatic whether a frame first goes the way that automatic offloading decides, which is not compared
 * @property {() => boolean} wantLatent whether their channels are looked at
 * @property {(image: ImageBitmap, quality: number) => Promise<import('../messages.js').PictureSizes>} measure
 */

export class Compare {
  /** @type {Map<WayKey, Standing>} */ standings = new Map();
  /** Formats that cost more than the features even at their lowest quality, in the newest frame. @type {Set<WayKey>} */ tooLarge = new Set();

  /** @param {Choices} choices */
  constructor(choices) {
    this.choices = choices;
  }

  /** The ways in the order in which a frame goes them: pictures that follow the features' bytes come later. @returns {WayKey[]} */
  get order() {
    return WAY_KEYS.filter((key) => this.choices.ways.includes(key) || (key === 'features' && this.choices.sameBytes));
  }

  /** Steps before those that are compared. */
  get #lead() {
    return this.choices.automatic() ? 1 : 0;
  }

  /** Of a frame's results those that are compared. @param {Shot} shot */
  resultsOf(shot) {
    return shot.results.slice(this.#lead);
  }

  /** The next way of a frame; null when it has gone them all. @param {Shot} shot @returns {Promise<Step | null>} */
  async next(shot) {
    if (shot.results.length < this.#lead) return { way: null };
    const key = this.order[shot.results.length - this.#lead];
    if (!key) return null;
    return { way: await this.#way(key, shot), wantLatent: key === 'features' && this.choices.wantLatent() };
  }

  /** @param {WayKey} key @param {Shot} shot @returns {Promise<Way>} */
  async #way(key, shot) {
    switch (key) {
      case 'features':
        return this.choices.features();
      case 'device':
        return { kind: 'device' };
      case 'raw':
        return { kind: 'picture', format: 'raw', quality: 100 };
      default:
        return { kind: 'picture', format: key, quality: await this.#quality(key, shot) };
    }
  }

  /** @param {'jpeg' | 'webp'} format @param {Shot} shot */
  async #quality(format, shot) {
    const features = this.resultsOf(shot).find((result) => result?.way.kind === 'features');
    this.tooLarge.delete(format);
    if (!this.choices.sameBytes || !features) return this.choices.quality;
    const { quality, fits } = await qualityFor(features.upBytes - HEADER_BYTES, async (quality) => {
      const sizes = await this.choices.measure(shot.image, quality);
      return sizes[format] ?? Infinity;
    });
    if (!fits) this.tooLarge.add(format);
    return quality;
  }

  /** @param {Shot} shot with a new result */
  add(shot) {
    const result = this.resultsOf(shot).at(-1);
    if (!result) return;
    const key = wayKey(result.way);
    const standing = this.standings.get(key) ?? { last: result, recent: [], frames: 0, compared: 0, agreed: 0 };
    standing.last = result;
    standing.frames += 1;
    standing.recent.push({ up: result.upBytes, down: result.downBytes, ms: result.totalMs, steps: result.steps });
    if (standing.recent.length > WINDOW) standing.recent.shift();
    this.standings.set(key, standing);
  }

  /**
   * Every way of a frame is done: who agrees with the uncompressed network?
   * @param {Shot} shot
   * @returns {number | null} the uncompressed network's class, where one of the ways is it
   */
  settle(shot) {
    const reference = referenceClass(shot.results);
    if (reference === null) return null;
    for (const result of this.resultsOf(shot)) {
      const standing = result && this.standings.get(wayKey(result.way));
      if (!result || !standing) continue;
      standing.compared += 1;
      if (result.answer.top[0].class === reference) standing.agreed += 1;
    }
    return reference;
  }

  clear() {
    this.standings.clear();
    this.tooLarge.clear();
  }
}

/**
 * The answer without any loss: all on the device, or by raw pixels.
 * @param {(ResultMessage | null)[]} results of one frame
 */
export function referenceClass(results) {
  const whole = results.find((result) => result?.way.kind === 'device')
    ?? results.find((result) => result?.way.kind === 'picture' && result.way.format === 'raw');
  return whole?.answer.top[0]?.class ?? null;
}

/** Means over the newest frames. @param {Standing} standing */
export function means({ recent }) {
  const mean = (/** @type {(entry: Standing['recent'][number]) => number} */ of) => recent.reduce((sum, entry) => sum + of(entry), 0) / recent.length;
  const steps = /** @type {Steps} */ ({});
  for (const [step] of STEPS) steps[step] = mean((entry) => entry.steps[step]);
  return { up: mean(({ up }) => up), down: mean(({ down }) => down), ms: mean(({ ms }) => ms), steps };
}

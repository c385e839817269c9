// The settings that stand in the page's address.

import { linkFromText, linkToText } from './link-presets.js';
import { WAY_KEYS } from './ways.js';

/** @typedef {import('../messages.js').Settings} Settings */
/** @typedef {import('../messages.js').Goal} Goal */
/** @typedef {import('../messages.js').Link} Link */
/** @typedef {import('./ways.js').WayKey} WayKey */

/**
 * What only the page needs.
 * @typedef {object} PageSettings
 * @property {string | null} sample the file of the sample that is shown
 * @property {number} quality of JPEG and WebP
 * @property {Link | null} link
 * @property {WayKey[] | null} compare the ways that are compared; null: the page does not compare
 * @property {boolean} sameBytes
 * @property {Goal | null} goal of automatic offloading
 * @property {number | null} channels null: all of the rate
 */

const BACKENDS = /** @type {const} */ (['webgpu', 'cpu', 'simd', 'scalar']);
export const QUALITY = 75;
/** The ways that are compared unless others are chosen. @type {WayKey[]} */
export const COMPARED = ['features', 'jpeg', 'webp', 'raw'];

/**
 * @param {Location} location
 * @returns {{ settings: Settings, page: PageSettings, complaint: string | null }}
 */
export function readSettings(location) {
  const query = new URLSearchParams(location.search);
  /** @type {string | null} */
  let complaint = null;
  /**
   * @template T
   * @param {string} name @param {(text: string) => T | undefined} parse @param {T} otherwise @param {string} hint
   */
  const read = (name, parse, otherwise, hint) => {
    const text = query.get(name);
    if (text === null) return otherwise;
    const value = parse(text);
    if (value !== undefined) return value;
    complaint = `?${name}=${text} is not ${hint}.`;
    return otherwise;
  };
  const server = read('server', (text) => parseServer(text) ?? undefined, location.origin, 'an address; it looks like https://edge.example.org');
  return {
    settings: {
      backend: read('backend', (text) => BACKENDS.find((name) => name === text), null, `known; it can be ${BACKENDS.join(', ')}`),
      threads: read('threads', (text) => wholeIn(text, 1, 16), null, 'a number of threads; it can be 1 to 16'),
      model: query.get('model'), split: query.get('split'), codec: query.get('codec'), rate: query.get('rate'), server,
    },
    page: {
      sample: query.get('sample'),
      quality: read('quality', (text) => numberIn(text, 5, 95), QUALITY, 'a quality; it can be 5 to 95'),
      link: read('link', linkFromText, null, 'a link; it looks like lte or 1000,40,0,0 (kbit/s, round trip, jitter, loss)'),
      compare: read('compare', parseWays, null, `a list of ways; it can have ${WAY_KEYS.join(', ')}`),
      sameBytes: query.get('bytes') === 'same',
      goal: read('goal', parseGoal, null, 'a goal; it looks like latency:0.8 or accuracy:200'),
      channels: read('channels', (text) => numberIn(text, 1, 65_535), null, 'a number of channels'),
    },
    complaint,
  };
}

/** @param {string} text @param {number} least @param {number} most */
function numberIn(text, least, most) {
  const value = Number(text);
  return text !== '' && value >= least && value <= most ? value : undefined;
}

/** @param {string} text @param {number} least @param {number} most */
function wholeIn(text, least, most) {
  const value = numberIn(text, least, most);
  return Number.isInteger(value) ? value : undefined;
}

/** @param {string} text @returns {WayKey[] | undefined} */
function parseWays(text) {
  const names = text.split(',');
  const ways = WAY_KEYS.filter((key) => names.includes(key));
  return ways.length === names.length ? ways : undefined;
}

/** @param {string} text @returns {Goal | undefined} */
function parseGoal(text) {
  const [kind, value] = text.split(':');
  if (kind === 'latency') {
    const floor = numberIn(value ?? '', 0, 1);
    return floor === undefined ? undefined : { kind, floor };
  }
  const deadlineMs = numberIn(value ?? '', 1, 60_000);
  return kind === 'accuracy' && deadlineMs !== undefined ? { kind, deadlineMs } : undefined;
}

/** @param {string} text @returns {string | null} */
function parseServer(text) {
  try {
    const url = new URL(text.includes('://') ? text : `http://${text}`);
    url.protocol = url.protocol.replace(/^ws/, 'http');
    return /^https?:$/.test(url.protocol) ? url.href.replace(/\/$/, '') : null;
  } catch {
    return null;
  }
}

/**
 * An address that brings these settings back.
 * @param {Location} location
 * @param {{ split: string, codec: string, rate: string, ambiguous: boolean }} chosen `ambiguous`: the split has several codecs
 * @param {PageSettings} page
 */
export function permalink(location, { split, codec, rate, ambiguous }, page) {
  const url = new URL(location.href);
  /** @type {[string, string | null][]} what is as it would be anyway is left out */
  const entries = [
    ['split', split],
    ['codec', ambiguous ? codec : null],
    ['rate', rate],
    ['channels', page.channels === null ? null : String(page.channels)],
    ['sample', page.sample],
    ['quality', page.quality === QUALITY ? null : String(page.quality)],
    ['link', page.link ? linkToText(page.link) : null],
    ['compare', page.compare ? page.compare.join(',') : null],
    ['bytes', page.sameBytes ? 'same' : null],
    ['goal', page.goal ? (page.goal.kind === 'latency' ? `latency:${page.goal.floor}` : `accuracy:${page.goal.deadlineMs}`) : null],
  ];
  for (const [name, value] of entries) {
    if (value === null) url.searchParams.delete(name);
    else url.searchParams.set(name, value);
  }
  url.hash = '';
  // Commas and colons may stand in an address, and are easier to read.
  return url.href.replaceAll('%2C', ',').replaceAll('%3A', ':');
}

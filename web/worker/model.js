// What of a model a device needs for a codec, and fetching it.

import { downloadBytes } from './download.js';

/** @typedef {import('../messages.js').Settings} Settings */
/** @typedef {import('../messages.js').Manifest} Manifest */
/** @typedef {import('../messages.js').CodecEntry} CodecEntry */
/** @typedef {import('../messages.js').FileEntry} FileEntry */
/** @typedef {(label: string, share: number | null, detail: string) => void} OnProgress */

/** The parts of the front, in order: a device that cuts after one needs it and those before it. */
const FRONT = ['stem', 'stage1', 'stage2', 'stage3', 'stage4'];

/** Files that were fetched, by their digest: going back to a split costs nothing. */
const fetched = /** @type {Map<string, Uint8Array>} */ (new Map());

/** @param {Manifest} manifest @param {string} name */
export function codecByName(manifest, name) {
  const codec = manifest.codecs.find((entry) => entry.name === name);
  if (!codec) throw new Error(`The server has no codec “${name}”.`);
  return codec;
}

/**
 * Of the codecs that the address allows, the one whose usual frame is smallest.
 * @param {Manifest} manifest @param {Settings} settings
 */
export function pickCodec(manifest, { codec, split }) {
  const usual = (/** @type {CodecEntry} */ entry) => entry.rates[entry.default_rate].mean_bytes;
  const [found] = manifest.codecs
    .filter((entry) => (codec === null || entry.name === codec) && (split === null || entry.split === split))
    .sort((a, b) => usual(a) - usual(b));
  if (!found) {
    const offered = manifest.codecs.map((entry) => `?split=${entry.split}`).join(', ');
    throw new Error(`The address asks for a split or codec that the server does not have. It has: ${offered}.`);
  }
  return found;
}

/** @param {CodecEntry} codec @param {string | null} wanted a rate's name, or its index */
export function pickRate(codec, wanted) {
  if (wanted === null) return codec.default_rate;
  const byName = codec.rates.findIndex((rate) => rate.name === wanted);
  if (byName >= 0) return byName;
  const index = Number(wanted);
  if (Number.isInteger(index) && index >= 0 && index < codec.rates.length) return index;
  const offered = codec.rates.map((rate) => rate.name).join(', ');
  throw new Error(`The address asks for the rate “${wanted}”, which the codec “${codec.name}” does not have. It has: ${offered}.`);
}

/**
 * Fetches the weights of the front and the codec.
 * @param {Manifest} manifest @param {CodecEntry} codec @param {OnProgress} onProgress
 */
export async function loadModel(manifest, codec, onProgress) {
  const cut = FRONT.indexOf(codec.split);
  const wanted = manifest.parts.filter((part) => FRONT.indexOf(part.name) >= 0 && FRONT.indexOf(part.name) <= cut);
  const files = /** @type {FileEntry[]} */ ([...wanted, codec]);
  const total = files.reduce((sum, file) => sum + file.bytes, 0);
  const loaded = new Map(files.map((file) => [file, fetched.has(file.sha256) ? file.bytes : 0]));
  const report = () => {
    const sum = [...loaded.values()].reduce((a, b) => a + b, 0);
    onProgress('Downloading the front of the network', sum / total, `${megabytes(sum)} of ${megabytes(total)}`);
  };
  report();
  const contents = await Promise.all(files.map(async (file) => {
    const known = fetched.get(file.sha256);
    if (known) return known;
    const url = `models/${manifest.name}/${file.file}?v=${file.sha256.slice(0, 16)}`;
    const bytes = await downloadBytes(url, (count) => {
      loaded.set(file, count);
      report();
    });
    fetched.set(file.sha256, bytes);
    return bytes;
  }));
  /** @type {Record<string, Uint8Array>} */
  const parts = {};
  wanted.forEach((part, index) => { parts[part.name] = contents[index]; });
  return { parts, codec: contents[files.length - 1] };
}

/** @param {number} bytes */
export function megabytes(bytes) {
  return `${(bytes / 1e6).toFixed(2)} MB`;
}

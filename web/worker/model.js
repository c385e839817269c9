// What of a model a device needs, and fetching it.

import { downloadBytes } from './download.js';

/** @typedef {import('../messages.js').Settings} Settings */
/** @typedef {import('../messages.js').Manifest} Manifest */
/** @typedef {import('../messages.js').CodecEntry} CodecEntry */
/** @typedef {import('../messages.js').FileEntry} FileEntry */
/** @typedef {(label: string, share: number | null, detail: string) => void} OnProgress */

/** The parts of the front, in order: a device that cuts after one needs it and those before it. */
const FRONT = ['stem', 'stage1', 'stage2', 'stage3', 'stage4'];
// Behind stage 2 a device downloads and computes most of the network: for those who ask for it.
const DEEPEST = FRONT.indexOf('stage2');

/** Files that were fetched, by their digest: going back to a split costs nothing. */
const fetched = /** @type {Map<string, Uint8Array>} */ (new Map());

/**
 * The model called `name`, or the first that has a codec.
 * @param {URL} server
 * @param {string | null} name
 * @returns {Promise<Manifest>}
 */
export async function fetchManifest(server, name = null) {
  const answer = JSON.parse(new TextDecoder().decode(await downloadBytes(new URL('v1/models', server))));
  /** @type {Manifest[]} */
  const models = answer.models;
  const usable = models.find((model) => model.codecs.length > 0 && (name === null || model.name === name));
  if (!usable) {
    throw new Error(`The server has no model ${name === null ? '' : `“${name}” `}with a codec. Start it with --models pointing at a folder that has one.`);
  }
  return usable;
}

/** @param {Manifest} manifest @param {string} name */
export function codecByName(manifest, name) {
  const codec = manifest.codecs.find((entry) => entry.name === name);
  if (!codec) throw new Error(`The server has no codec “${name}”.`);
  return codec;
}

/**
 * Of the codecs that the address allows, the one whose usual frame is smallest; where it asks for none, of those that cut
 * early.
 * @param {Manifest} manifest @param {Pick<Settings, 'codec' | 'split'>} settings
 */
export function pickCodec(manifest, { codec, split }) {
  const usual = (/** @type {CodecEntry} */ entry) => entry.rates[entry.default_rate].mean_bytes;
  const early = (/** @type {CodecEntry} */ entry) => FRONT.indexOf(entry.split) <= DEEPEST;
  const free = codec === null && split === null && manifest.codecs.some(early);
  const [found] = manifest.codecs
    .filter((entry) => (codec === null || entry.name === codec) && (split === null || entry.split === split))
    .filter((entry) => !free || early(entry))
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

/** The parts of the front of a split. @param {string} split */
export const frontOf = (split) => FRONT.slice(0, FRONT.indexOf(split) + 1);

/**
 * The weights of the front that a codec needs, and the codec.
 * @param {Manifest} manifest @param {CodecEntry} codec
 * @param {boolean} withFront whether the weights are needed as well
 */
export function filesOfCodec(manifest, codec, withFront) {
  const front = frontOf(codec.split);
  const parts = withFront ? manifest.parts.filter((part) => front.includes(part.name)) : [];
  return { parts, other: codec.device ?? codec };
}

/** The weights of the whole network, and the names of its classes. @param {Manifest} manifest */
export function filesOfWhole(manifest) {
  return { parts: manifest.parts, other: manifest.labels };
}

/**
 * Fetches weights, and one more file.
 * @param {URL} server @param {Manifest} manifest
 * @param {{ parts: import('../messages.js').PartEntry[], other: FileEntry }} wanted
 * @param {(loaded: number, total: number) => void} onBytes told what has arrived, unpacked
 */
export async function fetchFiles(server, manifest, { parts, other }, onBytes) {
  const files = /** @type {FileEntry[]} */ ([...parts, other]);
  const total = files.reduce((sum, file) => sum + file.bytes, 0);
  const loaded = new Map(files.map((file) => [file, fetched.has(file.sha256) ? file.bytes : 0]));
  const report = () => onBytes([...loaded.values()].reduce((a, b) => a + b, 0), total);
  report();
  const contents = await Promise.all(files.map(async (file) => {
    const known = fetched.get(file.sha256);
    if (known) return known;
    const url = new URL(`models/${manifest.name}/${file.file}?v=${file.sha256.slice(0, 16)}`, server);
    const bytes = await downloadBytes(url, (count) => {
      loaded.set(file, count);
      report();
    });
    fetched.set(file.sha256, bytes);
    return bytes;
  }));
  /** @type {Record<string, Uint8Array>} */
  const named = {};
  parts.forEach((part, index) => { named[part.name] = contents[index]; });
  return { parts: named, other: contents[files.length - 1] };
}

/** @param {number} bytes */
export function megabytes(bytes) {
  return `${(bytes / 1e6).toFixed(2)} MB`;
}

// Working through a folder: one picture after the other, each by every chosen way.

import { picturesOf } from './bulk.js';
import { showBulk, showBulkProgress } from './bulk-view.js';
import { ClassNames } from './classes.js';
import { referenceClass } from './compare.js';
import { notice } from './notices.js';
import { wayKey } from './ways.js';

/** @typedef {import('./bulk.js').BulkPicture} BulkPicture */
/** @typedef {import('./bulk.js').BulkRow} BulkRow */
/** @typedef {import('./frames.js').Capture} Capture */
/** @typedef {import('./frames.js').Shot} Shot */
/** @typedef {import('./ways.js').WayKey} WayKey */
/** @typedef {import('../messages.js').Manifest} Manifest */
/** @typedef {import('../messages.js').ResultMessage} ResultMessage */

/** The table is made anew at most this often. */
const SHOW_MS = 500;

export class BulkRun {
  /** @type {BulkPicture[]} */ #pictures = [];
  /** @type {BulkRow[]} */ #rows = [];
  /** @type {WayKey[]} */ #ways = [];
  /** Pictures that went all their ways, or could not be read; the next one is the one that is worked on. */
  #done = 0;
  #skipped = 0;
  #shownAt = 0;
  running = false;
  #handlers;

  /** @param {{ manifest: () => Manifest | null, ways: () => WayKey[], onTurn: () => void }} handlers `onTurn`: it began or ended */
  constructor(handlers) {
    this.#handlers = handlers;
    showBulk({ onFiles: (files) => this.start(files), onCancel: () => this.#end('cancelled'), rows: () => this.#rows, ways: () => this.#ways });
  }

  /** @param {{ file: File, path: string }[]} files */
  async start(files) {
    const manifest = this.#handlers.manifest();
    if (this.running || !manifest) {
      notice('bulk', 'The folder has to wait.', this.running ? 'Another one is being worked through: cancel it first.' : 'The device is not ready yet.');
      return;
    }
    try {
      this.#pictures = picturesOf(files, await classNames(manifest));
    } catch (error) {
      notice('bulk', 'The names of the classes could not be fetched.', `${error instanceof Error ? error.message : error}. See whether the server still runs.`);
      return;
    }
    if (this.#pictures.length === 0) {
      notice('bulk', 'There is no picture in that folder.', 'JPEG, PNG, WebP, AVIF and GIF files are read, in folders within it, too.');
      return;
    }
    this.#ways = this.#handlers.ways();
    this.#rows = [];
    this.#done = this.#skipped = 0;
    this.running = true;
    this.#show('running', true);
    this.#handlers.onTurn();
  }

  /** The next picture that can be read. @returns {Promise<Capture | null>} */
  async next() {
    while (this.running && this.#done < this.#pictures.length) {
      const { file, path } = this.#pictures[this.#done];
      // It may have been begun before, and abandoned for another codec or rate.
      this.#rows = this.#rows.filter((row) => row.path !== path);
      const began = performance.now();
      try {
        const image = await createImageBitmap(file);
        return { image, live: false, name: path, capturedAt: Math.round((performance.timeOrigin + began) * 1000), captureMs: performance.now() - began };
      } catch {
        this.#skipped += 1;
        this.#done += 1;
      }
    }
    if (this.running) this.#end('done');
    return null;
  }

  /** Whether the frame is one of the folder's. @param {Shot} shot */
  owns(shot) {
    return this.running && this.#pictures[this.#done]?.path === shot.name;
  }

  /** @param {Shot} shot @param {ResultMessage} result */
  add(shot, result) {
    const [best] = result.answer.top;
    this.#rows.push({
      path: shot.name, class: this.#pictures[this.#done].class, way: wayKey(result.way),
      up: result.upBytes, ms: result.totalMs, answer: best.class, label: best.label, reference: null,
    });
  }

  /** A picture went all its ways. @param {Shot} shot */
  done(shot) {
    const reference = referenceClass(shot.results);
    for (let at = this.#rows.length - 1; at >= 0 && this.#rows[at].path === shot.name; at -= 1) this.#rows[at].reference = reference;
    this.#done += 1;
    this.#show('running');
  }

  /** @param {'done' | 'cancelled'} state */
  #end(state) {
    this.running = false;
    this.#show(state, true);
    this.#handlers.onTurn();
  }

  /** @param {'running' | 'done' | 'cancelled'} state */
  #show(state, now = false) {
    if (!now && performance.now() - this.#shownAt < SHOW_MS) return;
    this.#shownAt = performance.now();
    showBulkProgress({ done: this.#done, total: this.#pictures.length, skipped: this.#skipped, state }, this.#rows, this.#ways);
  }
}

/** @param {Manifest} manifest @returns {Promise<ClassNames>} */
async function classNames(manifest) {
  const get = async (/** @type {string} */ address) => {
    const response = await fetch(address);
    if (!response.ok) throw new Error(`${address}: ${response.status}`);
    return response;
  };
  const [labels, ids] = await Promise.all([
    get(`models/${manifest.name}/${manifest.labels.file}?v=${manifest.labels.sha256.slice(0, 16)}`),
    get('page/wordnet-ids.txt'),
  ]);
  return new ClassNames(await labels.json(), (await ids.text()).trim().split('\n'));
}

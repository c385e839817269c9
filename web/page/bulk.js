// A folder of pictures: which there are, their classes, and what each way made of them.

import { median } from './format.js';
import { csv } from './session.js';

/** @typedef {import('./ways.js').WayKey} WayKey */
/** @typedef {import('./frames.js').Shot} Shot */
/** @typedef {import('./classes.js').ClassNames} ClassNames */

/** @typedef {{ file: File, path: string, class: number | null }} BulkPicture */
/**
 * What one way made of one picture.
 * @typedef {{ path: string, class: number | null, way: WayKey, up: number, ms: number, answer: number, label: string, reference: number | null }} BulkRow
 */
/**
 * @typedef {object} BulkSum
 * @property {WayKey} way
 * @property {number} pictures
 * @property {number} up mean
 * @property {number} ms median
 * @property {number | null} right share of the pictures whose class is known; null where none is
 * @property {number} labelled pictures whose class is known
 * @property {number | null} agreed share of those for which the uncompressed network was asked; null where none was
 */

/**
 * The pictures among dropped or chosen files, in the order of their names.
 * @param {{ file: File, path: string }[]} files @param {ClassNames} classes
 * @returns {BulkPicture[]}
 */
export function picturesOf(files, classes) {
  return files
    .filter(({ file }) => file.type.startsWith('image/'))
    .sort((a, b) => (a.path < b.path ? -1 : 1))
    .map(({ file, path }) => ({ file, path, class: classes.ofPath(path) }));
}

/** @param {BulkRow[]} rows @param {WayKey[]} ways @returns {BulkSum[]} */
export function sumUp(rows, ways) {
  return ways.map((way) => {
    const mine = rows.filter((row) => row.way === way);
    const labelled = mine.filter((row) => row.class !== null);
    const compared = mine.filter((row) => row.reference !== null);
    return {
      way,
      pictures: mine.length,
      up: mine.reduce((sum, { up }) => sum + up, 0) / mine.length,
      ms: median(mine.map((row) => row.ms)),
      right: share(labelled, (row) => row.answer === row.class),
      labelled: labelled.length,
      agreed: share(compared, (row) => row.answer === row.reference),
    };
  });
}

/** @template T @param {T[]} all @param {(one: T) => boolean} test */
function share(all, test) {
  return all.length > 0 ? all.filter(test).length / all.length : null;
}

/** @param {BulkRow[]} rows */
export function bulkCsv(rows) {
  return csv([
    ['picture', 'class', 'way', 'bytes_up', 'ms_to_label', 'answer', 'label', 'uncompressed_answer'],
    ...rows.map((row) => [row.path, row.class, row.way, row.up, row.ms.toFixed(2), row.answer, row.label, row.reference]),
  ]);
}

/**
 * All files below what was dropped.
 * @param {DataTransferItemList} items
 * @returns {Promise<{ file: File, path: string }[]>}
 */
export async function filesBelow(items) {
  // They are gone after the event: taken before the first await.
  const entries = [...items].map((item) => item.webkitGetAsEntry()).filter((entry) => entry !== null);
  /** @type {{ file: File, path: string }[]} */
  const found = [];
  /** @param {FileSystemEntry} entry */
  const visit = async (entry) => {
    const path = entry.fullPath.replace(/^\//, '');
    if (entry.isFile) {
      const file = await new Promise((resolve, reject) => /** @type {FileSystemFileEntry} */ (entry).file(resolve, reject));
      found.push({ file, path });
      return;
    }
    const reader = /** @type {FileSystemDirectoryEntry} */ (entry).createReader();
    // A reader gives at most a hundred at a time.
    for (;;) {
      const batch = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
      if (batch.length === 0) return;
      for (const child of batch) await visit(child);
    }
  };
  for (const entry of entries) await visit(entry);
  return found;
}

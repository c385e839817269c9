// The folder's table, progress and export.

import { bulkCsv, sumUp } from './bulk.js';
import { byId, make, setText } from './dom.js';
import { offerFile } from './download.js';
import { count, ms, size } from './format.js';
import { WAY_NAMES } from './ways.js';

/** @typedef {import('./bulk.js').BulkRow} BulkRow */
/** @typedef {import('./ways.js').WayKey} WayKey */

const drawer = byId('bulk', HTMLDetailsElement);
const progress = byId('bulk-progress', HTMLElement);
const bar = byId('bulk-bar', HTMLProgressElement);
const label = byId('bulk-label', HTMLElement);
const actions = byId('bulk-actions', HTMLElement);
const cancel = byId('bulk-cancel', HTMLButtonElement);

/** @param {{ onFiles: (files: { file: File, path: string }[]) => void, onCancel: () => void, rows: () => BulkRow[], ways: () => WayKey[] }} handlers */
export function showBulk({ onFiles, onCancel, rows, ways }) {
  const folder = byId('folder', HTMLInputElement);
  folder.addEventListener('change', () => {
    onFiles([...(folder.files ?? [])].map((file) => ({ file, path: file.webkitRelativePath || file.name })));
    folder.value = '';
  });
  cancel.addEventListener('click', onCancel);
  byId('bulk-csv', HTMLButtonElement).addEventListener('click', () => offerFile('pictures.csv', 'text/csv', bulkCsv(rows())));
  byId('bulk-json', HTMLButtonElement).addEventListener('click', () =>
    offerFile('pictures.json', 'application/json', JSON.stringify({ ways: sumUp(rows(), ways()), pictures: rows() }, null, 2)));
}

/**
 * @param {{ done: number, total: number, skipped: number, state: 'running' | 'done' | 'cancelled' }} at
 * @param {BulkRow[]} rows @param {WayKey[]} ways
 */
export function showBulkProgress({ done, total, skipped, state }, rows, ways) {
  drawer.open = true;
  progress.hidden = false;
  actions.hidden = false;
  cancel.hidden = state !== 'running';
  bar.value = total > 0 ? done / total : 0;
  const unread = skipped > 0 ? `, ${count(skipped)} could not be read` : '';
  setText(label, state === 'running' ? `Picture ${count(Math.min(total, done + 1))} of ${count(total)}${unread}` : `${state === 'done' ? 'Done' : 'Cancelled'}: ${count(done)} of ${count(total)} pictures${unread}.`);
  const table = byId('bulk-table', HTMLElement);
  table.hidden = rows.length === 0;
  byId('bulk-rows', HTMLElement).replaceChildren(...sumUp(rows, ways).filter(({ pictures }) => pictures > 0).map((sum) =>
    make('tr', { 'data-bulk': sum.way, ...(sum.way === 'features' ? { class: 'ours' } : {}) },
      make('th', { scope: 'row' }, WAY_NAMES[sum.way]),
      ...[count(sum.pictures), size(Math.round(sum.up)), `${ms(sum.ms)} ms`, sum.right === null ? '–' : `${share(sum.right)} of ${count(sum.labelled)}`, sum.agreed === null ? '–' : share(sum.agreed)]
        .map((text) => make('td', { class: 'number' }, text)))));
}

/** @param {number} value 0 to 1 */
function share(value) {
  return `${(value * 100).toFixed(1)} %`;
}

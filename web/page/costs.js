// What the same frame costs as features and as a picture.

import { byId, make, setText } from './dom.js';
import { count } from './format.js';

/** @typedef {import('../messages.js').PictureSizes} PictureSizes */
/** @typedef {'raw' | 'png' | 'jpeg' | 'webp' | 'features'} Way */

/** For a still picture there is no frame rate: the table then says what this one would need. */
export const NOMINAL_FPS = 10;

/** @type {[Way, string][]} */
const WAYS = [['raw', 'Raw RGB'], ['png', 'PNG'], ['jpeg', 'JPEG'], ['webp', 'WebP'], ['features', 'Features']];

const rows = new Map(WAYS.map(([way, name]) => {
  const cells = {
    bar: make('i'),
    bytes: make('td', { class: 'number bytes' }, '–'),
    rate: make('td', { class: 'number rate' }, '–'),
    times: make('td', { class: 'number times' }, '–'),
    name: make('th', { scope: 'row' }, name),
  };
  const meter = make('td', { class: 'wide' }, make('div', { class: 'meter', 'aria-hidden': 'true' }, cells.bar));
  cells.bar.style.setProperty('--share', '0');
  const row = make('tr', way === 'features' ? { class: 'ours', 'data-way': way } : { 'data-way': way }, cells.name, meter, cells.bytes, cells.rate, cells.times);
  byId('cost-rows', HTMLElement).append(row);
  return [way, cells];
}));

const note = byId('cost-note', HTMLElement);

/**
 * @param {PictureSizes} sizes
 * @param {number} features bytes of the same frame's binary message, header included
 * @param {number | null} fps measured; null for a still picture
 */
export function showCosts(sizes, features, fps) {
  const rate = fps ?? NOMINAL_FPS;
  const pace = fps === null ? `the kbit/s are for ${NOMINAL_FPS} frames/s` : `the kbit/s are at the present ${fps.toFixed(1)} frames/s`;
  setText(note, `Every row is the same frame, cut to the 224 × 224 pixels that the network sees; ${pace}.`);
  const bytes = { ...sizes, features };
  for (const [way, cells] of rows) {
    const value = bytes[way];
    if (value === null) {
      setText(cells.bytes, 'no encoder here');
      setText(cells.rate, '–');
      setText(cells.times, '–');
      cells.bar.style.setProperty('--share', '0');
      continue;
    }
    setText(cells.bytes, count(value));
    setText(cells.rate, count((value * 8 * rate) / 1000));
    setText(cells.times, way === 'features' ? '1' : `${(value / features).toFixed(value / features < 10 ? 1 : 0)}×`);
    cells.bar.style.setProperty('--share', (value / sizes.raw).toFixed(5));
  }
}

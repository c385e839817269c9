// What all measured frames of the session cost, by the way they would have been sent.

import { byId, make, setText } from './dom.js';
import { count, size } from './format.js';

/** @typedef {import('./session.js').Totals} Totals */

/** @type {[keyof Omit<Totals, 'frames'>, string][]} */
const WAYS = [['features', 'Features'], ['webp', 'WebP'], ['jpeg', 'JPEG'], ['png', 'PNG'], ['raw', 'Raw RGB']];

const rows = WAYS.map(([key, name]) => {
  const bytes = make('b', {}, '–');
  const bar = make('i');
  bar.style.setProperty('--share', '0');
  const row = make('li', { 'data-sum': key }, make('span', {}, name), make('span', { class: 'meter', 'aria-hidden': 'true' }, bar), bytes);
  if (key === 'features') row.classList.add('ours');
  byId('sums', HTMLElement).append(row);
  return { key, bytes, bar };
});

/** @param {Totals} totals @param {number | null} quality of JPEG and WebP */
export function showSums(totals, quality) {
  for (const { key, bytes, bar } of rows) {
    const value = totals[key];
    setText(bytes, value > 0 ? size(value) : '–');
    bar.style.setProperty('--share', totals.raw > 0 ? (value / totals.raw).toFixed(5) : '0');
  }
  const frames = totals.frames === 1 ? '1 frame' : `${count(totals.frames)} frames`;
  setText(byId('sums-note', HTMLElement), `The ${frames} of the cost table above, JPEG and WebP at quality ${quality}.`);
  setText(byId('session-sum', HTMLElement), `${size(totals.features)} as features, ${size(totals.jpeg)} as JPEG: ${frames} counted both ways.`);
}

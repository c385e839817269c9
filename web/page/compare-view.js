// The comparison as a table: one row a way, its time drawn to the scale of the slowest.

import { means, referenceClass, WINDOW } from './compare.js';
import { byId, make, setText } from './dom.js';
import { className, count, ms, percent, size } from './format.js';
import { STEPS, WAY_KEYS, WAY_NAMES, wayKey, wayName } from './ways.js';

/** @typedef {import('./compare.js').Compare} Compare */
/** @typedef {import('./compare.js').Standing} Standing */
/** @typedef {import('./frames.js').Shot} Shot */
/** @typedef {import('./ways.js').WayKey} WayKey */
/** @typedef {import('../messages.js').Manifest} Manifest */

const rows = new Map(WAY_KEYS.map((key) => {
  const cells = {
    name: make('b', {}, WAY_NAMES[key]),
    setting: make('small'),
    label: make('b', {}, '–'),
    share: make('small'),
    agrees: make('td', { class: 'number agrees' }, '–'),
    up: make('td', { class: 'number up' }, '–'),
    down: make('td', { class: 'number down' }, '–'),
    ms: make('td', { class: 'number ms' }, '–'),
    spans: STEPS.map(([step, place, name], index) => {
      const span = make('i', { class: `${place}${index % 2 ? ' alternate' : ''}`, title: name, 'data-part': step });
      span.style.setProperty('--share', '0');
      return span;
    }),
  };
  const row = make('tr', { 'data-key': key },
    make('th', { scope: 'row' }, cells.name, cells.setting),
    make('td', { class: 'label' }, cells.label, cells.share),
    cells.agrees, cells.up, cells.down, cells.ms,
    make('td', { class: 'wide' }, make('div', { class: 'timebar', 'aria-hidden': 'true' }, ...cells.spans)));
  if (key === 'features') row.classList.add('ours');
  byId('way-rows', HTMLElement).append(row);
  return [key, { row, ...cells }];
}));

const steps = byId('way-steps', HTMLTableElement);
const stepRows = new Map(WAY_KEYS.map((key) => {
  const cells = STEPS.map(() => make('td', { class: 'number' }, '–'));
  const row = make('tr', {}, make('th', { scope: 'row' }, WAY_NAMES[key]), ...cells);
  steps.tBodies[0].append(row);
  return [key, { row, cells }];
}));
steps.tHead?.rows[0].append(make('th', { scope: 'col' }, 'Way'), ...STEPS.map(([, , name]) => make('th', { scope: 'col', class: 'number' }, name)));

const note = byId('compare-note', HTMLElement);

/**
 * @param {Compare} compare @param {Manifest | null} manifest
 */
export function showComparison(compare, manifest) {
  const chosen = compare.order;
  const standings = [...compare.standings].filter(([key]) => chosen.includes(key)).map(([key, standing]) => ({ key, standing, mean: means(standing) }));
  const slowest = Math.max(1, ...standings.map(({ mean }) => mean.ms));
  for (const [key, { row }] of rows) row.hidden = !chosen.includes(key);
  for (const [key, { row }] of stepRows) row.hidden = !chosen.includes(key);
  for (const key of chosen.filter((key) => !compare.standings.has(key))) showNothing(key);
  for (const { key, standing, mean } of standings) {
    const cells = rows.get(key);
    if (!cells) continue;
    const { way, answer } = standing.last;
    const name = wayName(way, manifest);
    setText(cells.setting, [name.split(', ').slice(1).join(', '), compare.tooLarge.has(key) ? 'its least, and still more than the features' : ''].filter(Boolean).join(': '));
    setText(cells.label, className(answer.top[0].label));
    setText(cells.share, percent(answer.top[0].probability));
    setText(cells.up, size(Math.round(mean.up)));
    setText(cells.down, size(Math.round(mean.down)));
    setText(cells.ms, `${ms(mean.ms)} ms`);
    cells.row.dataset.class = String(answer.top[0].class);
    STEPS.forEach(([step], index) => {
      cells.spans[index].style.setProperty('--share', (mean.steps[step] / slowest).toFixed(4));
      const value = stepRows.get(key)?.cells[index];
      if (value) setText(value, ms(mean.steps[step]));
    });
  }
  setText(byId('verdict', HTMLElement), verdict(new Map(standings.map(({ key, mean }) => [key, mean])), compare.choices.sameBytes));
  const frames = Math.max(0, ...standings.map(({ standing }) => standing.frames));
  const judged = chosen.includes('raw') || chosen.includes('device');
  setText(note, frames === 0 ? '' : `Bytes and times are means over the newest frames (${count(Math.min(WINDOW, frames))} of ${count(frames)}). ${judged
    ? 'Who agrees gives the same best answer as the uncompressed network, on the same frame.'
    : 'Tick Raw RGB or All on this device to see who agrees with the uncompressed network.'}`);
}

/**
 * What features gain, in a sentence; empty while there is nothing to hold them against.
 * @param {Map<WayKey, { up: number, ms: number }>} mean @param {boolean} sameBytes
 */
function verdict(mean, sameBytes) {
  const features = mean.get('features');
  if (!features) return '';
  /** @type {string[]} */
  const parts = [];
  const picture = mean.get('jpeg') ?? mean.get('webp') ?? mean.get('raw');
  if (picture && !sameBytes) {
    const name = mean.has('jpeg') ? 'JPEG' : mean.has('webp') ? 'WebP' : 'raw pixels';
    const times = picture.up / features.up;
    parts.push(`${times >= 10 ? times.toFixed(0) : times.toFixed(1)} times fewer bytes than ${name}, and the label ${sooner(picture.ms - features.ms)}`);
  }
  const device = mean.get('device');
  if (device) parts.push(`against running it all here, the label ${sooner(device.ms - features.ms)}`);
  return parts.length > 0 ? `Features: ${parts.join('; ')}.` : '';
}

/** @param {number} gain milliseconds */
function sooner(gain) {
  return Math.abs(gain) < 1 ? 'as soon' : `${ms(Math.abs(gain))} ms ${gain > 0 ? 'sooner' : 'later'}`;
}

/** Whether the frame is still going its ways. @param {boolean} busy */
export function showCompareBusy(busy) {
  byId('ways', HTMLElement).setAttribute('aria-busy', String(busy));
}

/** A frame went all its ways. @param {Compare} compare @param {Shot} shot */
export function showAgreement(compare, shot) {
  const reference = referenceClass(shot.results);
  for (const result of compare.resultsOf(shot)) {
    if (!result) continue;
    const key = wayKey(result.way);
    const [cells, standing] = [rows.get(key), compare.standings.get(key)];
    if (!cells || !standing) continue;
    if (reference === null || standing.compared === 0) {
      setText(cells.agrees, '–');
      delete cells.row.dataset.agrees;
      continue;
    }
    const agrees = result.answer.top[0].class === reference;
    cells.row.dataset.agrees = String(agrees);
    const share = standing.compared > 1 ? `, ${((100 * standing.agreed) / standing.compared).toFixed(0)} %` : '';
    setText(cells.agrees, `${agrees ? 'yes' : 'no'}${share}`);
  }
}

/** @param {WayKey} key */
function showNothing(key) {
  const cells = rows.get(key);
  if (!cells) return;
  for (const cell of [cells.label, cells.agrees, cells.up, cells.down, cells.ms]) setText(cell, '–');
  for (const cell of [cells.setting, cells.share]) setText(cell, '');
  for (const span of cells.spans) span.style.setProperty('--share', '0');
  for (const cell of stepRows.get(key)?.cells ?? []) setText(cell, '–');
  delete cells.row.dataset.agrees;
  delete cells.row.dataset.class;
}

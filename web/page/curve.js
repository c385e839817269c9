// Agreement against bytes, for the codecs that the server offers, with the visitor's place on it.

import { byId } from './dom.js';
import { methodName, size, splitName } from './format.js';

/** @typedef {import('../messages.js').Manifest} Manifest */

const HEIGHT = 300;
const PLOT = { left: 44, right: 12, top: 10, bottom: 34 };
const SVG = 'http://www.w3.org/2000/svg';
const TICKS = [300, 500, 1000, 2000, 5000, 10_000];

const box = byId('curve', HTMLElement);
/** @type {Manifest | null} */
let shown = null;
/** Drawn in the page's own pixels, so that its letters are as large as others. */
let width = 0;
/** @type {SVGElement | null} */
let you = null;
/** @type {{ x: (bytes: number) => number, y: (agreement: number) => number } | null} */
let scale = null;
/** Where the visitor is. @type {{ bytes: number, agreement: number } | null} */
let place = null;

new ResizeObserver(() => {
  if (shown && box.clientWidth !== width) draw(shown);
}).observe(box);

/**
 * @param {string} tag @param {Record<string, string | number>} attributes @param {string} [text]
 * @returns {SVGElement}
 */
function shape(tag, attributes, text) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  if (text !== undefined) element.textContent = text;
  return element;
}

/** @param {Manifest} manifest */
export function showCurve(manifest) {
  shown = manifest;
  draw(manifest);
}

/** @param {Manifest} manifest */
function draw(manifest) {
  width = box.clientWidth;
  const rates = manifest.codecs.flatMap((codec) => codec.rates);
  if (rates.length === 0 || width === 0) return;
  const least = Math.log(Math.min(...rates.map(({ mean_bytes }) => mean_bytes)) * 0.85);
  const most = Math.log(Math.max(...rates.map(({ mean_bytes }) => mean_bytes)) * 1.15);
  // Where every rate always agrees there is still an axis.
  const low = Math.min(0.9, Math.floor(Math.min(...rates.map(({ agreement }) => agreement)) * 10) / 10);
  const x = (/** @type {number} */ bytes) => PLOT.left + ((Math.log(bytes) - least) / (most - least)) * (width - PLOT.left - PLOT.right);
  const y = (/** @type {number} */ agreement) => PLOT.top + ((1 - agreement) / (1 - low)) * (HEIGHT - PLOT.top - PLOT.bottom);
  scale = { x, y };

  const described = manifest.codecs.map((codec) => `${nameOf(codec)}: ${codec.rates.map((rate) => `${size(Math.round(rate.mean_bytes))} ${(rate.agreement * 100).toFixed(0)} %`).join(', ')}`).join('. ');
  const svg = shape('svg', { viewBox: `0 0 ${width} ${HEIGHT}`, class: 'curve', role: 'img', 'aria-label': `Agreement against bytes a frame. ${described}` });
  const bottom = HEIGHT - PLOT.bottom;
  for (let level = low; level <= 1.0001; level += low < 0.5 ? 0.2 : 0.1) {
    svg.append(shape('path', { d: `M${PLOT.left} ${y(level)}H${width - PLOT.right}`, class: 'grid' }));
    svg.append(shape('text', { x: PLOT.left - 6, y: y(level) + 4, 'text-anchor': 'end' }, `${(level * 100).toFixed(0)} %`));
  }
  for (const bytes of TICKS.filter((tick) => x(tick) > PLOT.left && x(tick) < width - PLOT.right)) {
    svg.append(shape('path', { d: `M${x(bytes)} ${bottom}v5`, class: 'grid' }));
    svg.append(shape('text', { x: x(bytes), y: bottom + 18, 'text-anchor': 'middle' }, size(bytes)));
  }
  svg.append(shape('text', { x: width - PLOT.right, y: HEIGHT - 2, 'text-anchor': 'end' }, 'a frame'));
  manifest.codecs.forEach((codec, index) => {
    const points = codec.rates.map(({ mean_bytes, agreement }) => `${x(mean_bytes).toFixed(1)} ${y(agreement).toFixed(1)}`);
    const kind = kindOf(codec);
    svg.append(shape('path', { d: `M${points.join('L')}`, class: `series ${kind} dash${index % 4}` }));
    for (const { mean_bytes, agreement } of codec.rates) svg.append(shape('circle', { cx: x(mean_bytes), cy: y(agreement), r: 2.5, class: `dot ${kind}` }));
  });
  for (const { codec, left, top } of placeNames(manifest, x, y)) {
    svg.append(shape('text', { x: left, y: top, 'text-anchor': 'end', class: `name ${kindOf(codec)}` }, nameOf(codec)));
  }
  you = shape('circle', { r: 7, class: 'you', visibility: 'hidden' });
  svg.append(you);
  box.replaceChildren(svg);
  if (place) showPlace(place.bytes, place.agreement);
}

/**
 * Each name at its line's end, above or below, where no other name is.
 * @param {Manifest} manifest @param {(bytes: number) => number} x @param {(agreement: number) => number} y
 */
function placeNames({ codecs }, x, y) {
  /** @type {{ codec: Manifest['codecs'][number], left: number, top: number }[]} */
  const placed = [];
  for (const codec of codecs) {
    const last = codec.rates[codec.rates.length - 1];
    const left = Math.min(x(last.mean_bytes) + 4, width - PLOT.right);
    const tops = [-10, 20, -26, 36, 52].map((shift) => y(last.agreement) + shift);
    const free = tops.find((top) => top > 12 && placed.every((other) => Math.abs(other.top - top) > 14 || Math.abs(other.left - left) > 90));
    placed.push({ codec, left, top: free ?? tops[0] });
  }
  return placed;
}

/** What sets this project's codecs off from those that they are compared with. @param {Manifest['codecs'][number]} codec */
const kindOf = ({ method }) => (method === 'aecnn' ? 'learned' : 'plain');

/** @param {Manifest['codecs'][number]} codec */
function nameOf(codec) {
  return `${splitName(codec.split)} ${methodName(codec.method)}`;
}

/** @param {number} bytes of the newest frame @param {number} agreement of its rate */
export function showPlace(bytes, agreement) {
  place = { bytes, agreement };
  if (!you || !scale) return;
  const x = Math.min(width - PLOT.right, Math.max(PLOT.left, scale.x(bytes)));
  you.setAttribute('cx', x.toFixed(1));
  you.setAttribute('cy', scale.y(agreement).toFixed(1));
  you.setAttribute('visibility', 'visible');
  you.dataset.bytes = String(bytes);
}

// Agreement against bytes, for the codecs that the server offers, with the visitor's place on it.

import { byId } from './dom.js';
import { methodName, size, splitName } from './format.js';

/** @typedef {import('../messages.js').Manifest} Manifest */

const HEIGHT = 300;
const PLOT = { left: 44, right: 12, top: 10, bottom: 34 };
const SVG = 'http://www.w3.org/2000/svg';
/** How far below a line's first point its name stands. */
const NAME_BELOW = 18;
/** Nearer ones would run into each other. */
const TICK_WIDTH = 48;
const TICKS = [300, 500, 1000, 2000, 5000, 10_000];

const box = byId('curve', HTMLElement);
const legend = byId('curve-legend', HTMLElement);
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
  const ours = setOff(manifest);
  legend.hidden = ours.length === manifest.codecs.length;
  // Where every rate always agrees there is still an axis. What agrees less than any of ours leaves the plot.
  const low = Math.min(0.9, Math.floor(Math.min(...ours.flatMap((codec) => codec.rates.map(({ agreement }) => agreement))) * 10) / 10);
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
  let free = PLOT.left;
  for (const bytes of TICKS.filter((tick) => x(tick) > PLOT.left && x(tick) < width - PLOT.right)) {
    if (x(bytes) < free) continue;
    free = x(bytes) + TICK_WIDTH;
    svg.append(shape('path', { d: `M${x(bytes)} ${bottom}v5`, class: 'grid' }));
    svg.append(shape('text', { x: x(bytes), y: bottom + 18, 'text-anchor': 'middle' }, size(bytes)));
  }
  svg.append(shape('text', { x: width - PLOT.right, y: HEIGHT - 2, 'text-anchor': 'end' }, 'a frame'));
  const clip = shape('clipPath', { id: 'curve-plot' });
  clip.append(shape('rect', { x: 0, y: 0, width, height: bottom }));
  const plot = shape('g', { 'clip-path': 'url(#curve-plot)' });
  // Ours lie over the others.
  for (const codec of [...manifest.codecs.filter((one) => !ours.includes(one)), ...ours]) {
    const points = codec.rates.map(({ mean_bytes, agreement }) => `${x(mean_bytes).toFixed(1)} ${y(agreement).toFixed(1)}`);
    const kind = ours.includes(codec) ? 'ours' : 'other';
    plot.append(shape('path', { d: `M${points.join('L')}`, class: `series ${kind} ${codec.split}` }));
    for (const { mean_bytes, agreement } of codec.rates) plot.append(shape('circle', { cx: x(mean_bytes), cy: y(agreement), r: 2.5, class: `dot ${kind}` }));
  }
  svg.append(clip, plot);
  // Lines are furthest apart where they begin.
  for (const { split, rates: [first] } of ours) {
    const [left, top] = [x(first.mean_bytes), y(first.agreement)];
    const below = top + NAME_BELOW < bottom;
    svg.append(shape('text', { x: below ? left : left - 8, y: below ? top + NAME_BELOW : top, 'text-anchor': below ? 'start' : 'end', class: 'name' }, splitName(split)));
  }
  you = shape('circle', { r: 7, class: 'you', visibility: 'hidden' });
  svg.append(you);
  box.replaceChildren(svg);
  if (place) showPlace(place.bytes, place.agreement);
}

/** This project's codecs, which are set off from what they are compared with; all where there are no others. @param {Manifest} manifest */
function setOff({ codecs }) {
  const ours = codecs.filter(({ method }) => method === 'aecnn');
  return ours.length > 0 ? ours : codecs;
}

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

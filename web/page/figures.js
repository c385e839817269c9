// Four lines over the last minute: bytes a frame, bandwidth, time to label, frames a second.

import { drawLine } from './chart.js';
import { byId, make, setText } from './dom.js';
import { bandwidth, duration, ms, size } from './format.js';

/** @typedef {import('./session.js').FrameRecord} FrameRecord */
/** @typedef {import('./chart.js').Point} Point */

const SPAN_MS = 60_000;
/** Rates are over so long. */
const RATE_MS = 2000;
/** Charts are drawn at most this often. */
const REDRAW_MS = 250;

/** @typedef {{ name: string, tone: string, label: (value: number) => string, points: Point[], value: HTMLElement, canvas: HTMLCanvasElement }} Figure */

/** @type {Record<'bytes' | 'kbps' | 'ms' | 'fps', Figure>} */
const figures = {
  bytes: figure('bytes', 'Bytes a frame', '--network', (value) => size(Math.round(value))),
  kbps: figure('kbps', 'Sent', '--network', (value) => bandwidth(value)),
  ms: figure('ms', 'Time to label', '--device', (value) => (value < 1000 ? `${ms(value)} ms` : duration(value))),
  fps: figure('fps', 'Frames a second', '--server', (value) => value.toFixed(1)),
};
const box = byId('charts', HTMLElement);
let visible = false;
let scheduled = false;

/** @param {string} key @param {string} name @param {string} tone @param {(value: number) => string} label @returns {Figure} */
function figure(key, name, tone, label) {
  const value = make('output', { 'data-figure': key }, '–');
  const canvas = make('canvas', { role: 'img', 'aria-label': `${name} over the last minute` });
  byId('charts', HTMLElement).append(make('figure', { class: 'chart' }, make('figcaption', {}, make('span', {}, name), value), canvas));
  return { name, tone, label, points: [], value, canvas };
}

new IntersectionObserver((entries) => {
  visible = entries.some(({ isIntersecting }) => isIntersecting);
  redraw();
}).observe(box);
new ResizeObserver(redraw).observe(box);
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', redraw);

/** @param {FrameRecord} record @param {boolean} live */
export function addToFigures({ at, up, ms: time }, live) {
  const { bytes, kbps, ms: toLabel, fps } = figures;
  add(bytes, at, up);
  add(toLabel, at, time);
  const recent = bytes.points.filter((point) => point.at > at - RATE_MS);
  // A still picture now and then has no rate.
  if (live && recent.length > 1) {
    const seconds = (at - recent[0].at) / 1000;
    if (seconds > 0) {
      add(fps, at, (recent.length - 1) / seconds);
      add(kbps, at, (recent.slice(1).reduce((sum, point) => sum + point.value, 0) * 8) / 1000 / seconds);
    }
  }
  redraw();
}

/** @param {Figure} figure @param {number} at @param {number} value */
function add({ points }, at, value) {
  points.push({ at, value });
  while (points.length > 0 && points[0].at < at - SPAN_MS) points.shift();
}

function redraw() {
  if (!visible || scheduled) return;
  scheduled = true;
  setTimeout(() => requestAnimationFrame(() => {
    scheduled = false;
    const now = Date.now();
    for (const { canvas, points, tone, label, value } of Object.values(figures)) {
      const last = points.at(-1);
      setText(value, last && now - last.at < SPAN_MS ? label(last.value) : '–');
      drawLine(canvas, points, { now, spanMs: SPAN_MS, tone, label });
    }
  }), REDRAW_MS);
}

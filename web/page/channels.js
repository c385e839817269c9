// The channels that are sent, as small pictures, and how many of them.

import { fit } from './chart.js';
import { byId, setText } from './dom.js';

/** @typedef {import('../messages.js').Latent} Latent */
/** @typedef {import('../messages.js').RateEntry} RateEntry */

const GAP = 3;
/** A channel's picture is at least so wide. */
const SIDE = 30;
/** Live frames are drawn at most this often. */
const REDRAW_MS = 200;

const drawer = byId('channels', HTMLDetailsElement);
const slider = byId('channel-count', HTMLInputElement);
const tiles = byId('tiles', HTMLCanvasElement);

/** @type {Latent | null} */
let latent = null;
let all = 0;
/** The drawing to come. @type {ReturnType<typeof setTimeout> | null} */
let redraw = null;
let drawnAt = -REDRAW_MS;

/** @param {() => void} onChange another number of channels, or the pictures are wanted now */
export function onChannels(onChange) {
  slider.addEventListener('input', () => {
    describe();
    onChange();
  });
  drawer.addEventListener('toggle', () => {
    if (drawer.open) onChange();
  });
  new ResizeObserver(() => draw()).observe(tiles);
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => draw());
}

/** Whether anybody looks at them. */
export function channelsWanted() {
  return drawer.open;
}

/** How many channels are to be sent; null: all of the rate. */
export function channelCount() {
  return slider.disabled || slider.valueAsNumber >= all ? null : slider.valueAsNumber;
}

/** Another codec or rate is chosen. @param {RateEntry} rate @param {number | null} [wanted] channels, from the page's address */
export function showRateChannels(rate, wanted = null) {
  const whole = channelCount() === null;
  all = rate.channels;
  slider.max = String(all);
  slider.value = String(Math.min(all, wanted ?? (whole ? all : slider.valueAsNumber)));
  slider.disabled = false;
  describe();
}

function describe() {
  const text = `${slider.value} of ${all}`;
  setText(byId('channel-value', HTMLOutputElement), text);
  slider.setAttribute('aria-valuetext', `${text} channels`);
}

/** @param {Latent} next */
export function showLatent(next) {
  latent = next;
  if (!drawer.open || redraw !== null) return;
  // The last one of many is drawn as well, only later.
  redraw = setTimeout(() => {
    redraw = null;
    drawnAt = performance.now();
    draw();
  }, Math.max(0, drawnAt + REDRAW_MS - performance.now()));
}

function draw() {
  if (!drawer.open || !latent) return;
  const [sent, high, wide] = latent.shape;
  const room = tiles.clientWidth;
  if (room === 0) return;
  const columns = Math.max(1, Math.floor((room + GAP) / (SIDE + GAP)));
  const side = (room + GAP) / columns - GAP;
  const lines = Math.ceil(all / columns);
  const tall = `${Math.ceil(lines * (side + GAP) - GAP)}px`;
  if (tiles.style.height !== tall) tiles.style.height = tall;
  fit(tiles);
  const context = tiles.getContext('2d');
  if (!context) return;
  const style = getComputedStyle(tiles);
  const [paper, ink] = [rgb(style.getPropertyValue('--track')), rgb(style.getPropertyValue('--device'))];
  context.clearRect(0, 0, room, tiles.clientHeight);
  context.imageSmoothingEnabled = false;
  const small = new OffscreenCanvas(wide, high);
  const pen = small.getContext('2d');
  if (!pen) return;
  const pixels = pen.createImageData(wide, high);
  const positions = wide * high;
  for (let channel = 0; channel < all; channel += 1) {
    const left = (channel % columns) * (side + GAP);
    const top = Math.floor(channel / columns) * (side + GAP);
    if (channel >= sent) {
      context.strokeStyle = `rgb(${paper.join(' ')})`;
      context.strokeRect(left + 0.5, top + 0.5, side - 1, side - 1);
      continue;
    }
    paint(pixels.data, latent.symbols.subarray(channel * positions, (channel + 1) * positions), paper, ink);
    pen.putImageData(pixels, 0, 0);
    context.drawImage(small, left, top, side, side);
  }
  const silent = countSilent(latent);
  setText(byId('channel-note', HTMLElement), `${sent} channels of ${wide} × ${high}, in the order of their importance${silent > 0 ? `; ${silent} are all zero in this frame and cost next to nothing` : ''}.`);
}

/**
 * Zero is paper, the largest of the channel is ink.
 * @param {Uint8ClampedArray} pixels @param {Int16Array} symbols @param {number[]} paper @param {number[]} ink
 */
function paint(pixels, symbols, paper, ink) {
  let most = 1;
  for (const symbol of symbols) most = Math.max(most, Math.abs(symbol));
  symbols.forEach((symbol, index) => {
    const share = Math.abs(symbol) / most;
    for (let part = 0; part < 3; part += 1) pixels[index * 4 + part] = paper[part] + (ink[part] - paper[part]) * share;
    pixels[index * 4 + 3] = 255;
  });
}

/** @param {Latent} latent */
function countSilent({ shape: [channels, high, wide], symbols }) {
  let silent = 0;
  for (let channel = 0; channel < channels; channel += 1) {
    if (symbols.subarray(channel * high * wide, (channel + 1) * high * wide).every((symbol) => symbol === 0)) silent += 1;
  }
  return silent;
}

/** The three parts of a colour such as `#0b6e63`. @param {string} colour */
function rgb(colour) {
  const digits = colour.trim().slice(1);
  return [0, 2, 4].map((at) => Number.parseInt(digits.slice(at, at + 2), 16));
}

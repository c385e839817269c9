// Milliseconds by step.

import { byId, make, setText } from './dom.js';
import { ms } from './format.js';

/** @typedef {import('../messages.js').ResultMessage} ResultMessage */
/** @typedef {'device' | 'network' | 'server'} Place */

/** @type {[Place, string, [string, string][]][]} */
const PLACES = [
  ['device', 'This device', [
    ['capture', 'capture'], ['preprocess', 'preprocess'], ['front', 'front'], ['encode', 'encode'], ['quantise', 'quantise'], ['code', 'code'], ['wait', 'wait'],
  ]],
  ['network', 'Network', [['network', 'there and back']]],
  ['server', 'Edge server', [['queue', 'queue'], ['decode', 'decode'], ['restore', 'restore'], ['tail', 'tail']]],
];

const spans = byId('spans', HTMLElement);
/** @type {Map<string, { value: HTMLElement, span: HTMLElement }>} */
const steps = new Map();
/** @type {Map<Place, HTMLElement>} */
const sums = new Map();

for (const [place, name, list] of PLACES) {
  const sum = make('span', {}, '–');
  sums.set(place, sum);
  const items = list.map(([step, label], index) => {
    const value = make('b', { 'data-step': step }, '–');
    const span = make('i', { class: `${place}${index % 2 ? ' alternate' : ''}`, title: label });
    span.style.setProperty('--share', '0');
    spans.append(span);
    steps.set(step, { value, span });
    return make('li', {}, make('span', {}, label), value);
  });
  byId('steps', HTMLElement).append(make('div', { class: place }, make('h3', {}, name, sum), make('ul', {}, ...items)));
}

/**
 * The steps of a frame, in milliseconds. What the sum of them leaves of the measured time is
 * `wait`: hand-overs between page, worker and socket.
 * @param {ResultMessage} result
 * @returns {Record<string, number>}
 */
export function stepsOf({ answer, captureMs, totalMs }) {
  const { preprocess, front, encode, quantise, code } = answer.frame.timings;
  const { queue_us, decode_us, restore_us, tail_us, total_us } = answer.timings;
  const known = {
    capture: captureMs, preprocess, front, encode, quantise, code,
    network: Math.max(0, answer.roundTripMs - total_us / 1000),
    queue: queue_us / 1000, decode: decode_us / 1000, restore: restore_us / 1000, tail: tail_us / 1000,
  };
  const sum = Object.values(known).reduce((a, b) => a + b, 0);
  return { ...known, wait: Math.max(0, totalMs - sum) };
}

/**
 * @param {Record<string, number>} values
 * @param {boolean} together whether front and encoder cannot be told apart: a GPU runs both before
 *   it is waited for
 * @returns {Record<Place, number>}
 */
export function showSteps(values, together) {
  const total = Object.values(values).reduce((a, b) => a + b, 0);
  for (const [step, { value, span }] of steps) {
    setText(value, step === 'front' && together ? 'in encode' : ms(values[step]));
    span.style.setProperty('--share', (values[step] / total).toFixed(4));
  }
  const places = { device: 0, network: 0, server: 0 };
  for (const [place, , list] of PLACES) {
    places[place] = list.reduce((sum, [step]) => sum + values[step], 0);
    const element = sums.get(place);
    if (element) setText(element, `${ms(places[place])} ms`);
  }
  return places;
}

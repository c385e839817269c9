// Milliseconds by step.

import { byId, make, setText } from './dom.js';
import { ms } from './format.js';
import { byPlace, STEPS } from './ways.js';

/** @typedef {import('../messages.js').ResultMessage} ResultMessage */
/** @typedef {import('./ways.js').Place} Place */

/** @type {[Place, string][]} */
const PLACES = [['device', 'This device'], ['network', 'Network'], ['server', 'Edge server']];

const spans = byId('spans', HTMLElement);
/** @type {Map<string, { value: HTMLElement, span: HTMLElement }>} */
const steps = new Map();
/** @type {Map<Place, HTMLElement>} */
const sums = new Map();

for (const [step, place, label] of STEPS) {
  const span = make('i', { class: `${place}${steps.size % 2 ? ' alternate' : ''}`, title: label });
  span.style.setProperty('--share', '0');
  spans.append(span);
  steps.set(step, { value: make('b', { 'data-step': step }, '–'), span });
}
for (const [place, name] of PLACES) {
  const sum = make('span', {}, '–');
  sums.set(place, sum);
  const items = STEPS.filter((step) => step[1] === place).map(([step, , label]) => make('li', {}, make('span', {}, label), steps.get(step)?.value ?? ''));
  byId('steps', HTMLElement).append(make('div', { class: place }, make('h3', {}, name, sum), make('ul', {}, ...items)));
}

/**
 * @param {ResultMessage} result
 * @param {boolean} together whether front and encoder cannot be told apart: a GPU runs both before
 *   it is waited for
 */
export function showSteps({ way, steps: values }, together) {
  const places = byPlace(values);
  const total = places.device + places.network + places.server;
  for (const [step, , label] of STEPS) {
    const shown = steps.get(step);
    if (!shown) continue;
    const hidden = step === 'front' && together && way.kind === 'features';
    setText(shown.value, hidden ? 'in encode' : ms(values[step]));
    shown.span.title = `${label} ${ms(values[step])} ms`;
    shown.span.style.setProperty('--share', (values[step] / total).toFixed(4));
  }
  for (const [place, sum] of sums) setText(sum, `${ms(places[place])} ms`);
}

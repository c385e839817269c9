// Automatic offloading: the goal, what was decided, and on what grounds.

import { byId, make, setText } from './dom.js';
import { bandwidth, ms, percent, size } from './format.js';
import { wayName } from './ways.js';

/** @typedef {import('../messages.js').Goal} Goal */
/** @typedef {import('../messages.js').Decision} Decision */
/** @typedef {import('../messages.js').Manifest} Manifest */

/** Decisions that the log keeps. */
const LOGGED = 50;

const box = byId('automatic', HTMLInputElement);
const floor = byId('floor', HTMLInputElement);
const deadline = byId('deadline', HTMLInputElement);
const because = byId('because', HTMLElement);
const short = byId('decision', HTMLElement);
const estimates = byId('estimates', HTMLElement);
const log = byId('decisions', HTMLElement);
const kinds = /** @type {HTMLInputElement[]} */ ([...document.querySelectorAll('input[name="goal"]')]);

/** The ways that were decided for, newest first, for the export. @type {Decision[]} */
export const decisions = [];

/** @param {Goal | null} initial @param {(goal: Goal | null) => void} onGoal */
export function showAutomatic(initial, onGoal) {
  if (initial) {
    box.checked = true;
    for (const kind of kinds) kind.checked = kind.value === initial.kind;
    if (initial.kind === 'latency') floor.value = String(initial.floor * 100);
    else deadline.value = String(initial.deadlineMs);
  }
  const change = () => {
    describe();
    if (!box.checked) showManual();
    onGoal(goal());
  };
  for (const input of [box, ...kinds]) input.addEventListener('change', change);
  for (const input of [floor, deadline]) {
    input.addEventListener('input', describe);
    input.addEventListener('change', () => box.checked && change());
  }
  describe();
}

export function enableAutomatic() {
  box.disabled = false;
}

/** @returns {Goal | null} null: the visitor chooses */
export function goal() {
  if (!box.checked) return null;
  const kind = kinds.find(({ checked }) => checked)?.value;
  return kind === 'accuracy' ? { kind, deadlineMs: deadline.valueAsNumber } : { kind: 'latency', floor: floor.valueAsNumber / 100 };
}

function describe() {
  setText(byId('floor-value', HTMLOutputElement), `${floor.value} %`);
  floor.setAttribute('aria-valuetext', `${floor.value} % of pictures`);
  setText(byId('deadline-value', HTMLOutputElement), `${deadline.value} ms`);
  deadline.setAttribute('aria-valuetext', `${deadline.value} milliseconds`);
}

function showManual() {
  short.hidden = true;
  estimates.hidden = true;
  setText(because, 'Measures the link, this device and the server, and picks split, rate or another way.');
}

/** @param {Decision} decision @param {Manifest | null} manifest */
export function showDecision(decision, manifest) {
  if (!box.checked) return;
  const name = wayName(decision.way, manifest);
  const changed = !decisions[0] || name !== wayName(decisions[0].way, manifest);
  short.hidden = false;
  setText(short, `Automatic: ${name}`);
  // A live region: only what changed is said.
  if (changed) setText(because, `${name}. ${decision.because}`);
  estimates.hidden = false;
  byId('estimate-rows', HTMLElement).replaceChildren(...decision.estimates.map((estimate) => {
    const own = wayName(estimate.way, manifest);
    return make('tr', own === name ? { class: 'ours' } : {},
      make('th', { scope: 'row' }, own),
      make('td', { class: 'number' }, `${ms(estimate.ms)} ms`),
      make('td', { class: 'number' }, percent(estimate.agreement)),
      make('td', { class: 'number' }, size(Math.round(estimate.bytes))));
  }));
  if (!changed) return;
  decisions.unshift(decision);
  log.prepend(make('li', {},
    make('time', { datetime: new Date(decision.at).toISOString() }, new Date(decision.at).toLocaleTimeString()),
    ` ${name}. ${decision.because} (link ${bandwidth(Math.round(decision.link.kbps))}, ${ms(decision.link.rttMs)} ms)`));
  if (decisions.length > LOGGED) decisions.length = LOGGED;
  while (log.children.length > LOGGED) log.lastElementChild?.remove();
}

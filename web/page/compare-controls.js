// What is compared: the ways to tick, and getting the rest of the network for one of them.

import { byId, make, setText } from './dom.js';
import { duration, size } from './format.js';
import { WAY_KEYS, WAY_NAMES } from './ways.js';

/** @typedef {import('./ways.js').WayKey} WayKey */
/** @typedef {import('../messages.js').Manifest} Manifest */
/** @typedef {import('../messages.js').WholeMessage} WholeMessage */

const button = byId('compare-button', HTMLButtonElement);
const sameBytes = byId('same-bytes', HTMLInputElement);
const wholeButton = byId('whole-button', HTMLButtonElement);
const wholeBar = byId('whole-bar', HTMLProgressElement);
const wholeNote = byId('whole-note', HTMLElement);

/** @type {Map<WayKey, HTMLInputElement>} */
const boxes = new Map(WAY_KEYS.map((key) => {
  const box = make('input', { type: 'checkbox', name: 'way', value: key });
  box.disabled = key === 'device';
  byId('compare-ways', HTMLElement).append(make('label', { class: 'check' }, box, ` ${WAY_NAMES[key]}`));
  return [key, box];
}));

/**
 * @param {{ ways: WayKey[], sameBytes: boolean }} initial
 * @param {{ onToggle: () => void, onChange: () => void, onWhole: () => void }} handlers
 */
export function showCompareControls(initial, { onToggle, onChange, onWhole }) {
  for (const [key, box] of boxes) {
    box.checked = initial.ways.includes(key) && key !== 'device';
    box.addEventListener('change', onChange);
  }
  sameBytes.checked = initial.sameBytes;
  sameBytes.addEventListener('change', onChange);
  button.addEventListener('click', onToggle);
  wholeButton.addEventListener('click', () => {
    wholeButton.disabled = true;
    onWhole();
  });
}

/** @returns {{ ways: WayKey[], sameBytes: boolean }} */
export function compareChoices() {
  return { ways: [...boxes].filter(([, box]) => box.checked).map(([key]) => key), sameBytes: sameBytes.checked };
}

/** @param {boolean} comparing */
export function showComparing(comparing) {
  button.setAttribute('aria-pressed', String(comparing));
  setText(button, comparing ? 'Stop comparing' : 'Start comparing');
}

/** The device runs: comparing is possible. @param {Manifest} manifest */
export function enableCompare(manifest) {
  button.disabled = false;
  if (wholeButton.dataset.asked) return;
  const total = manifest.parts.reduce((sum, part) => sum + part.bytes, 0);
  wholeButton.disabled = false;
  setText(wholeButton, `Get the rest of the network (up to ${size(total)})`);
}

/** @param {WholeMessage} message */
export function showWhole({ state, bytes, total, ms }) {
  wholeButton.dataset.asked = 'true';
  wholeButton.disabled = true;
  const ready = state === 'ready';
  wholeBar.hidden = ready;
  wholeButton.hidden = ready;
  wholeBar.value = total > 0 ? bytes / total : 0;
  setText(wholeNote, ready
    ? `The whole network is here (${size(total)}); its first pass took ${ms === null ? '–' : duration(ms)}.`
    : bytes < total ? `${size(bytes)} of ${size(total)}` : 'Preparing the network: the first pass is the slowest.');
  const box = boxes.get('device');
  if (!ready || !box) return;
  box.disabled = false;
  box.checked = true;
  box.dispatchEvent(new Event('change'));
}

/** The download or the start of the whole network failed: it can be tried again. */
export function wholeFailed() {
  if (wholeButton.hidden) return;
  delete wholeButton.dataset.asked;
  wholeButton.disabled = false;
  wholeBar.hidden = true;
  setText(wholeNote, 'It did not arrive. Try again.');
}

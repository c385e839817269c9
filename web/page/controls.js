// The pickers: where to cut, how much to send.

import { byId, make, setText } from './dom.js';
import { methodName, size, splitName } from './format.js';

/** @typedef {import('../messages.js').Manifest} Manifest */
/** @typedef {import('../messages.js').CodecEntry} CodecEntry */

const fieldset = byId('codecs', HTMLFieldSetElement);
const options = byId('codec-options', HTMLElement);
const note = byId('codec-note', HTMLElement);
const rate = byId('rate', HTMLInputElement);
const rateValue = byId('rate-value', HTMLOutputElement);

const FRONT = ['stem', 'stage1', 'stage2', 'stage3', 'stage4'];

/** @type {Manifest | null} */
let manifest = null;
/** @type {CodecEntry | null} */
let codec = null;
/** @type {(codec: CodecEntry, rate: number) => void} */
let onChoose = () => {};

/**
 * @param {Manifest} model @param {(codec: CodecEntry, rate: number) => void} choose
 */
export function showControls(model, choose) {
  manifest = model;
  onChoose = choose;
  const several = new Set(model.codecs.map(({ split }) => split)).size < model.codecs.length;
  options.replaceChildren(...model.codecs.map((entry) => {
    const input = make('input', { type: 'radio', name: 'codec', value: entry.name });
    input.addEventListener('change', () => onChoose(entry, nearestRate(entry)));
    const title = several ? `${splitName(entry.split)} · ${methodName(entry.method)}` : splitName(entry.split);
    return make('label', { 'data-split': entry.split }, input, title, make('small', {}, size(downloadBytes(model, entry))));
  }));
  rate.addEventListener('input', () => describeRate());
  rate.addEventListener('change', () => codec && onChoose(codec, rate.valueAsNumber));
}

/** Shows what the device runs now. @param {string} name @param {number} rateIndex */
export function showChosen(name, rateIndex) {
  codec = manifest?.codecs.find((entry) => entry.name === name) ?? null;
  if (!codec || !manifest) return;
  for (const input of options.querySelectorAll('input')) input.checked = input.value === name;
  fieldset.disabled = false;
  rate.disabled = codec.rates.length < 2;
  rate.max = String(codec.rates.length - 1);
  rate.value = String(rateIndex);
  setText(note, `The device runs everything up to there; the sizes are its weights and codec.`);
  describeRate();
}

function describeRate() {
  const entry = codec?.rates[rate.valueAsNumber];
  if (!entry) return;
  const text = `${size(Math.round(entry.mean_bytes))} a frame on average, same answer as uncompressed on ${(entry.agreement * 100).toFixed(0)} %`;
  setText(rateValue, text);
  rate.setAttribute('aria-valuetext', text);
}

/** When the cut moves, the place on the rate slider stays. @param {CodecEntry} next */
function nearestRate(next) {
  if (!codec || codec.rates.length < 2) return next.default_rate;
  const place = rate.valueAsNumber / (codec.rates.length - 1);
  return Math.round(place * (next.rates.length - 1));
}

/** @param {Manifest} model @param {CodecEntry} entry */
function downloadBytes(model, entry) {
  const cut = FRONT.indexOf(entry.split);
  return model.parts
    .filter(({ name }) => FRONT.indexOf(name) >= 0 && FRONT.indexOf(name) <= cut)
    .reduce((sum, part) => sum + part.bytes, (entry.device ?? entry).bytes);
}

// The pickers: where to cut, how much to send.

import { byId, make, setText } from './dom.js';
import { methodName, size, splitName } from './format.js';
import { frontOf, pickCodec } from '../worker/model.js';

/** @typedef {import('../messages.js').Manifest} Manifest */
/** @typedef {import('../messages.js').CodecEntry} CodecEntry */

const splits = byId('splits', HTMLFieldSetElement);
const splitOptions = byId('split-options', HTMLElement);
const codecs = byId('codecs', HTMLFieldSetElement);
const codecOptions = byId('codec-options', HTMLElement);
const note = byId('codec-note', HTMLElement);
const rate = byId('rate', HTMLInputElement);
const rateValue = byId('rate-value', HTMLOutputElement);

/** What a method is, in a line. @type {Record<string, string>} */
const NOTES = {
  aecnn: 'Trained for accuracy at a rate, with channel attention.',
  klt: 'A linear transform, weighted by what the network is sensitive to; not trained.',
  paper: 'The network’s own channels that attention ranks highest, as the paper has it; little trained.',
};

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
  const offered = new Set(model.codecs.map(({ split }) => split));
  splitOptions.replaceChildren(...[...offered].map((split) => {
    const input = make('input', { type: 'radio', name: 'split', value: split });
    input.addEventListener('change', () => {
      const entry = likest(model, split);
      showCodecs(entry);
      pick(entry);
    });
    return make('label', {}, input, splitName(split), make('small', {}, size(frontBytes(model, split))));
  }));
  rate.addEventListener('input', () => describeRate());
  rate.addEventListener('change', () => codec && onChoose(codec, rate.valueAsNumber));
}

/** Shows what the device runs now. @param {string} name @param {number} rateIndex */
export function showChosen(name, rateIndex) {
  codec = manifest?.codecs.find((entry) => entry.name === name) ?? null;
  if (!codec) return;
  for (const input of splitOptions.querySelectorAll('input')) input.checked = input.value === codec.split;
  showCodecs(codec);
  splits.disabled = false;
  codecs.disabled = false;
  rate.disabled = codec.rates.length < 2;
  rate.max = String(codec.rates.length - 1);
  rate.value = String(rateIndex);
  describeRate();
}

/** The codecs of the split of `chosen`. @param {CodecEntry} chosen */
function showCodecs(chosen) {
  const here = codecsOf(chosen.split);
  // What has the focus must not go away while it stays the same choice.
  const shown = [...codecOptions.querySelectorAll('input')].map(({ value }) => value);
  if (shown.join() !== here.map(({ name }) => name).join()) {
    codecOptions.replaceChildren(...here.map((entry) => {
      const input = make('input', { type: 'radio', name: 'codec', value: entry.name });
      input.addEventListener('change', () => pick(entry));
      return make('label', {}, input, methodName(entry.method), make('small', {}, size((entry.device ?? entry).bytes)));
    }));
  }
  for (const input of codecOptions.querySelectorAll('input')) input.checked = input.value === chosen.name;
  setText(note, NOTES[chosen.method] ?? '');
}

/** @param {CodecEntry} entry */
function pick(entry) {
  onChoose(entry, nearestRate(entry));
}

/** @param {string} split */
function codecsOf(split) {
  return manifest?.codecs.filter((entry) => entry.split === split) ?? [];
}

/** Of a split's codecs the one that was made as the chosen one was, or else the usual one. @param {Manifest} model @param {string} split */
function likest(model, split) {
  return codecsOf(split).find(({ method }) => method === codec?.method) ?? pickCodec(model, { codec: null, split });
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

/** What the device needs of the network. @param {Manifest} model @param {string} split */
function frontBytes({ parts }, split) {
  const front = frontOf(split);
  return parts.reduce((sum, { name, bytes }) => (front.includes(name) ? sum + bytes : sum), 0);
}

// The dials of the emulated link.

import { byId, make, setText } from './dom.js';
import { bandwidth } from './format.js';
import { KBPS, PRESETS, presetOf, radioKbps } from './link-presets.js';

/** @typedef {import('../messages.js').Link} Link */

const presets = byId('presets', HTMLElement);
const dials = byId('dials', HTMLElement);
const radio = byId('radio', HTMLElement);
const note = byId('link-note', HTMLElement);
const badge = byId('emulation-badge', HTMLElement);
const [kbps, rtt, jitter, loss, snr, width] = ['kbps', 'rtt', 'jitter', 'loss', 'snr', 'width'].map((id) => byId(id, HTMLInputElement));
/** What the radio preset has besides its bandwidth. */
const RADIO = { rttMs: 40, jitterMs: 5, loss: 0 };

const inputs = new Map([...Object.entries(PRESETS).map(([key, { name }]) => [key, name]), ['radio', 'By signal']].map(([key, name]) => {
  const input = make('input', { type: 'radio', name: 'preset', value: key });
  presets.append(make('label', {}, input, name));
  return [key, input];
}));

/** @type {Link | null} */
let link = null;
/** @type {(link: Link | null) => void} */
let onChange = () => {};

/** @param {Link | null} initial @param {(link: Link | null) => void} change */
export function showLinkDials(initial, change) {
  onChange = change;
  for (const [key, input] of inputs) {
    input.addEventListener('change', () => {
      if (key === 'radio') tune();
      else set(PRESETS[key].link);
    });
  }
  for (const dial of [kbps, rtt, jitter, loss]) {
    dial.addEventListener('input', () => {
      set({ kbps: toKbps(kbps.valueAsNumber), rttMs: rtt.valueAsNumber, jitterMs: jitter.valueAsNumber, loss: loss.valueAsNumber / 100 });
      radio.hidden = true;
    });
  }
  for (const dial of [snr, width]) dial.addEventListener('input', tune);
  link = initial;
  show(presetOf(link));
}

/** The bandwidth that the channel carries at best. */
function tune() {
  const { rttMs, jitterMs, loss: lost } = link && !radio.hidden ? link : RADIO;
  set({ kbps: radioKbps(snr.valueAsNumber, width.valueAsNumber), rttMs, jitterMs, loss: lost }, 'radio');
}

/** @param {Link | null} next @param {string | null} [preset] the one that it came from */
function set(next, preset = presetOf(next)) {
  link = next;
  show(preset);
  onChange(link);
}

/** @param {string | null} preset null: none has these values */
function show(preset) {
  for (const [key, input] of inputs) input.checked = key === preset;
  const emulated = link !== null;
  // Without a link to emulate the dials stand where one would begin.
  const shown = link ?? { kbps: KBPS.max, rttMs: 0, jitterMs: 0, loss: 0 };
  dials.classList.toggle('idle', !emulated);
  radio.hidden = preset !== 'radio';
  say(kbps, fromKbps(shown.kbps), bandwidth(shown.kbps), emulated);
  say(rtt, shown.rttMs, `${shown.rttMs} ms`, emulated);
  say(jitter, shown.jitterMs, `${shown.jitterMs} ms`, emulated);
  say(loss, shown.loss * 100, `${(shown.loss * 100).toFixed(1)} %`, emulated);
  say(snr, snr.valueAsNumber, `${snr.value} dB`, true);
  say(width, width.valueAsNumber, `${width.valueAsNumber.toFixed(1)} MHz`, true);
  badge.hidden = !emulated;
  const name = preset === 'radio' ? 'by signal' : preset ? PRESETS[preset].name : 'as dialled';
  setText(badge, `Emulated link: ${name}, ${bandwidth(shown.kbps)}`);
  setText(note, emulated ? 'Emulated in this tab, each way, on top of your own.' : 'Your own, as it is.');
}

/** @param {HTMLInputElement} dial @param {number} value @param {string} text @param {boolean} emulated */
function say(dial, value, text, emulated) {
  if (Math.abs(dial.valueAsNumber - value) > 1e-9) dial.value = String(value);
  dial.setAttribute('aria-valuetext', emulated ? text : 'not emulated');
  setText(byId(`${dial.id}-value`, HTMLOutputElement), emulated ? text : '–');
}

/** Equal steps of the dial are equal ratios of bandwidth. @param {number} place 0 to 1 */
function toKbps(place) {
  const value = KBPS.min * (KBPS.max / KBPS.min) ** place;
  const unit = 10 ** (Math.floor(Math.log10(value)) - 1);
  return Math.min(KBPS.max, Math.max(KBPS.min, Math.round(value / unit) * unit));
}

/** @param {number} value */
function fromKbps(value) {
  return Math.log(value / KBPS.min) / Math.log(KBPS.max / KBPS.min);
}

// The five best labels.

import { byId, make, setText } from './dom.js';
import { className, percent } from './format.js';

/** @typedef {import('../messages.js').Answer} Answer */

const SHOWN = 5;
/** A screen reader is told of a new best label at most this often. */
const ANNOUNCE_MS = 2500;

const panel = byId('answer', HTMLElement);
const list = byId('top', HTMLElement);
const announcement = byId('announce', HTMLElement);
/** @type {{ name: HTMLElement, share: HTMLElement, bar: HTMLElement, row: HTMLElement }[]} */
const rows = [];
let announced = { label: '', at: -ANNOUNCE_MS };

/** @param {Answer['top']} top @param {boolean} live whether more frames follow by themselves */
export function showAnswer(top, live) {
  while (rows.length < Math.min(SHOWN, top.length)) {
    const name = make('span', { class: 'name' });
    const share = make('span', { class: 'share' });
    const bar = make('i');
    const row = make('li', {}, name, share, make('span', { class: 'meter', 'aria-hidden': 'true' }, bar));
    rows.push({ name, share, bar, row });
    list.append(row);
  }
  rows.forEach(({ name, share, bar, row }, index) => {
    const prediction = top[index];
    row.hidden = !prediction;
    if (!prediction) return;
    row.dataset.class = String(prediction.class);
    setText(name, className(prediction.label));
    name.title = prediction.label.replaceAll('_', ' ');
    setText(share, percent(prediction.probability));
    bar.style.setProperty('--share', prediction.probability.toFixed(4));
  });
  list.hidden = false;
  markFresh();
  announce(top, live);
}

/** The labels no longer belong to what is shown as the picture. */
export function markStale() {
  list.classList.add('stale');
  panel.setAttribute('aria-busy', 'true');
}

/** They do belong together: there was an answer, or nothing changed after all. */
export function markFresh() {
  list.classList.remove('stale');
  panel.setAttribute('aria-busy', 'false');
}

/** @param {Answer['top']} top @param {boolean} live */
function announce(top, live) {
  const best = top[0];
  if (!best) return;
  const now = performance.now();
  if (live && (best.label === announced.label || now - announced.at < ANNOUNCE_MS)) return;
  announced = { label: best.label, at: now };
  setText(announcement, `${className(best.label)}, ${percent(best.probability)}`);
}

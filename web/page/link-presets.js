// Links to try: what they carry and how long they take. The figures are typical, not anybody's.

import { shannonKbps } from '../worker/link.js';

/** @typedef {import('../messages.js').Link} Link */

/** What the dials reach. */
export const KBPS = { min: 50, max: 100_000 };

/**
 * `kbps` is the way up, which is the narrow one and the one that frames take.
 * @type {Readonly<Record<string, { name: string, link: Link | null }>>}
 */
export const PRESETS = {
  none: { name: 'As it is', link: null },
  edge: { name: 'Poor cell edge', link: { kbps: 250, rttMs: 120, jitterMs: 30, loss: 0.02 } },
  '3g': { name: '3G', link: { kbps: 750, rttMs: 150, jitterMs: 20, loss: 0.005 } },
  lte: { name: 'LTE', link: { kbps: 10_000, rttMs: 50, jitterMs: 10, loss: 0 } },
  '5g': { name: '5G', link: { kbps: 50_000, rttMs: 20, jitterMs: 3, loss: 0 } },
  wifi: { name: 'Wi-Fi', link: { kbps: 80_000, rttMs: 5, jitterMs: 2, loss: 0 } },
};

/**
 * What a channel carries at best, within the dials' reach.
 * @param {number} snrDb decibels @param {number} widthMhz
 * @returns {number} kbit/s
 */
export function radioKbps(snrDb, widthMhz) {
  return Math.round(Math.min(KBPS.max, Math.max(KBPS.min, shannonKbps(snrDb, widthMhz * 1000))));
}

/** The name of a preset with these values. @param {Link | null} link */
export function presetOf(link) {
  return Object.entries(PRESETS).find(([, { link: known }]) => sameLink(known, link))?.[0] ?? null;
}

/** @param {Link | null} a @param {Link | null} b */
export function sameLink(a, b) {
  if (!a || !b) return a === b;
  return a.kbps === b.kbps && a.rttMs === b.rttMs && a.jitterMs === b.jitterMs && a.loss === b.loss;
}

/** A link as it stands in the address: `lte`, or `250,120,30,0.02`. @param {Link | null} link */
export function linkToText(link) {
  return presetOf(link) ?? (link ? [link.kbps, link.rttMs, link.jitterMs, link.loss].join(',') : 'none');
}

/** @param {string} text @returns {Link | null | undefined} undefined when it is none */
export function linkFromText(text) {
  if (Object.hasOwn(PRESETS, text)) return PRESETS[text].link;
  const [kbps, rttMs = 0, jitterMs = 0, loss = 0, ...rest] = text.split(',').map(Number);
  const fine = rest.length === 0 && kbps >= KBPS.min && kbps <= KBPS.max && within(rttMs, 1000) && within(jitterMs, 1000) && within(loss, 0.5);
  return fine ? { kbps, rttMs, jitterMs, loss } : undefined;
}

/** @param {number} value @param {number} most */
function within(value, most) {
  return value >= 0 && value <= most;
}

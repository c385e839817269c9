// The ways a frame can go, and what people call them.

import { methodName, size, splitName } from './format.js';

/** @typedef {import('../messages.js').Way} Way */
/** @typedef {import('../messages.js').Manifest} Manifest */
/** @typedef {import('../messages.js').Steps} Steps */
/** @typedef {'features' | 'jpeg' | 'webp' | 'raw' | 'device'} WayKey */
/** @typedef {'device' | 'network' | 'server'} Place */

/** @type {readonly WayKey[]} */
export const WAY_KEYS = ['features', 'jpeg', 'webp', 'raw', 'device'];

/** @type {Readonly<Record<WayKey, string>>} */
export const WAY_NAMES = { features: 'Features', jpeg: 'JPEG', webp: 'WebP', raw: 'Raw RGB', device: 'All on this device' };

/** A frame's steps in their order, where each is spent, and its name. @type {readonly [keyof Steps, Place, string][]} */
export const STEPS = [
  ['capture', 'device', 'capture'], ['preprocess', 'device', 'preprocess'], ['front', 'device', 'front'], ['encode', 'device', 'encode'], ['code', 'device', 'code'],
  ['send', 'network', 'send'],
  ['queue', 'server', 'queue'], ['decode', 'server', 'decode'], ['tail', 'server', 'tail'],
  ['answer', 'network', 'answer'],
];

/** @param {Way} way @returns {WayKey} */
export function wayKey(way) {
  return way.kind === 'picture' ? way.format : way.kind;
}

/**
 * The way with its settings, such as “Features, Stage 2 AECNN at 932 B” or “JPEG, quality 75”.
 * @param {Way} way @param {Manifest | null} manifest
 */
export function wayName(way, manifest) {
  switch (way.kind) {
    case 'features': {
      const codec = manifest?.codecs.find(({ name }) => name === way.codec);
      const rate = codec?.rates[way.rate];
      if (!codec || !rate) return WAY_NAMES.features;
      const channels = way.channels === null || way.channels >= rate.channels ? '' : `, ${way.channels} of ${rate.channels} channels`;
      return `${WAY_NAMES.features}, ${splitName(codec.split)} ${methodName(codec.method)} at ${size(Math.round(rate.mean_bytes))}${channels}`;
    }
    case 'picture':
      return way.format === 'raw' ? WAY_NAMES.raw : `${WAY_NAMES[way.format]}, quality ${way.quality}`;
    case 'device':
      return WAY_NAMES.device;
  }
}

/** How much of a frame's time is spent where, in milliseconds. @param {Steps} steps @returns {Record<Place, number>} */
export function byPlace(steps) {
  const places = { device: 0, network: 0, server: 0 };
  for (const [step, place] of STEPS) places[place] += steps[step];
  return places;
}

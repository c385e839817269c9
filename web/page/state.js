// Badges, loading, and the facts under the hood.

import { byId, setText } from './dom.js';
import { duration, ms, size } from './format.js';
import { byPlace } from './ways.js';

/** @typedef {import('../messages.js').BackendMessage} BackendMessage */
/** @typedef {import('../messages.js').ProgressMessage} ProgressMessage */
/** @typedef {import('../messages.js').SessionState} SessionState */
/** @typedef {import('../messages.js').Manifest} Manifest */

const loading = byId('loading', HTMLElement);
const bar = byId('loading-bar', HTMLProgressElement);

/** @param {string} id @param {string} text @param {'waiting' | 'good' | 'warn' | 'bad'} state */
function badge(id, text, state) {
  const element = byId(id, HTMLElement);
  setText(element, text);
  element.dataset.state = state;
}

/** @param {BackendMessage} message */
export function showBackend({ name, reason, fallback, threads }) {
  const shown = name.replace(/^cpu/, 'CPU').replace('simd)', 'SIMD)').replace(/^webgpu/, 'WebGPU');
  // On a telephone the badges share a line with the page's name.
  badge('backend-badge', shown.replace('relaxed ', ''), fallback ? 'warn' : 'good');
  byId('backend-badge', HTMLElement).title = reason;
  fact('engine-backend', `${shown}${threads > 1 ? `, ${threads} threads` : ''}. ${reason}`);
}

/** @param {string} text */
export function showBackendFailed(text) {
  badge('backend-badge', text, 'bad');
}

/** @param {SessionState} state @param {string} address */
export function showLink(state, address) {
  switch (state.state) {
    case 'connecting':
      badge('link-badge', 'Connecting…', 'waiting');
      break;
    case 'ready':
      badge('link-badge', 'Connected', 'good');
      fact('engine-server', `${state.server}, ${address}`);
      break;
    case 'waiting':
      badge('link-badge', 'Server gone, reconnecting…', 'bad');
      break;
    case 'closed':
      badge('link-badge', 'Disconnected', 'bad');
      break;
  }
}

/** @param {ProgressMessage} message */
export function showProgress({ label, share, detail }) {
  loading.hidden = false;
  byId('top', HTMLElement).hidden = true;
  setText(byId('loading-label', HTMLElement), label);
  setText(byId('loading-detail', HTMLElement), detail);
  if (share === null) bar.removeAttribute('value');
  else bar.value = share;
}

export function hideProgress() {
  loading.hidden = true;
}

/** @param {Manifest} manifest */
export function showModel(manifest) {
  fact('engine-model', `${manifest.name} (ResNet-50 ${manifest.variant.replace('_', '.')}, ${manifest.classes} classes). Weights: ${manifest.provenance.attribution}, ${manifest.provenance.licence}.`);
  const stage = byId('stage', HTMLElement);
  stage.style.setProperty('--crop', `${manifest.preprocessing.crop * 100}%`);
  stage.classList.toggle('whole', manifest.preprocessing.crop === 1);
}

/** @param {number | null} warmUpMs @param {number} bytes */
export function showLoaded(warmUpMs, bytes) {
  if (warmUpMs !== null) {
    fact('fact-cold', duration(warmUpMs));
  }
  fact('engine-download', bytes > 0 ? `${size(bytes)} on the wire` : 'nothing: all from the cache');
}

/** What happens where, by the kind of way. @type {Record<import('../messages.js').Way['kind'], Record<import('./ways.js').Place, string>>} */
const PLACES = {
  features: { device: 'front of the network, encoder', network: 'compressed features only', server: 'decoder, rest of the network' },
  picture: { device: 'crop, compression', network: 'the picture itself, small', server: 'the whole network' },
  device: { device: 'the whole network', network: 'nothing', server: 'nothing' },
};

/** @param {import('../messages.js').ResultMessage} result */
export function showPlaces({ way, steps, upBytes }) {
  const places = byPlace(steps);
  for (const place of /** @type {const} */ (['device', 'network', 'server'])) fact(`way-${place}-note`, PLACES[way.kind][place]);
  fact('way-device', `${ms(places.device)} ms`);
  fact('way-network', size(upBytes));
  byId('way-network', HTMLElement).title = `${upBytes} bytes, header included`;
  fact('way-server', `${ms(places.server)} ms`);
}

/** @param {string} id @param {string} text */
export function fact(id, text) {
  setText(byId(id, HTMLElement), text);
}

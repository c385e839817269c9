// The built-in pictures, with their authors.

import { byId, make } from './dom.js';

/**
 * @typedef {object} Sample
 * @property {string} file
 * @property {string} name
 * @property {string} author
 * @property {string} author_url
 * @property {string} source
 * @property {string} licence
 * @property {string} licence_url
 * @property {number} class
 */

/** @returns {Promise<Sample[]>} */
export async function loadSamples() {
  const response = await fetch('samples/samples.json');
  if (!response.ok) throw new Error(`samples/samples.json: ${response.status}`);
  /** @type {{ about: string, samples: Sample[] }} */
  const { about, samples } = await response.json();
  byId('attribution-about', HTMLElement).textContent = about;
  byId('attributions', HTMLElement).append(...samples.map((sample) => make('li', {}, `${sample.name}: `, ...credit(sample))));
  return samples;
}

/** @param {Sample} sample */
export function sampleUrl(sample) {
  return `samples/${sample.file}`;
}

/** @param {Sample} sample @returns {(Node | string)[]} */
export function credit(sample) {
  return [
    make('a', { href: sample.source }, 'photograph'), ' by ', make('a', { href: sample.author_url }, sample.author),
    ', ', make('a', { href: sample.licence_url }, sample.licence), ', cropped and scaled',
  ];
}

/**
 * @param {Sample[]} samples @param {(sample: Sample) => void} onChoose
 */
export function showSamples(samples, onChoose) {
  byId('samples', HTMLElement).replaceChildren(...samples.map((sample) => {
    const image = make('img', { src: sampleUrl(sample), alt: sample.name, width: '64', height: '64', loading: 'lazy' });
    const button = make('button', { type: 'button', class: 'sample', 'aria-pressed': 'false', title: sample.name, 'data-file': sample.file }, image);
    button.addEventListener('click', () => onChoose(sample));
    return button;
  }));
}

/** @param {Sample | null} chosen */
export function markSample(chosen) {
  for (const button of byId('samples', HTMLElement).querySelectorAll('button')) {
    button.setAttribute('aria-pressed', String(button.dataset.file === chosen?.file));
  }
}

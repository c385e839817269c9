// Numbers for people.

const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });

/** @param {number} value */
export const count = (value) => whole.format(value);

/** @param {number} value bytes */
export function size(value) {
  if (value < 10_000) return `${whole.format(value)} B`;
  if (value < 1e6) return `${(value / 1e3).toFixed(value < 1e5 ? 1 : 0)} kB`;
  return `${(value / 1e6).toFixed(value < 1e7 ? 2 : 1)} MB`;
}

/** @param {number} value milliseconds; the unit is not written */
export function ms(value) {
  if (value >= 100) return whole.format(value);
  return value.toFixed(1);
}

/** @param {number} value milliseconds */
export function duration(value) {
  return value >= 1000 ? `${(value / 1000).toFixed(value < 10_000 ? 2 : 1)} s` : `${ms(value)} ms`;
}

/** @param {number} value 0 to 1 */
export function percent(value) {
  return value < 0.0005 ? '< 0.1 %' : `${(value * 100).toFixed(1)} %`;
}

/** The middle of some numbers; NaN for none. @param {number[]} values */
export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** A class name for people: the labels' first name, with spaces. @param {string} label */
export function className(label) {
  return label.split(',')[0].replaceAll('_', ' ');
}

/** @param {string} split */
export function splitName(split) {
  return split === 'stem' ? 'Stem' : split.replace(/^stage(\d)$/, 'Stage $1');
}

/** @type {Record<string, string>} */
const METHODS = { klt: 'KLT', aecnn: 'AECNN', paper: 'paper’s AECNN' };

/** How a codec was made, for people. @param {string} method */
export const methodName = (method) => METHODS[method] ?? method;

/** Messages of programs begin small and end bare. @param {string} text */
export function sentence(text) {
  if (text === '') return '';
  const begun = text[0].toUpperCase() + text.slice(1);
  return /[.!?]$/.test(begun) ? begun : `${begun}.`;
}

/** @param {number} kbps */
export function bandwidth(kbps) {
  return kbps < 1000 ? `${whole.format(kbps)} kbit/s` : `${(kbps / 1000).toFixed(kbps < 10_000 ? 1 : 0)} Mbit/s`;
}

// What is said of repeated measurements.

/** @typedef {{ median: number, fastest: number, slowest: number }} Summary */

/** @param {number[]} times @returns {Summary} */
export function summary(times) {
  const sorted = times.toSorted((a, b) => a - b);
  return { median: sorted[sorted.length >> 1], fastest: sorted[0], slowest: sorted[sorted.length - 1] };
}

/** The median, and the fastest in brackets. @param {Summary} summary */
export const show = ({ median, fastest }) => `${median.toFixed(1)} (${fastest.toFixed(1)})`;

// The second worker: encodes frames as pictures and counts their bytes, beside the device and
// not in its way.

import { pictureSizes } from './worker/picture-sizes.js';

/** @typedef {import('./messages.js').MeasureMessage} MeasureMessage */
/** @typedef {import('./messages.js').MeasuredMessage} MeasuredMessage */

self.addEventListener('message', async (/** @type {MessageEvent<MeasureMessage>} */ event) => {
  const { id, image, crop, quality } = event.data;
  /** @type {MeasuredMessage} */
  let answer;
  try {
    answer = { id, sizes: await pictureSizes(image, crop, quality) };
  } catch (error) {
    answer = { id, error: error instanceof Error ? error.message : String(error) };
  } finally {
    image.close();
  }
  self.postMessage(answer);
});

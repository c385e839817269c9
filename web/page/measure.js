// Asking the other worker what a frame would cost as a picture.

/** @typedef {import('../messages.js').MeasureMessage} MeasureMessage */
/** @typedef {import('../messages.js').MeasuredMessage} MeasuredMessage */
/** @typedef {import('../messages.js').PictureSizes} PictureSizes */

/** The worker's own code, to be kept for a visit without the server. */
export const METER_FILES = ['picture-worker.js', 'worker/picture-sizes.js'].map((file) => new URL(file, document.baseURI).href);

export class PictureMeter {
  #worker = new Worker('picture-worker.js', { type: 'module', name: 'pictures' });
  #lastId = 0;
  /** @type {Map<number, { resolve: (sizes: PictureSizes) => void, reject: (error: Error) => void }>} */ #waiting = new Map();

  constructor() {
    this.#worker.addEventListener('message', (/** @type {MessageEvent<MeasuredMessage>} */ { data }) => {
      const waiting = this.#waiting.get(data.id);
      this.#waiting.delete(data.id);
      if ('error' in data) waiting?.reject(new Error(data.error));
      else waiting?.resolve(data.sizes);
    });
    this.#worker.addEventListener('error', (event) => {
      for (const { reject } of this.#waiting.values()) reject(new Error(event.message || 'the worker for pictures could not be loaded'));
      this.#waiting.clear();
    });
  }

  /**
   * @param {ImageBitmap} image is copied
   * @param {number} crop the central share of the shorter side that the network sees
   * @param {number} quality of JPEG and WebP, 1 to 100
   * @returns {Promise<PictureSizes>}
   */
  async sizes(image, crop, quality) {
    const copy = await createImageBitmap(image);
    this.#lastId += 1;
    const id = this.#lastId;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      /** @type {MeasureMessage} */
      const message = { id, image: copy, crop, quality };
      this.#worker.postMessage(message, [copy]);
    });
  }
}

// The worker without the page: what it is told and what it says.

import { open } from './browser.mjs';

/** @typedef {import('playwright-core').Page} Page */
/** @typedef {import('../../messages.js').FromWorker} FromWorker */
/** @typedef {import('../../messages.js').ResultMessage} ResultMessage */
/** @typedef {import('../../messages.js').FailureMessage} FailureMessage */
/** @typedef {import('../../messages.js').ToWorker} ToWorker */
/** @typedef {import('../../messages.js').Way} Way */

/**
 * Starts the worker of the page at `url` in a document without a page.
 * @param {import('playwright-core').Browser} browser @param {string} url
 * @param {Partial<import('../../messages.js').Settings>} settings
 * @param {{ allow?: RegExp, prepare?: (page: Page) => unknown }} [options]
 */
export async function openWorker(browser, url, settings, { allow, prepare } = {}) {
  const { page, close } = await open(browser, `${url}/quiet`, {
    allow,
    prepare: async (opened) => {
      await opened.route('**/quiet', (route) => route.fulfill({ contentType: 'text/html', body: '<!doctype html><title>quiet</title>' }));
      await prepare?.(opened);
    },
  });
  await page.evaluate(() => {
    const worker = new Worker('/worker.js', { type: 'module' });
    /** @type {FromWorker[]} */
    const log = [];
    /** @type {((message: FromWorker) => void)[]} */
    const listeners = [];
    worker.addEventListener('message', ({ data }) => {
      log.push(data);
      for (const listener of listeners) listener(data);
    });
    Object.assign(globalThis, { worker, log, listeners, lastId: 0 });
  });
  /** @param {ToWorker} message */
  const send = (message) => page.evaluate((sent) => /** @type {any} */ (globalThis).worker.postMessage(sent), message);
  /** Waits for a message like this, from the `since`th on. @param {Record<string, unknown>} like @param {number} [since] @returns {Promise<any>} */
  const heard = async (like, since = 0) => {
    const found = await page.waitForFunction(([wanted, from]) => {
      const { log } = /** @type {any} */ (globalThis);
      return log.slice(from).find((/** @type {any} */ message) => Object.entries(/** @type {object} */ (wanted)).every(([key, value]) => (key === 'state' && typeof message.state === 'object' ? message.state.state : message[key]) === value));
    }, /** @type {const} */ ([like, since]));
    return found.jsonValue();
  };
  /** How many messages came so far. @returns {Promise<number>} */
  const count = () => page.evaluate(() => /** @type {any} */ (globalThis).log.length);
  /** @returns {Promise<FromWorker[]>} */
  const since = (/** @type {number} */ from) => page.evaluate((at) => /** @type {any} */ (globalThis).log.slice(at), from);
  /**
   * Sends a sample as a frame; resolves to its result, or to the failure that stands in its place.
   * @param {string} sample @param {Way | null} [way] @param {boolean} [wantLatent]
   * @returns {Promise<ResultMessage | FailureMessage>}
   */
  const frame = (sample, way = null, wantLatent = false) => page.evaluate(async ([file, asked, latent]) => {
    const scope = /** @type {any} */ (globalThis);
    const blob = await (await fetch(`/samples/${file}`)).blob();
    const began = performance.now();
    const image = await createImageBitmap(blob);
    scope.lastId += 1;
    const id = scope.lastId;
    /** @type {FailureMessage | null} */
    let failure = null;
    const answer = new Promise((resolve) => {
      scope.listeners.push((/** @type {FromWorker} */ message) => {
        if (message.type === 'failure') failure = message;
        if (message.type === 'result' && message.id === id) resolve(message);
        if (message.type === 'lost' && message.id === id) resolve(failure ?? message);
      });
    });
    const capturedAt = Math.round((performance.timeOrigin + began) * 1000);
    scope.worker.postMessage({ type: 'frame', id, image, capturedAt, captureMs: performance.now() - began, way: asked, wantLatent: latent }, [image]);
    const message = /** @type {any} */ (await answer);
    scope.listeners.pop();
    // Typed arrays do not come over to the test.
    if (message.latent) message.latent = { ...message.latent, symbols: [...message.latent.symbols] };
    return message;
  }, /** @type {const} */ ([sample, way, wantLatent]));
  /** A frame that must be answered. @param {string} sample @param {Way | null} [way] @param {boolean} [wantLatent] @returns {Promise<ResultMessage>} */
  const answer = async (sample, way = null, wantLatent = false) => {
    const message = await frame(sample, way, wantLatent);
    if (message.type !== 'result') throw new Error(`no result: ${JSON.stringify(message)}`);
    return message;
  };
  await send({ type: 'start', settings: { backend: 'cpu', threads: null, model: null, split: null, codec: null, rate: null, server: url, ...settings }, token: null });
  await heard({ type: 'ready' });
  await heard({ type: 'link', state: 'ready' });
  return { page, send, heard, count, since, frame, answer, close };
}

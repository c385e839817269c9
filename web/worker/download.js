// Downloads with progress.

/** The code of those who help the device. */
export const HELPER = new URL('./helper-worker.js', import.meta.url);

/**
 * A download that failed, with what to do about it.
 */
export class DownloadError extends Error {
  /** @param {string} message @param {boolean} unreachable whether the server did not answer at all */
  constructor(message, unreachable) {
    super(message);
    this.name = 'DownloadError';
    this.unreachable = unreachable;
  }
}

/**
 * @param {string | URL} url
 * @param {(loaded: number) => void} [onLoaded] called with the bytes that have arrived, unpacked
 * @returns {Promise<Response>} the response, counting while it is read
 */
export async function download(url, onLoaded) {
  const path = new URL(url, self.location.href).pathname;
  let response;
  try {
    response = await fetch(url);
  } catch {
    throw new DownloadError(`${path} could not be fetched: the server does not answer.`, true);
  }
  if (!response.ok) {
    throw new DownloadError(`${path} could not be fetched: the server answered ${response.status}.`, response.status >= 500);
  }
  if (!onLoaded || !response.body) return response;
  let loaded = 0;
  const counted = response.body.pipeThrough(
    new TransformStream({
      transform(chunk, controller) {
        loaded += chunk.byteLength;
        onLoaded(loaded);
        controller.enqueue(chunk);
      },
    }),
  );
  // A new Response so that WebAssembly can still compile while the bytes arrive.
  return new Response(counted, { headers: response.headers });
}

/**
 * @param {string | URL} url
 * @param {(loaded: number) => void} [onLoaded]
 */
export async function downloadBytes(url, onLoaded) {
  const response = await download(url, onLoaded);
  try {
    return new Uint8Array(await response.arrayBuffer());
  } catch {
    throw new DownloadError(`${new URL(url, self.location.href).pathname} broke off.`, true);
  }
}

/**
 * What the worker's downloads have cost on the wire: compressed, headers included; nothing for
 * what came out of the cache.
 */
export function wireBytes() {
  let total = 0;
  for (const entry of performance.getEntriesByType('resource')) {
    total += /** @type {PerformanceResourceTiming} */ (entry).transferSize;
  }
  return total;
}

/** The addresses of all that the worker has fetched, its own code and that of its helpers included. */
export function fetchedFiles() {
  return [...performance.getEntriesByType('resource').map(({ name }) => name), HELPER.href];
}

// Keeping the page for a visit without the server, and telling whether that is so.

import { byId, setText } from './dom.js';

const fact = byId('engine-offline', HTMLElement);

/**
 * After the first label, so that nothing is fetched in its way: has the service worker keep every
 * file that this visit used.
 * @param {string[]} fromWorkers addresses of what workers fetch
 */
export async function keepForLater(fromWorkers) {
  if (!('serviceWorker' in navigator)) {
    setText(fact, 'cannot be kept: this browser, or this address, has no service workers');
    return;
  }
  try {
    await navigator.serviceWorker.register('service-worker.js', { type: 'module' });
    const registration = await navigator.serviceWorker.ready;
    const own = performance.getEntriesByType('resource').map(({ name }) => name);
    const files = [...new Set([location.origin + location.pathname, ...own, ...fromWorkers])]
      .filter((address) => address.startsWith(`${location.origin}/`));
    if (document.documentElement.dataset.kept !== 'true') setText(fact, 'keeping what is needed…');
    registration.active?.postMessage({ type: 'keep', files });
  } catch (error) {
    setText(fact, `cannot be kept: ${error instanceof Error ? error.message : error}`);
  }
}

if ('serviceWorker' in navigator) {
  navigator.serviceWorker.addEventListener('message', ({ data }) => {
    if (data.type === 'kept') {
      setText(fact, 'the page opens and the device starts; labels need the server, or the whole network');
      document.documentElement.dataset.kept = 'true';
    }
  });
}

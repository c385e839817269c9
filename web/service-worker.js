// Keeps what a visit used, so that the next one works without the server, up to the socket.
// With the server, everything still comes from there: the browser's own cache knows what is new.

const CACHE = 'aecnn-1';
/**
 * What of the service worker's surroundings is used here. TypeScript has them in a library that does
 * not go together with that of pages.
 * @typedef {object} Scope
 * @property {() => Promise<void>} skipWaiting
 * @property {{ claim: () => Promise<void> }} clients
 * @property {(type: string, listener: (event: any) => void) => void} addEventListener
 */
const scope = /** @type {Scope} */ (/** @type {unknown} */ (self));

scope.addEventListener('install', () => scope.skipWaiting());
scope.addEventListener('activate', (event) => event.waitUntil(scope.clients.claim()));

scope.addEventListener('message', (event) => {
  if (event.data.type !== 'keep') return;
  event.waitUntil(keep(event.data.files).then(() => event.source?.postMessage({ type: 'kept' })));
});

scope.addEventListener('fetch', (event) => {
  const { request } = event;
  const url = new URL(request.url);
  if (request.method !== 'GET' || url.origin !== location.origin) return;
  event.respondWith(answer(request, url));
});

/** @param {string[]} files */
async function keep(files) {
  const cache = await caches.open(CACHE);
  await Promise.all(files.map(async (file) => {
    if (await cache.match(file)) return;
    // Mostly out of the browser's cache: the page has just fetched it.
    const response = await fetch(file).catch(() => null);
    if (response?.ok) await store(cache, file, response);
  }));
}

/** @param {Request} request @param {URL} url */
async function answer(request, url) {
  const cache = await caches.open(CACHE);
  // The page's settings stand in its query; the file is the same.
  const key = request.mode === 'navigate' ? url.origin + url.pathname : request.url;
  // An address with a version never changes what it holds.
  if (url.searchParams.has('v')) {
    const kept = await cache.match(key);
    if (kept) return kept;
  }
  try {
    const response = await fetch(request);
    // What is kept stays as new as what was served last.
    const kept = await cache.match(key);
    if (response.ok && kept && kept.headers.get('etag') !== response.headers.get('etag')) await store(cache, key, response.clone());
    return response;
  } catch (error) {
    const kept = await cache.match(key);
    if (kept) return kept;
    throw error;
  }
}

/** @param {Cache} cache @param {string} key @param {Response} response */
async function store(cache, key, response) {
  await cache.put(key, response);
  // Earlier versions of the same file are of no use.
  const { pathname } = new URL(key);
  for (const other of await cache.keys()) {
    if (new URL(other.url).pathname === pathname && other.url !== key) await cache.delete(other);
  }
}

export {};

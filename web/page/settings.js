// The settings that stand in the page's address.

/** @typedef {import('../messages.js').Settings} Settings */

const BACKENDS = /** @type {const} */ (['webgpu', 'cpu', 'scalar']);

/**
 * @param {Location} location
 * @returns {{ settings: Settings, complaint: string | null }}
 */
export function readSettings(location) {
  const query = new URLSearchParams(location.search);
  const asked = query.get('backend');
  const backend = BACKENDS.find((name) => name === asked) ?? null;
  /** @type {string | null} */
  let complaint = null;
  if (asked !== null && backend === null) complaint = `?backend=${asked} is not known; it can be ${BACKENDS.join(', ')}.`;
  let server = location.origin;
  const wanted = query.get('server');
  if (wanted !== null) {
    const url = parseServer(wanted);
    if (url) server = url;
    else complaint = `?server=${wanted} is not an address; it looks like https://edge.example.org.`;
  }
  return {
    settings: { backend, split: query.get('split'), codec: query.get('codec'), rate: query.get('rate'), server },
    complaint,
  };
}

/** @param {string} text @returns {string | null} */
function parseServer(text) {
  try {
    const url = new URL(text.includes('://') ? text : `http://${text}`);
    url.protocol = url.protocol.replace(/^ws/, 'http');
    return /^https?:$/.test(url.protocol) ? url.href.replace(/\/$/, '') : null;
  } catch {
    return null;
  }
}

/**
 * An address that brings these settings back.
 * @param {Location} location
 * @param {{ split: string, codec: string, rate: string, ambiguous: boolean }} chosen `ambiguous`: the split has several codecs
 */
export function permalink(location, { split, codec, rate, ambiguous }) {
  const url = new URL(location.href);
  url.searchParams.set('split', split);
  if (ambiguous) url.searchParams.set('codec', codec);
  else url.searchParams.delete('codec');
  url.searchParams.set('rate', rate);
  url.hash = '';
  return url.href;
}

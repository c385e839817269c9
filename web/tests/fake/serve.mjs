// Serves the page with a stand-in for device and models: `node tests/fake/serve.mjs [port]`.
// For working on looks without building Rust; what the page does for real is tested against the
// real edge server.

import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { createServer } from 'node:http';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
/** @type {Record<string, string>} */
const TYPES = { '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css', '.json': 'application/json', '.svg': 'image/svg+xml', '.jpg': 'image/jpeg', '.webmanifest': 'application/manifest+json' };

/** @param {string} name @param {number} bytes */
const file = (name, bytes) => ({ name, file: `${name}.bin`, bytes, sha256: name.padEnd(64, '0') });
/** @param {number} least */
const rates = (least) => [700, 1050, 1500, 2100, 3100].map((mean_bytes, index) => ({ name: `q${index + 1}`, channels: 64, mean_bytes, agreement: least + index * 0.03 }));
const MODELS = {
  models: [{
    format: 'aecnn-model', version: 1, name: 'stand-in', variant: 'v1', classes: 1000, digest: '0',
    preprocessing: { crop: 0.875 },
    labels: { file: 'labels.json', bytes: 16_000, sha256: 'labels'.padEnd(64, '0') },
    parts: [file('stem', 19_000), file('stage1', 431_000), file('stage2', 2_440_000), file('stage3', 14_200_000), file('stage4', 29_900_000), file('head', 4_100_000)],
    codecs: [['klt', 'stem', 0.4], ['klt', 'stage1', 0.6], ['aecnn', 'stage2', 0.78], ['klt', 'stage2', 0.7]].map(([method, split, least]) => (
      { ...file(`${method}-${split}`, 160_000), method, split, rates: rates(Number(least)), default_rate: 2 })),
    provenance: { source: '', licence: 'MIT', attribution: 'a stand-in' },
  }],
};

const server = createServer(async (request, response) => {
  const path = new URL(request.url ?? '/', 'http://localhost').pathname;
  if (path === '/v1/models') {
    response.setHeader('content-type', 'application/json').end(JSON.stringify(MODELS));
  } else if (path === '/models/stand-in/labels.json') {
    response.setHeader('content-type', 'application/json').end(JSON.stringify(Array.from({ length: 1000 }, (_, index) => `class ${index}`)));
  } else {
    const name = path === '/worker.js' ? 'tests/fake/worker.js' : path === '/' ? 'index.html' : path;
    const full = join(ROOT, normalize(name));
    const found = full.startsWith(ROOT) && (await stat(full).catch(() => null))?.isFile();
    if (!found) {
      response.writeHead(404).end('not found');
      return;
    }
    response.setHeader('content-type', TYPES[extname(full)] ?? 'application/octet-stream');
    createReadStream(full).pipe(response);
  }
});
server.listen(Number(process.argv[2] ?? 0), '127.0.0.1', () => {
  const address = server.address();
  if (address && typeof address === 'object') console.log(`http://127.0.0.1:${address.port}/`);
});

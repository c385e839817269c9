// What a bench's page needs, served to it: this folder, the model's, and what is made on the way.

import { createReadStream, existsSync, statSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';

const WEB = fileURLToPath(new URL('../', import.meta.url));
/** The model's folder. */
export const MODEL = process.env.MODEL ?? join(WEB, '../models/resnet50-imagenet');
/** @type {Record<string, string>} */
const TYPES = { '.js': 'text/javascript', '.mjs': 'text/javascript', '.wasm': 'application/wasm', '.json': 'application/json', '.jpg': 'image/jpeg' };

/**
 * Serves an empty page at `/`, the model under `/model/`, and `made` by path before what is in the folder.
 * @param {...string} packages folders of `pkg` that the page loads
 * @returns {Promise<{ url: string, made: Map<string, Buffer>, close: () => void }>}
 */
export async function serve(...packages) {
  for (const need of [...packages.map((name) => `pkg/${name}/device.js`), 'bench/node_modules/onnxruntime-web/package.json']) {
    if (!existsSync(join(WEB, need))) throw new Error(`web/${need} is missing: run cargo xtask wasm, and npm ci in web/bench`);
  }
  /** @type {Map<string, Buffer>} */
  const made = new Map();
  const server = createServer((request, response) => {
    const path = decodeURIComponent(new URL(request.url ?? '/', 'http://localhost').pathname);
    response.setHeader('cross-origin-opener-policy', 'same-origin').setHeader('cross-origin-embedder-policy', 'require-corp');
    const known = made.get(path);
    if (path === '/') {
      response.setHeader('content-type', 'text/html').end('<!doctype html><title>bench</title>');
    } else if (known) {
      response.end(known);
    } else {
      const root = path.startsWith('/model/') ? MODEL : WEB;
      const full = join(root, normalize(path.replace(/^\/model\//, '/')));
      if (!full.startsWith(root) || !existsSync(full) || !statSync(full).isFile()) {
        response.writeHead(404).end();
        return;
      }
      response.setHeader('content-type', TYPES[extname(full)] ?? 'application/octet-stream');
      createReadStream(full).pipe(response);
    }
  });
  await new Promise((listening) => server.listen(0, '127.0.0.1', () => listening(null)));
  const address = server.address();
  const url = typeof address === 'object' && address ? `http://127.0.0.1:${address.port}/` : '';
  return { url, made, close: () => server.close() };
}

/** @param {string} name a package of this folder @returns {Promise<string>} */
export async function version(name) {
  return JSON.parse(await readFile(join(WEB, `bench/node_modules/${name}/package.json`), 'utf8')).version;
}

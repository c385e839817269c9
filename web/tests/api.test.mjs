// The device as a program of somebody else uses it.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readFile } from 'node:fs/promises';
import { open } from './support/browser.mjs';
import { running } from './support/running.mjs';

const { samples } = JSON.parse(await readFile(new URL('../samples/samples.json', import.meta.url), 'utf8'));

const demo = running();

test('load, encode, connect, submit, dispose', async () => {
  // Any document of the server's own that runs no program by itself.
  const { page, close } = await open(demo.browser, `${demo.server.url}/samples/samples.json`, { allow: /404/ });
  const seen = await page.evaluate(async (file) => {
    const url = '/worker/api.js';
    const { Device } = /** @type {typeof import('../../device-wasm/npm/index.js')} */ (await import(url));
    /** @type {string[]} */
    const labels = [];
    const device = await Device.load({ server: '/', split: 'stem', backend: 'cpu', rate: 0, onProgress: ({ label }) => labels.push(label) });
    const image = await createImageBitmap(await (await fetch(`/samples/${file}`)).blob());
    const encoded = await device.encode(image);
    const states = /** @type {string[]} */ ([]);
    device.addEventListener('state', ({ detail }) => states.push(detail.state));
    device.connect('/', { topK: 2 });
    const answer = await new Promise((resolve, reject) => {
      device.addEventListener('result', ({ detail }) => resolve(detail), { once: true });
      device.addEventListener('error', ({ detail }) => reject(detail), { once: true });
      device.submit(image, { way: { kind: 'picture', format: 'jpeg', quality: 90 } });
    });
    /** @type {string[]} */
    const names = [];
    const refused = (/** @type {() => unknown} */ act) => {
      try {
        act();
      } catch (error) {
        if (error instanceof Error && 'hint' in error && error.hint) names.push(error.name);
      }
    };
    refused(() => device.submit(new ImageData(8, 8), { way: { kind: 'device' } }));
    refused(() => device.setAutomatic({ kind: 'latency', floor: 2 }));
    device.dispose();
    refused(() => device.submit(new ImageData(8, 8)));
    return { labels, backend: device.backend.name, chosen: device.chosen?.codec.split, bytes: encoded.payload.length, top: answer.top, answered: answer.upBytes, states, names };
  }, samples[0].file);
  assert.ok(seen.labels.includes('Downloading the front of the network'));
  assert.match(seen.backend, /^cpu/);
  assert.equal(seen.chosen, 'stem');
  assert.ok(seen.bytes > 20 && seen.bytes < 3_000, String(seen.bytes));
  assert.equal(seen.top.length, 2);
  assert.equal(seen.top[0].class, samples[0].class);
  assert.ok(seen.answered > 2_000);
  assert.deepEqual(seen.states, ['connecting', 'ready', 'closed']);
  assert.deepEqual(seen.names, ['WayNotLoaded', 'InvalidArgument', 'NotLoaded']);
  await close();
});

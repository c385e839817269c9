// The front shared with other workers: the same symbols, and no harm where they fail.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { launch } from './support/browser.mjs';
import { EdgeServer } from './support/server.mjs';
import { openWorker } from './support/worker.mjs';

const { samples } = JSON.parse(await readFile(new URL('../samples/samples.json', import.meta.url), 'utf8'));
const FRAMES = 3;
/** What the worker's console says of helpers that failed. */
const WITHOUT = /without helpers/;
/** Tells the test of each share that a helper is asked for. */
const TELL = `
self.addEventListener('message', ({ data }) => { if (data.type === 'rows') fetch('/told?' + data.split + data.first); });
`;

/** @type {EdgeServer} */
let server;
/** @type {import('playwright-core').Browser} */
let browser;
before(async () => {
  server = await EdgeServer.start();
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await server?.kill();
});

/**
 * The symbols of some frames, once helpers have had the time to start.
 * @param {number} threads @param {(page: import('playwright-core').Page, told: string[]) => Promise<unknown>} [prepare]
 */
async function symbols(threads, prepare) {
  /** @type {string[]} */
  const told = [];
  const worker = await openWorker(browser, server.url, { threads, split: 'stage1' }, {
    allow: threads > 1 ? WITHOUT : undefined,
    prepare: async (page) => {
      await page.route('**/told?*', (route) => {
        told.push(new URL(route.request().url()).search);
        return route.fulfill({ body: '' });
      });
      await prepare?.(page, told);
    },
  });
  const found = [];
  const began = performance.now();
  const waitsForHelp = threads > 1 && prepare === telling;
  do {
    found.length = 0;
    for (const { file } of samples.slice(0, FRAMES)) found.push((await worker.answer(file, null, true)).latent?.symbols);
  } while (waitsForHelp && told.length === 0 && performance.now() - began < 30_000);
  const backend = (await worker.since(0)).find((message) => message.type === 'backend');
  await worker.close();
  return { found, told, threads: backend?.type === 'backend' ? backend.threads : 0 };
}

/** @param {import('playwright-core').Page} page */
function telling(page) {
  return page.route('**/worker/helper-worker.js', async (route) => {
    const response = await route.fetch();
    await route.fulfill({ response, body: TELL + (await response.text()) });
  });
}

test('with helpers the symbols are the same', async () => {
  const alone = await symbols(1);
  assert.equal(alone.threads, 1);
  assert.ok(alone.found.every((latent) => latent && latent.some((symbol) => symbol !== 0)));
  const helped = await symbols(3, telling);
  assert.equal(helped.threads, 3);
  assert.ok(helped.told.some((asked) => asked === '?stage110') && helped.told.some((asked) => asked === '?stage119'), JSON.stringify(helped.told));
  for (const [index, latent] of helped.found.entries()) {
    const one = alone.found[index] ?? [];
    // Sums come in another order: a value that lies between two symbols may go to the other.
    const others = latent?.filter((symbol, at) => symbol !== one[at]) ?? [];
    assert.equal(latent?.length, one.length);
    assert.ok(others.length <= 2, `${others.length} of ${one.length} symbols`);
  }
});

test('where helpers do not start or do not answer, the device does without', async () => {
  const alone = await symbols(1);
  const missing = await symbols(2, (page) => page.route('**/worker/helper-worker.js', (route) => route.fulfill({ status: 404, body: '' })));
  assert.deepEqual(missing.found, alone.found);
  const broken = await symbols(2, (page) => page.route('**/worker/helper-worker.js', async (route) => {
    const response = await route.fetch();
    await route.fulfill({ response, body: (await response.text()).replace('return started.rows(', 'throw new Error("out of order"); return started.rows(') });
  }));
  assert.deepEqual(broken.found, alone.found);
});

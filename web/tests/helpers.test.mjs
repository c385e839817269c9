// The front shared with other workers: the same symbols, and no harm where they fail.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { running } from './support/running.mjs';
import { openWorker } from './support/worker.mjs';

const { samples } = JSON.parse(await readFile(new URL('../samples/samples.json', import.meta.url), 'utf8'));
const FRAMES = 3;
const HELPER = /helper-worker/;

const demo = running();

/** A worker at stage 1, whose helpers are at work. @param {number} threads */
async function start(threads) {
  const worker = await openWorker(demo.browser, demo.server.url, { threads, split: 'stage1' }, { allow: /without helpers/ });
  const backend = (await worker.since(0)).find((message) => message.type === 'backend');
  assert.equal(backend?.type === 'backend' && backend.threads, threads);
  const helpers = worker.page.workers().filter((other) => HELPER.test(other.url()));
  assert.equal(helpers.length, threads - 1);
  for (const helper of helpers) {
    await helper.evaluate(() => {
      const scope = /** @type {any} */ (globalThis);
      scope.asked = 0;
      scope.addEventListener('message', (/** @type {MessageEvent} */ { data }) => { if (data.type === 'rows') scope.asked += 1; });
    });
  }
  const asked = () => Promise.all(helpers.map((helper) => helper.evaluate(() => /** @type {number} */ (/** @type {any} */ (globalThis).asked))));
  const began = performance.now();
  while ((await asked()).includes(0)) {
    assert.ok(performance.now() - began < 30_000, 'the helpers are not asked');
    await worker.answer(samples[0].file);
  }
  return { worker, helpers };
}

/** The symbols of some frames. @param {Awaited<ReturnType<typeof openWorker>>} worker */
async function symbols(worker) {
  const found = [];
  for (const { file } of samples.slice(0, FRAMES)) {
    const latent = (await worker.answer(file, null, true)).latent?.symbols ?? [];
    assert.ok(latent.some((symbol) => symbol !== 0));
    found.push([...latent]);
  }
  return found;
}

test('with helpers the symbols are the same', async () => {
  const [alone, helped] = [await start(1), await start(3)];
  const wanted = await symbols(alone.worker);
  for (const [index, latent] of (await symbols(helped.worker)).entries()) {
    // Sums come in another order: a value that lies between two symbols may go to the other.
    const others = latent.filter((symbol, at) => symbol !== wanted[index][at]);
    assert.equal(latent.length, wanted[index].length);
    assert.ok(others.length <= 2, `${others.length} of ${latent.length} symbols`);
  }
  await alone.worker.close();
  await helped.worker.close();
});

test('where a helper ends without a word, the device does without', async () => {
  const { worker, helpers } = await start(2);
  await helpers[0].evaluate(() => globalThis.close()).catch(() => {});
  const sample = samples[1];
  assert.equal((await worker.answer(sample.file)).answer.top[0].class, sample.class);
  const began = performance.now();
  assert.equal((await worker.answer(sample.file)).answer.top[0].class, sample.class);
  assert.ok(performance.now() - began < 4_000, 'it is not waited for again');
  await worker.close();
});

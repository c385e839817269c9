// WebGPU, in software: that it is right, and that a missing one is never silent.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { readFile } from 'node:fs/promises';
import { answered, launch, open, SOFTWARE_WEBGPU, top } from './support/browser.mjs';
import { EdgeServer } from './support/server.mjs';

const { samples } = JSON.parse(await readFile(new URL('../samples/samples.json', import.meta.url), 'utf8'));

/** @type {EdgeServer} */
let server;
before(async () => { server = await EdgeServer.start(); });
after(() => server?.kill());

test('the stem split gives the right labels on WebGPU', async () => {
  const browser = await launch(SOFTWARE_WEBGPU);
  const model = await server.model();
  const codec = model.codecs.find((/** @type {any} */ { split }) => split === 'stem');
  const { page, close } = await open(browser, `${server.url}/?backend=webgpu&split=stem&rate=${codec.rates.at(-1).name}`);
  await answered(page);
  assert.match((await page.textContent('#backend-badge')) ?? '', /^WebGPU/);
  assert.equal(await page.getAttribute('#backend-badge', 'data-state'), 'good');
  for (const sample of samples.slice(0, 3)) {
    await page.click(`.sample[data-file="${sample.file}"]`);
    await answered(page);
    const [best] = await top(page);
    assert.equal(best.class, sample.class, `${sample.name} was taken for ${best.name} (${best.share})`);
  }
  await close();
  await browser.close();
});

test('by itself the page prefers the CPU to an emulated GPU, and says so', async () => {
  const browser = await launch(SOFTWARE_WEBGPU);
  const { page, close } = await open(browser, server.url);
  await answered(page);
  assert.match((await page.textContent('#engine-backend')) ?? '', /^CPU.*WebGPU is only emulated in software here/);
  assert.equal(await page.getAttribute('#backend-badge', 'data-state'), 'warn');
  await close();
  await browser.close();
});

test('where WebGPU is asked for and missing, the page runs on the CPU and says why', async () => {
  const browser = await launch(['--disable-gpu', '--disable-blink-features=WebGPU']);
  const { page, close } = await open(browser, `${server.url}/?backend=webgpu`);
  await answered(page);
  assert.match((await page.textContent('#engine-backend')) ?? '', /^CPU.*WebGPU was asked for, but (this browser has no WebGPU|WebGPU finds no graphics adapter)/);
  assert.equal(await page.getAttribute('#backend-badge', 'data-state'), 'warn');
  await close();
  await browser.close();
});

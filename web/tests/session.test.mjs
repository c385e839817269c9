// Charts, sums, the visitor's place on the curve, export, and the address that brings it all back.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readFile } from 'node:fs/promises';
import { answered, chooseSample, frameBytes, open } from './support/browser.mjs';
import { running } from './support/running.mjs';

const demo = running();

/** @typedef {import('playwright-core').Page} Page */

/** @param {Page} page @param {string} button @returns {Promise<string>} */
async function saved(page, button) {
  const [download] = await Promise.all([page.waitForEvent('download'), page.click(button)]);
  return readFile(await download.path(), 'utf8');
}

test('sums are of the frames in the cost table; the export has every frame', async () => {
  const { page, close } = await open(demo.browser, `${demo.server.url}/?backend=cpu`);
  await answered(page);
  const cost = async (/** @type {string} */ way) => Number((await page.textContent(`[data-way="${way}"] .bytes`))?.replaceAll(',', ''));
  let [features, jpeg] = [0, 0];
  for (const [index, file] of ['zebra.jpg', 'daisy.jpg', 'snail.jpg'].entries()) {
    if (index > 0) await chooseSample(page, file);
    await page.waitForFunction((frames) => new RegExp(`^The ${frames} frames? of`).test(document.getElementById('sums-note')?.textContent ?? ''), index + 1);
    features += await cost('features');
    jpeg += await cost('jpeg');
  }
  const json = JSON.parse(await saved(page, '#export-json'));
  assert.equal(json.sums.frames, 3);
  assert.equal(json.sums.features, features);
  assert.equal(json.sums.jpeg, jpeg);
  assert.equal(json.sums.raw, 3 * 224 * 224 * 3);
  assert.equal(json.frames.length, 3);
  assert.equal(json.frames.reduce((/** @type {number} */ sum, /** @type {any} */ { up }) => sum + up, 0), features);
  assert.match((await page.textContent('#session-sum')) ?? '', /as features, .* as JPEG: 3 frames/);

  const [head, ...lines] = (await saved(page, '#export-csv')).trim().split('\r\n');
  assert.match(head, /^time,frame,source,way,setting,bytes_up,bytes_down,ms_to_label,ms_capture,.*,ms_answer,class,label/);
  assert.equal(lines.length, 3);
  assert.match(lines[1], /,Daisy,features,/);
  await close();
});

test('charts follow the frames, and the ring on the curve is the newest frame', async () => {
  const { page, close } = await open(demo.browser, `${demo.server.url}/?backend=cpu`);
  await answered(page);
  await page.evaluate(() => document.getElementById('charts')?.scrollIntoView());
  const bytes = await frameBytes(page);
  await page.waitForFunction((text) => document.querySelector('[data-figure="bytes"]')?.textContent === text, `${bytes.toLocaleString('en')} B`);
  assert.match((await page.textContent('[data-figure="ms"]')) ?? '', /ms|s$/);
  const inked = await page.$eval('#charts canvas', (canvas) => {
    const { width, height } = /** @type {HTMLCanvasElement} */ (canvas);
    const pixels = /** @type {HTMLCanvasElement} */ (canvas).getContext('2d')?.getImageData(0, 0, width, height).data ?? [];
    return pixels.some((value) => value > 0);
  });
  assert.ok(inked, 'the chart is empty');
  const model = await demo.server.model();
  const points = model.codecs.reduce((/** @type {number} */ sum, /** @type {any} */ { rates }) => sum + rates.length, 0);
  assert.equal(await page.$$eval('#curve circle.dot', (all) => all.length), points, 'one point a rate');
  assert.equal(await page.getAttribute('#curve .you', 'data-bytes'), String(bytes));
  assert.equal(await page.getAttribute('#curve .you', 'visibility'), 'visible');
  await close();
});

test('the link to this page brings it all back', async () => {
  const first = await open(demo.browser, `${demo.server.url}/?backend=cpu`);
  await answered(first.page);
  await first.page.check('#presets input[value="lte"]', { force: true });
  await first.page.check('#same-bytes');
  await first.page.uncheck('input[name="way"][value="webp"]');
  await first.page.click('#compare-button');
  await chooseSample(first.page, 'pizza.jpg');
  const address = (await first.page.getAttribute('#permalink', 'href')) ?? '';
  await first.close();

  const { page, close } = await open(demo.browser, address);
  await answered(page);
  assert.equal(await page.getAttribute('.sample[data-file="pizza.jpg"]', 'aria-pressed'), 'true');
  assert.ok(await page.isChecked('#presets input[value="lte"]'));
  assert.ok(await page.isChecked('#same-bytes'));
  assert.ok(!(await page.isChecked('input[name="way"][value="webp"]')));
  assert.equal(await page.textContent('#compare-button'), 'Stop comparing');
  assert.equal(await page.getAttribute('#permalink', 'href'), address);
  await close();
});

// The ways side by side, on the same frames, over the real server and emulated links.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readFile } from 'node:fs/promises';
import { answered, chooseSample, compared, open, top } from './support/browser.mjs';
import { running } from './support/running.mjs';

const { samples } = JSON.parse(await readFile(new URL('../samples/samples.json', import.meta.url), 'utf8'));

const demo = running();

/** @typedef {import('playwright-core').Page} Page */

/** @param {Page} page @returns {Promise<Record<string, { class: number, agrees: string, up: number, ms: number, setting: string, steps: Record<string, number> }>>} */
async function rows(page) {
  const shown = await page.$$eval('#way-rows tr:not([hidden])', (all) => all.map((row) => ({
    key: /** @type {HTMLElement} */ (row).dataset.key ?? '',
    class: Number(/** @type {HTMLElement} */ (row).dataset.class),
    agrees: /** @type {HTMLElement} */ (row).dataset.agrees ?? '',
    up: row.querySelector('.up')?.textContent ?? '',
    ms: row.querySelector('.ms')?.textContent ?? '',
    setting: row.querySelector('th small')?.textContent ?? '',
    steps: Object.fromEntries([...row.querySelectorAll('[data-part]')].map((part) => [/** @type {HTMLElement} */ (part).dataset.part, Number(/** @type {HTMLElement} */ (part).style.getPropertyValue('--share'))])),
  })));
  return Object.fromEntries(shown.map(({ key, up, ms, ...row }) => [key, { ...row, up: bytes(up), ms: Number(ms.replace(/[^\d.]/g, '')) }]));
}

/** @param {string} text such as `1,219 B`, `10.1 kB` */
function bytes(text) {
  const value = Number(text.replace(/[^\d.]/g, ''));
  return text.endsWith('kB') ? value * 1000 : value;
}

test('features, JPEG, WebP and raw pixels answer for the same frame', async () => {
  const { page, close } = await open(demo.browser, `${demo.server.url}/?backend=cpu`);
  await answered(page);
  await page.click('#compare-button');
  await compared(page);
  const of = await rows(page);
  assert.deepEqual(Object.keys(of), ['features', 'jpeg', 'webp', 'raw']);
  for (const [key, row] of Object.entries(of)) assert.equal(row.class, samples[0].class, `${key} takes the ${samples[0].name} for class ${row.class}`);
  assert.ok(of.features.up < of.webp.up && of.webp.up < of.raw.up, JSON.stringify(of));
  assert.ok(Math.abs(of.raw.up - (224 * 224 * 3 + 20)) < 1000, `raw pixels cost ${of.raw.up} bytes`);
  assert.equal(of.raw.agrees, 'true', 'the uncompressed network agrees with itself');
  // What runs where.
  assert.ok(of.features.steps.front > 0 && of.jpeg.steps.front === 0, 'only features need the front here');
  for (const key of Object.keys(of)) assert.ok(of[key].steps.tail > 0, `${key} has a time on the server`);
  assert.match((await page.textContent('#verdict')) ?? '', /times fewer bytes than JPEG/);

  // The upper half shows the first way, and another picture goes all of them.
  await chooseSample(page, 'daisy.jpg');
  await compared(page);
  const daisy = samples.find((/** @type {any} */ { file }) => file === 'daisy.jpg');
  assert.equal((await top(page))[0].class, daisy.class);
  for (const [key, row] of Object.entries(await rows(page))) assert.equal(row.class, daisy.class, key);
  await page.click('#compare-button');
  assert.equal(await page.textContent('#compare-button'), 'Start comparing');
  await close();
});

test('at the bytes of the features, JPEG and WebP cost no more, or say that they cannot', async () => {
  const { page, close } = await open(demo.browser, `${demo.server.url}/?backend=cpu&compare=features,jpeg,webp,raw&bytes=same`);
  await answered(page);
  await compared(page);
  const of = await rows(page);
  for (const key of ['jpeg', 'webp']) {
    const { up, setting } = of[key];
    assert.match(setting, /quality \d+/);
    if (setting.includes('still more than the features')) assert.match(setting, /quality 1:/);
    else assert.ok(up <= of.features.up, `${key}: ${up} bytes, features ${of.features.up}`);
  }
  await close();
});

test('all on this device: only when asked for, with progress, and then without the server', async () => {
  const { page, close } = await open(demo.browser, `${demo.server.url}/?backend=cpu&split=stem`, { allow: /WebSocket connection to .* failed|ERR_CONNECTION_(REFUSED|RESET)/ });
  await answered(page);
  assert.ok(await page.isDisabled('input[name="way"][value="device"]'), 'it cannot be ticked before');
  const fetched = () => page.evaluate(() => performance.getEntriesByType('resource').length);
  await fetched();
  /** @type {string[]} */
  const requests = [];
  page.on('request', (request) => requests.push(new URL(request.url()).pathname));
  await page.waitForTimeout(500);
  assert.ok(!requests.some((path) => path.includes('stage4')), 'nothing is downloaded before');
  await page.click('#whole-button');
  await page.waitForFunction(() => /The whole network is here/.test(document.getElementById('whole-note')?.textContent ?? ''));
  assert.match((await page.textContent('#whole-note')) ?? '', /\d+(\.\d+)? MB/, 'the size is told');
  assert.ok(await page.isChecked('input[name="way"][value="device"]'));
  await page.click('#compare-button');
  await compared(page);
  const of = await rows(page);
  assert.equal(of.device.class, samples[0].class);
  assert.equal(of.device.up, 0);
  assert.equal(of.device.steps.send + of.device.steps.tail, 0, 'nothing happens elsewhere');
  assert.equal(of.device.class, of.raw.class, 'the same network here and there');
  await close();
});

test('the emulated link is labelled, shapes what is sent, and the dials reach it', async () => {
  const { page, close } = await open(demo.browser, `${demo.server.url}/?backend=cpu&compare=features,raw`);
  await answered(page);
  await compared(page);
  assert.ok(await page.isHidden('#emulation-badge'));
  const free = await rows(page);
  await page.check('#presets input[value="3g"]', { force: true });
  assert.match((await page.textContent('#emulation-badge')) ?? '', /Emulated link: 3G, 750 kbit\/s/);
  await compared(page);
  const slow = await rows(page);
  const least = 150 + (slow.raw.up * 8) / 750;
  assert.ok(slow.raw.ms >= least, `raw pixels took ${slow.raw.ms} ms; the link alone takes ${least.toFixed(0)}`);
  assert.ok(slow.features.ms >= 150 && slow.raw.ms > slow.features.ms && slow.raw.ms > free.raw.ms);
  assert.match((await page.getAttribute('#permalink', 'href')) ?? '', /link=3g/);

  await page.check('#presets input[value="radio"]', { force: true });
  await page.focus('#snr');
  await page.keyboard.press('End');
  // 1 MHz at 30 dB.
  assert.match((await page.textContent('#kbps-value')) ?? '', /^10(\.0)? Mbit\/s/);
  await page.focus('#rtt');
  await page.keyboard.press('Home');
  assert.equal(await page.textContent('#rtt-value'), '0 ms');
  await page.check('#presets input[value="none"]', { force: true });
  assert.ok(await page.isHidden('#emulation-badge'));
  await close();
});

test('automatic: the decision, its estimates and its log are shown', async () => {
  const { page, close } = await open(demo.browser, `${demo.server.url}/?backend=cpu`);
  await answered(page);
  await page.check('#automatic');
  await page.waitForSelector('#estimates:not([hidden])');
  assert.match((await page.textContent('#decision')) ?? '', /^Automatic: \S/);
  assert.ok(await page.$$eval('#estimate-rows tr', (all) => all.length) >= 3, 'several ways are estimated');
  assert.equal(await page.$$eval('#estimate-rows tr.ours', (all) => all.length), 1, 'the chosen one is marked');
  assert.ok(await page.$$eval('#decisions li', (all) => all.length) >= 1, 'it is logged');
  assert.match((await page.getAttribute('#permalink', 'href')) ?? '', /goal=latency:0\.8/);
  await page.uncheck('#automatic');
  assert.ok(await page.isHidden('#decision'));
  await close();
});

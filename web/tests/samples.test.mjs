// The built-in pictures and picked ones, on the CPU backend.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readFile } from 'node:fs/promises';
import { size } from '../page/format.js';
import { answered, chooseCodec, chooseSample, frameBytes, notices, open, top } from './support/browser.mjs';
import { running } from './support/running.mjs';

const demo = running();

const { samples } = JSON.parse(await readFile(new URL('../samples/samples.json', import.meta.url), 'utf8'));

for (const [backend, shown] of [['cpu', 'CPU (relaxed SIMD)'], ['simd', 'CPU (SIMD)'], ['scalar', 'CPU']]) {
  test(`every sample gets its label on ${backend}`, async () => {
    const { page, close } = await open(demo.browser, `${demo.server.url}/?backend=${backend}`);
    await answered(page);
    const badge = (await page.textContent('#backend-badge')) ?? '';
    assert.equal(badge, shown.replace('relaxed ', ''), 'the badge names what runs');
    assert.ok((await page.textContent('#engine-backend'))?.startsWith(shown), 'the facts name the package');
    for (const sample of samples) {
      await chooseSample(page, sample.file);
      const [best] = await top(page);
      assert.equal(best.class, sample.class, `${sample.name} was taken for ${best.name} (${best.share})`);
      assert.match((await page.textContent('#credit')) ?? '', new RegExp(sample.author.replace(/[^\w ]/g, '.')), 'the author is named');
    }
    await close();
  });
}

test('every cut that is offered classifies', async () => {
  const { page, close } = await open(demo.browser, `${demo.server.url}/?backend=cpu`);
  await answered(page);
  const model = await demo.server.model();
  for (const codec of model.codecs) {
    await chooseCodec(page, codec);
    const ambiguous = model.codecs.filter((/** @type {any} */ other) => other.split === codec.split).length > 1;
    const chosen = ambiguous ? `codec=${codec.name}` : `split=${codec.split}`;
    await page.waitForFunction((part) => /** @type {HTMLAnchorElement} */ (document.getElementById('permalink')).href.includes(part), chosen);
    await answered(page);
    const [best] = await top(page);
    assert.equal(best.class, samples[0].class, `with ${codec.name}: ${best.name}`);
  }
  await close();
});

test('the rate changes the bytes, and the address reproduces it', async () => {
  const model = await demo.server.model();
  const codec = model.codecs[0];
  const bytes = [];
  for (const rate of [codec.rates[0], codec.rates.at(-1)]) {
    const { page, close } = await open(demo.browser, `${demo.server.url}/?backend=cpu&split=${codec.split}&rate=${rate.name}`);
    await answered(page);
    bytes.push(await frameBytes(page));
    assert.match((await page.textContent('#rate-value')) ?? '', new RegExp(`^${size(Math.round(rate.mean_bytes))} `));
    await close();
  }
  assert.ok(bytes[0] < bytes[1], `the lowest rate costs ${bytes[0]} bytes, the highest ${bytes[1]}`);

  const { page, close } = await open(demo.browser, `${demo.server.url}/?backend=cpu&split=${codec.split}&rate=${codec.rates[0].name}`);
  await answered(page);
  await page.focus('#rate');
  await page.keyboard.press('End');
  await page.waitForFunction((before) => document.getElementById('way-network')?.title !== before, `${bytes[0]} bytes, header included`);
  assert.equal(await frameBytes(page), bytes[1], 'the slider gives what the address gives');
  await close();
});

test('the comparison is of the same frame', async () => {
  const { page, close } = await open(demo.browser, `${demo.server.url}/?backend=cpu`);
  await answered(page);
  await page.waitForFunction(() => document.querySelector('[data-way="features"] .bytes')?.textContent !== '–');
  /** @param {string} way */
  const bytes = async (way) => Number((await page.textContent(`[data-way="${way}"] .bytes`))?.replaceAll(',', ''));
  assert.equal(await bytes('raw'), 224 * 224 * 3);
  assert.equal(await bytes('features'), await frameBytes(page));
  const [png, jpeg, webp] = [await bytes('png'), await bytes('jpeg'), await bytes('webp')];
  assert.ok(png > jpeg && jpeg > 1000 && webp > 1000, `png ${png}, jpeg ${jpeg}, webp ${webp}`);

  await page.focus('#quality');
  await page.keyboard.press('Home');
  await page.waitForFunction((before) => Number(document.querySelector('[data-way="jpeg"] .bytes')?.textContent?.replaceAll(',', '')) < before, jpeg);
  assert.equal(await bytes('png'), png, 'PNG has no quality');
  await close();
});

test('a picked picture is classified, and an unreadable one is refused with advice', async () => {
  const { page, close } = await open(demo.browser, `${demo.server.url}/?backend=cpu`);
  await answered(page);
  const pizza = samples.find((/** @type {any} */ { file }) => file === 'pizza.jpg');
  await page.setInputFiles('#file', { name: 'lunch.jpg', mimeType: 'image/jpeg', buffer: await readFile(new URL('../samples/pizza.jpg', import.meta.url)) });
  await answered(page);
  assert.equal((await top(page))[0].class, pizza.class);

  await page.setInputFiles('#file', { name: 'notes.jpg', mimeType: 'image/jpeg', buffer: Buffer.from('no picture at all') });
  await page.waitForSelector('.notice');
  assert.match((await notices(page))[0], /notes\.jpg.*cannot be read.*JPEG, PNG/);
  await close();
});

test('an address with settings that the server cannot fulfil says what it has', async () => {
  const { page, close } = await open(demo.browser, `${demo.server.url}/?backend=cpu&split=stage9`);
  await page.waitForSelector('.notice');
  assert.match((await notices(page)).join(), /does not have.*split=/);
  await close();
});

// The page at both ends of the widths, light and dark, and by keyboard alone.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { mkdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readFile } from 'node:fs/promises';
import { answered, open, top } from './support/browser.mjs';
import { running } from './support/running.mjs';

const { samples } = JSON.parse(await readFile(new URL('../samples/samples.json', import.meta.url), 'utf8'));
const SHOTS = process.env.SCREENSHOTS ?? join(tmpdir(), 'aecnn-screenshots');

const demo = running({ prepare: () => mkdir(SHOTS, { recursive: true }) });

for (const width of [360, 1440]) {
  for (const colorScheme of /** @type {const} */ (['light', 'dark'])) {
    test(`fits at ${width} px, ${colorScheme}`, async (context) => {
      const { page, close } = await open(demo.browser, `${demo.server.url}/?backend=cpu`, { viewport: { width, height: 900 }, colorScheme });
      await answered(page);
      await page.waitForFunction(() => document.querySelector('[data-way="features"] .bytes')?.textContent !== '–');
      const path = join(SHOTS, `page-${width}-${colorScheme}.png`);
      await page.screenshot({ path, fullPage: true });
      context.diagnostic(path);
      assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), width, 'the page scrolls sideways');
      const wide = await page.$$eval('body *', (all, limit) => all
        .filter((one) => one.getClientRects().length > 0 && !one.closest('.visually-hidden, .stage, .skip, .table') && one.getBoundingClientRect().right > limit + 0.5)
        .map((one) => `${one.tagName.toLowerCase()}#${one.id}.${one.className}`), width);
      assert.deepEqual(wide, [], 'elements stick out');
      const background = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
      const [red] = (background.match(/\d+/g) ?? []).map(Number);
      assert.ok(colorScheme === 'dark' ? red < 60 : red > 200, `the background is ${background}`);
      await close();
    });
  }
}

test('everything can be reached and operated with the keyboard', async () => {
  const { page, close } = await open(demo.browser, `${demo.server.url}/?backend=cpu`);
  await answered(page);
  /** @type {string[]} */
  const reached = [];
  for (let step = 0; step < 150; step += 1) {
    await page.keyboard.press('Tab');
    const focus = await page.evaluate(() => {
      const element = document.activeElement;
      if (!(element instanceof HTMLElement) || element === document.body) return null;
      const shown = element.closest('label') ?? element;
      const visible = [element, shown].some((one) => getComputedStyle(one).outlineStyle !== 'none');
      return { id: element.id || element.dataset.file || /** @type {any} */ (element).name || element.tagName, visible };
    });
    if (!focus) break;
    assert.ok(focus.visible, `${focus.id} has the focus and does not show it`);
    reached.push(focus.id);
  }
  for (const id of ['camera-button', 'file', 'zebra.jpg', 'split', 'codec', 'rate', 'quality', 'compare-button', 'way', 'same-bytes', 'whole-button', 'preset', 'kbps', 'automatic', 'goal', 'floor', 'export-csv', 'permalink']) {
    assert.ok(reached.includes(id), `${id} cannot be reached; there were ${reached.join(', ')}`);
  }

  await page.focus('.sample[data-file="snail.jpg"]');
  await page.keyboard.press('Enter');
  await answered(page);
  const snail = samples.find((/** @type {any} */ { file }) => file === 'snail.jpg');
  assert.equal((await top(page))[0].class, snail.class);
  assert.match((await page.textContent('#announce')) ?? '', /snail, [\d.]+ %/, 'screen readers are told');

  // Radio buttons move with the arrows.
  for (const group of ['split', 'codec']) {
    const before = await page.getAttribute('#permalink', 'href');
    await page.focus(`input[name="${group}"]:checked`);
    await page.keyboard.press('ArrowRight');
    await page.waitForFunction((href) => document.getElementById('permalink')?.getAttribute('href') !== href, before);
    await answered(page);
  }
  await close();
});

test('controls have names', async () => {
  const { page, close } = await open(demo.browser, `${demo.server.url}/?backend=cpu`);
  await answered(page);
  const nameless = await page.$$eval('button, input, a[href], progress', (all) => all.filter((one) => {
    const labels = 'labels' in one ? /** @type {HTMLInputElement} */ (one).labels : null;
    const name = one.getAttribute('aria-label') ?? one.getAttribute('aria-labelledby')
      ?? (labels?.length ? labels[0].textContent : null) ?? (one.textContent || one.querySelector('img')?.alt);
    return !name?.trim();
  }).map((one) => one.outerHTML.slice(0, 120)));
  assert.deepEqual(nameless, []);
  await close();
});

// axe-core finds nothing, at both ends of the widths, light and dark, with everything unfolded and running.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { test } from 'node:test';
import { answered, compared, open } from './support/browser.mjs';
import { running } from './support/running.mjs';

const AXE = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

const demo = running();

/** @param {import('playwright-core').Page} page @returns {Promise<string[]>} */
async function complaints(page) {
  // Colours on their way from one to another have no contrast of their own.
  await page.waitForTimeout(400);
  await page.evaluate(AXE);
  return page.evaluate(async () => {
    const { violations } = await /** @type {any} */ (window).axe.run();
    return violations.flatMap((/** @type {any} */ { id, nodes }) => nodes.map((/** @type {any} */ node) => `${id}: ${node.target.join(' ')}: ${node.failureSummary}`));
  });
}

for (const width of [360, 1440]) {
  for (const colorScheme of /** @type {const} */ (['light', 'dark'])) {
    test(`axe-core finds nothing at ${width} px, ${colorScheme}`, async () => {
      const { page, close } = await open(demo.browser, `${demo.server.url}/?backend=cpu&compare=features,jpeg,raw&link=lte`, { viewport: { width, height: 900 }, colorScheme });
      await answered(page);
      await compared(page);
      assert.deepEqual(await complaints(page), [], 'folded');
      await page.evaluate(() => { for (const details of document.querySelectorAll('details')) details.open = true; });
      await page.check('#automatic');
      await page.waitForSelector('#estimates:not([hidden])');
      assert.deepEqual(await complaints(page), [], 'unfolded');
      await close();
    });
  }
}

test('nothing moves for those who do not want it', async () => {
  const { page, close } = await open(demo.browser, `${demo.server.url}/?backend=cpu`, { reducedMotion: 'reduce' });
  await answered(page);
  const moving = await page.$$eval('body *', (all) => all
    .filter((one) => getComputedStyle(one).transitionDuration !== '0s' || getComputedStyle(one).animationName !== 'none')
    .map((one) => `${one.tagName}#${one.id}.${one.className}`));
  assert.deepEqual(moving, []);
  await close();
});

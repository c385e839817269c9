// Takes the README's pictures of the page, a real run: `node tests/screenshot.mjs [sample.jpg]`, or `cargo xtask
// screenshots`. Needs what the browser tests need.

import { mkdir } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { answered, chooseSample, compared, launch, open } from './support/browser.mjs';
import { EdgeServer } from './support/server.mjs';

const FOLDER = fileURLToPath(new URL('../../docs/screenshots/', import.meta.url));
const sample = process.argv[2] ?? 'fire-engine.jpg';
/** Pictures that go by before the one that is shown, so that charts and means have something to tell. */
const BEFORE = ['zebra.jpg', 'daisy.jpg', 'snail.jpg', 'pizza.jpg', 'sports-car.jpg'];

/** Pixels above and below what is shown. */
const MARGIN = 24;

await mkdir(FOLDER, { recursive: true });
const server = await EdgeServer.start();
const browser = await launch();
for (const width of [1440, 360]) {
  for (const colorScheme of /** @type {const} */ (['light', 'dark'])) {
    const { page, close } = await open(browser, `${server.url}/?backend=cpu&link=edge&compare=features,jpeg,webp,raw`, { viewport: { width, height: 900 }, deviceScaleFactor: 1, colorScheme });
    await answered(page);
    await page.click('#whole-button');
    await page.waitForFunction(() => /is here/.test(document.getElementById('whole-note')?.textContent ?? ''));
    for (const file of [...BEFORE, sample]) {
      await chooseSample(page, file);
      await compared(page);
    }
    // Bars move for a moment after the numbers are there.
    await page.waitForTimeout(600);
    for (const [name, first, last] of [['page', '.masthead', '[aria-labelledby="cost-title"]'], ['compare', '#compare', '#compare'], ['session', '#session', '#session']]) {
      // Charts are drawn where they are seen.
      await page.$eval(first, (part) => part.scrollIntoView());
      await page.waitForTimeout(600);
      await page.evaluate(() => window.scrollTo(0, 0));
      const [top, bottom] = await page.evaluate(([first, last]) => [document.querySelector(first)?.getBoundingClientRect().top ?? 0, document.querySelector(last)?.getBoundingClientRect().bottom ?? 0], [first, last]);
      const path = `${FOLDER}${name}-${width}-${colorScheme}.png`;
      await page.screenshot({ path, clip: { x: 0, y: Math.max(0, top - MARGIN), width, height: bottom - Math.max(0, top - MARGIN) + MARGIN / 2 }, fullPage: true });
      console.log(path);
    }
    await close();
  }
}
await browser.close();
await server.kill();

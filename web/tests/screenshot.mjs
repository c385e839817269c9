// Takes the README's picture of the page, a real run: `node tests/screenshot.mjs [sample.jpg]`.
// Needs what the browser tests need.

import { fileURLToPath } from 'node:url';
import { answered, launch, open } from './support/browser.mjs';
import { EdgeServer } from './support/server.mjs';

const PATH = fileURLToPath(new URL('../../docs/screenshot.png', import.meta.url));
const sample = process.argv[2] ?? 'fire-engine.jpg';

const server = await EdgeServer.start();
const browser = await launch();
const { page, close } = await open(browser, server.url, { viewport: { width: 1280, height: 900 }, deviceScaleFactor: 1 });
await answered(page);
await page.click(`.sample[data-file="${sample}"]`);
await answered(page);
// Bars move for a moment after the numbers are there.
await page.waitForFunction(() => document.querySelector('[data-way="features"] .bytes')?.textContent !== '–');
await page.waitForTimeout(600);
await page.evaluate(() => window.scrollTo(0, 0));
await page.screenshot({ path: PATH, clip: { x: 0, y: 0, width: 1280, height: 1632 }, fullPage: true });
await close();
await browser.close();
await server.kill();
console.log(PATH);

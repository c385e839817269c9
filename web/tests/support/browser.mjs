// A real Chromium with the page in it.

import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { chromium } from 'playwright-core';

/** @typedef {import('playwright-core').Page} Page */
/** @typedef {import('playwright-core').Browser} Browser */

/** Loading and the first pass take long on a busy machine, above all on an emulated GPU. */
export const PATIENCE_MS = 90_000;

const PLACES = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome', '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome'];

/** WebGPU in software: proves that it is right, says nothing about its speed. */
export const SOFTWARE_WEBGPU = ['--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader', '--enable-features=Vulkan'];

/** A webcam that shows a film. @param {string} film @returns {string[]} */
export const FAKE_CAMERA = (film) => ['--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream', `--use-file-for-fake-video-capture=${film}`];

/** @param {string[]} [flags] @returns {Promise<Browser>} */
export async function launch(flags = []) {
  const executablePath = process.env.CHROMIUM ?? PLACES.find((path) => existsSync(path));
  if (!executablePath) throw new Error('no Chromium found: install it or name it in CHROMIUM');
  return chromium.launch({ executablePath, args: ['--no-sandbox', ...flags] });
}

/**
 * Opens the page. `check` fails when the browser's console showed an error, which is also where
 * shader compilers complain.
 * @param {Browser} browser @param {string} url
 * @param {import('playwright-core').BrowserContextOptions & { allow?: RegExp, prepare?: (page: Page) => unknown }} [options]
 */
export async function open(browser, url, { allow, prepare, ...options } = {}) {
  const context = await browser.newContext({ viewport: { width: 1440, height: 1000 }, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE_MS);
  /** @type {string[]} */
  const errors = [];
  page.on('console', (message) => {
    if (message.type() === 'error' && !allow?.test(message.text())) errors.push(message.text());
  });
  page.on('pageerror', (error) => errors.push(`uncaught: ${error.message}`));
  await prepare?.(page);
  await page.goto(url);
  return {
    page,
    check: () => assert.deepEqual(errors, [], 'the console shows errors'),
    close: async () => {
      await context.close();
      assert.deepEqual(errors, [], 'the console shows errors');
    },
  };
}

/** Waits until the labels belong to the picture that is shown. @param {Page} page */
export async function answered(page) {
  await page.waitForFunction(() => {
    const notice = document.querySelector('.notice');
    return notice || document.getElementById('answer')?.getAttribute('aria-busy') === 'false';
  });
  assert.deepEqual(await notices(page), [], 'the page shows a notice');
}

/** Waits until frames of the camera are answered. @param {Page} page */
export async function streaming(page) {
  await page.waitForFunction(() => Number(document.getElementById('fact-fps')?.textContent) > 0);
}

/** Waits until the picture that is shown has gone all its ways. @param {Page} page */
export async function compared(page) {
  await page.waitForFunction(() => document.querySelector('.notice') || document.querySelector('#ways[aria-busy="false"] [data-class]'));
  assert.deepEqual(await notices(page), [], 'the page shows a notice');
}

/** @param {Page} page @returns {Promise<{ class: number, name: string, share: string }[]>} */
export function top(page) {
  return page.$$eval('#top li:not([hidden])', (rows) => rows.map((row) => ({
    class: Number(/** @type {HTMLElement} */ (row).dataset.class),
    name: row.querySelector('.name')?.textContent ?? '',
    share: row.querySelector('.share')?.textContent ?? '',
  })));
}

/** @param {Page} page */
export function notices(page) {
  return page.$$eval('.notice', (all) => all.map((one) => one.querySelector('b')?.textContent + ' ' + one.querySelector('p')?.textContent));
}

/** Bytes of the last frame that was answered, its header included. @param {Page} page */
export async function frameBytes(page) {
  return Number.parseInt((await page.getAttribute('#way-network', 'title')) ?? '', 10);
}

/** @param {Page} page @param {string} file */
export async function chooseSample(page, file) {
  await page.click(`.sample[data-file="${file}"]`);
  await answered(page);
}

/** Chooses a codec as people do: first its split. @param {Page} page @param {{ split: string, name: string }} codec */
export async function chooseCodec(page, { split, name }) {
  const shown = page.locator(`input[name="codec"][value="${name}"]`);
  await page.check(`input[name="split"][value="${split}"]`, { force: true });
  await shown.check({ force: true });
}

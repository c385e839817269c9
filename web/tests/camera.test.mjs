// The webcam: Chromium's fake one, showing a real picture.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { answered, FAKE_CAMERA, launch, notices, open, top } from './support/browser.mjs';
import { writeFilm } from './support/camera.mjs';
import { EdgeServer } from './support/server.mjs';

const { samples } = JSON.parse(await readFile(new URL('../samples/samples.json', import.meta.url), 'utf8'));
const shown = samples.find((/** @type {any} */ { file }) => file === 'daisy.jpg');

/** @type {EdgeServer} */
let server;
/** @type {string} */
let folder;

before(async () => {
  server = await EdgeServer.start();
  folder = await mkdtemp(join(tmpdir(), 'camera-'));
  const browser = await launch();
  const page = await browser.newPage();
  await page.goto(`${server.url}/healthz`);
  await writeFilm(page, `${server.url}/samples/${shown.file}`, join(folder, 'film.y4m'));
  await browser.close();
});
after(async () => {
  await server?.kill();
  if (folder) await rm(folder, { recursive: true });
});

test('the camera’s picture gets its label, live', async () => {
  const browser = await launch(FAKE_CAMERA(join(folder, 'film.y4m')));
  const { page, close } = await open(browser, `${server.url}/?backend=cpu`);
  await answered(page);
  await page.click('#camera-button');
  // Both counts and the frame rate belong to the camera: they begin anew with it.
  await page.waitForFunction(() => Number.parseInt(document.getElementById('fact-frames')?.textContent ?? '') >= 5);
  const [best] = await top(page);
  assert.equal(best.class, shown.class, `the camera’s ${shown.name} was taken for ${best.name} (${best.share})`);
  assert.ok(Number(await page.textContent('#fact-fps')) > 0.5, 'frames a second are shown');
  await page.waitForFunction(() => /at the present [\d.]+ frames\/s/.test(document.getElementById('cost-note')?.textContent ?? ''));
  for (const step of ['capture', 'preprocess', 'front', 'encode', 'code', 'send', 'queue', 'decode', 'tail', 'answer']) {
    assert.ok(Number((await page.textContent(`[data-step="${step}"]`))?.replaceAll(',', '')) >= 0, `${step} has a time`);
  }

  // While the page is hidden, nothing is sent.
  const count = () => page.textContent('#fact-frames');
  await page.evaluate(() => {
    Object.defineProperty(document, 'hidden', { value: true, configurable: true });
    document.dispatchEvent(new Event('visibilitychange'));
  });
  await page.waitForTimeout(1500);
  const before = Number.parseInt((await count()) ?? '');
  await page.waitForTimeout(1500);
  assert.equal(Number.parseInt((await count()) ?? ''), before, 'frames were processed while hidden');
  await page.evaluate(() => {
    Object.defineProperty(document, 'hidden', { value: false, configurable: true });
    document.dispatchEvent(new Event('visibilitychange'));
  });
  await page.waitForFunction((n) => Number.parseInt(document.getElementById('fact-frames')?.textContent ?? '') > n, before);

  await page.click('#camera-button');
  assert.equal(await page.textContent('#camera-button'), 'Start camera');
  assert.deepEqual(await notices(page), []);
  await close();
  await browser.close();
});

test('a refused camera is explained, and pictures still work', async () => {
  const browser = await launch(['--use-fake-device-for-media-stream', '--deny-permission-prompts']);
  const { page, close } = await open(browser, `${server.url}/?backend=cpu`);
  await answered(page);
  await page.click('#camera-button');
  await page.waitForSelector('.notice');
  assert.match((await notices(page))[0], /The camera was refused.*Allow it.*Start camera/);
  assert.equal(await page.textContent('#camera-button'), 'Start camera');
  await page.click('.notice button');
  await page.click('.sample[data-file="daisy.jpg"]');
  await answered(page);
  assert.equal((await top(page))[0].class, shown.class);
  await close();
  await browser.close();
});

test('a missing camera is explained', async () => {
  const browser = await launch(['--use-fake-device-for-media-stream=device-count=0', '--use-fake-ui-for-media-stream']);
  const { page, close } = await open(browser, `${server.url}/?backend=cpu`);
  await answered(page);
  await page.click('#camera-button');
  await page.waitForSelector('.notice');
  assert.match((await notices(page))[0], /No camera was found.*choose a picture/);
  await close();
  await browser.close();
});

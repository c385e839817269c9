// How the page behaves: it does not jank, survives without camera and server, and can be installed.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { answered, FAKE_CAMERA, launch, notices, open, streaming } from './support/browser.mjs';
import { writeFilm } from './support/camera.mjs';
import { EdgeServer } from './support/server.mjs';
import { mainThreadTasks } from './support/trace.mjs';

const LONGEST_MS = 50;
const STREAM_MS = 8000;
/** What Chromium itself logs while nobody listens. */
const NOBODY_LISTENS = /WebSocket connection to .* failed|ERR_CONNECTION_(REFUSED|RESET)|ERR_FAILED/;

/** @type {EdgeServer} */
let server;
/** @type {string} */
let folder;
before(async () => {
  server = await EdgeServer.start();
  folder = await mkdtemp(join(tmpdir(), 'manners-'));
  const browser = await launch();
  const page = await browser.newPage();
  await page.goto(`${server.url}/healthz`);
  await writeFilm(page, `${server.url}/samples/zebra.jpg`, join(folder, 'film.y4m'));
  await browser.close();
});
after(async () => {
  await server?.kill();
  if (folder) await rm(folder, { recursive: true });
});

for (const [name, query] of [['streaming', ''], ['comparing', '&compare=features,jpeg,webp,raw']]) {
  test(`no task above ${LONGEST_MS} ms keeps the page while ${name}`, async (context) => {
    const browser = await launch(FAKE_CAMERA(join(folder, 'film.y4m')));
    context.after(() => browser.close());
    const { page, close } = await open(browser, `${server.url}/?backend=cpu${query}`);
    await answered(page);
    await page.click('#camera-button');
    await streaming(page);
    // With the charts in view, for they are drawn only then.
    await page.evaluate(() => document.getElementById('charts')?.scrollIntoView());
    const tasks = await mainThreadTasks(page, () => page.waitForTimeout(STREAM_MS));
    assert.ok(tasks.length > 100, `only ${tasks.length} tasks were traced`);
    context.diagnostic(`${tasks.length} tasks; the longest took ${tasks[0].ms.toFixed(1)} ms of processor time (${tasks[0].what})`);
    assert.ok(tasks[0].ms <= LONGEST_MS, `${tasks[0].ms} ms: ${tasks[0].what}`);
    await close();
  });
}

test('an unplugged camera is reported, and it can be started again', async (context) => {
  const browser = await launch(FAKE_CAMERA(join(folder, 'film.y4m')));
  context.after(() => browser.close());
  const { page, close } = await open(browser, `${server.url}/?backend=cpu`);
  await answered(page);
  await page.click('#camera-button');
  await streaming(page);
  // What the browser tells the page when the camera goes.
  await page.evaluate(() => {
    const stream = /** @type {MediaStream} */ (/** @type {HTMLVideoElement} */ (document.getElementById('video')).srcObject);
    stream.getVideoTracks()[0].dispatchEvent(new Event('ended'));
  });
  await page.waitForSelector('.notice');
  assert.match((await notices(page))[0], /camera went away.*Plug it in again/);
  assert.equal(await page.textContent('#camera-button'), 'Start camera');
  await page.click('#camera-button');
  await streaming(page);
  assert.deepEqual(await notices(page), []);
  await close();
});

test('the second visit works without the server, up to the socket', async (context) => {
  const here = await EdgeServer.start();
  const browser = await launch();
  context.after(async () => {
    await browser.close();
    await here.kill();
  });
  const { page, close } = await open(browser, `${here.url}/?backend=cpu&split=stem`, { allow: NOBODY_LISTENS });
  await answered(page);
  await page.waitForFunction(() => document.documentElement.dataset.kept === 'true');
  await here.kill();
  await page.reload();
  // The device has started, from what was kept; then there is nobody to connect to.
  await page.waitForFunction(() => /\d/.test(document.getElementById('fact-cold')?.textContent ?? ''));
  await page.waitForSelector('.notice[data-name="link"]');
  assert.deepEqual((await notices(page)).map((text) => text.split('.')[0]), ['The server is gone']);
  assert.equal(await page.textContent('#backend-badge'), 'CPU (SIMD)');
  assert.match((await page.textContent('#credit')) ?? '', /Zebra/, 'the sample was kept, too');
  // And it goes on by itself when the server is there.
  await here.start();
  await page.waitForFunction(() => document.getElementById('link-badge')?.textContent === 'Connected');
  await answered(page);
  await close();
});

test('the page can be installed as an app', async (context) => {
  const browser = await launch();
  context.after(() => browser.close());
  const { page, close } = await open(browser, `${server.url}/?backend=cpu&split=stem`);
  await answered(page);
  await page.waitForFunction(() => document.documentElement.dataset.kept === 'true');
  const session = await page.context().newCDPSession(page);
  const { errors, url } = await session.send('Page.getAppManifest');
  assert.match(url, /app\.webmanifest$/);
  assert.deepEqual(errors, []);
  const { installabilityErrors } = await session.send('Page.getInstallabilityErrors');
  // A test's browser has a profile for guests only, which installs nothing.
  assert.deepEqual(installabilityErrors.map(({ errorId }) => errorId).filter((id) => id !== 'in-incognito'), []);
  await close();
});

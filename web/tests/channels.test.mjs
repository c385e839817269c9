// The channels that are sent: drawn in order, fewer on request, and the label follows.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { answered, frameBytes, open, top } from './support/browser.mjs';
import { running } from './support/running.mjs';

const demo = running();

test('dropping the last channels costs fewer bytes, and in the end the label', async () => {
  const { page, close } = await open(demo.browser, `${demo.server.url}/?backend=cpu&split=stage2`);
  await answered(page);
  await page.click('#channels summary');
  const note = () => page.textContent('#channel-note');
  await page.waitForFunction(() => /\d+ channels of/.test(document.getElementById('channel-note')?.textContent ?? ''));
  const all = Number(await page.getAttribute('#channel-count', 'max'));
  assert.match((await note()) ?? '', new RegExp(`^${all} channels of`), 'all channels of the rate are drawn');
  const painted = await page.$eval('#tiles', (canvas) => {
    const { width, height } = /** @type {HTMLCanvasElement} */ (canvas);
    const pixels = /** @type {HTMLCanvasElement} */ (canvas).getContext('2d')?.getImageData(0, 0, width, height).data ?? [];
    return new Set(pixels.filter((_, index) => index % 4 === 0)).size;
  });
  assert.ok(painted > 10, `the pictures have ${painted} shades`);
  const whole = { bytes: await frameBytes(page), best: (await top(page))[0] };

  /** @param {number} channels */
  const send = async (channels) => {
    await page.$eval('#channel-count', (slider, value) => {
      /** @type {HTMLInputElement} */ (slider).value = value;
      slider.dispatchEvent(new Event('input'));
    }, String(channels));
    await page.waitForFunction((wanted) => document.getElementById('channel-note')?.textContent?.startsWith(`${wanted} channel`), channels);
    return { bytes: await frameBytes(page), best: (await top(page))[0] };
  };
  const most = await send(Math.round(all * 0.6));
  assert.equal(most.best.class, whole.best.class, 'the less important channels decide nothing here');
  assert.ok(most.bytes < whole.bytes, `${most.bytes} bytes of ${whole.bytes}`);
  const one = await send(1);
  assert.ok(one.bytes < 100, `one channel costs ${one.bytes} bytes`);
  assert.ok(one.best.class !== whole.best.class || Number.parseFloat(one.best.share) < Number.parseFloat(whole.best.share), 'one channel is as good as all');
  assert.match((await page.getAttribute('#permalink', 'href')) ?? '', /channels=1(&|$)/);
  await close();
});

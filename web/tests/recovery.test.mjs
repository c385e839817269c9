// A graphics device that is lost: the worker goes on, on WebGPU and then on the CPU, and says so.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readFile } from 'node:fs/promises';
import { SOFTWARE_WEBGPU } from './support/browser.mjs';
import { running } from './support/running.mjs';
import { openWorker } from './support/worker.mjs';

const { samples } = JSON.parse(await readFile(new URL('../samples/samples.json', import.meta.url), 'utf8'));
/** What a browser and the device's library log when a device goes. */
const LOST = /lost|destroyed|Destroyed/;
/** Keeps the graphics devices that are made, so that they can be destroyed as a driver's reset would. */
const KEEP_DEVICES = `
self.gpuDevices = [];
const request = GPUAdapter.prototype.requestDevice;
GPUAdapter.prototype.requestDevice = async function (...options) {
  const device = await request.apply(this, options);
  self.gpuDevices.push(device);
  return device;
};
self.addEventListener('message', ({ data }) => {
  if (data.type === 'lose-device') self.gpuDevices.at(-1).destroy();
});
`;

const demo = running({ flags: SOFTWARE_WEBGPU });

test('a lost graphics device is started anew, and a second loss moves the device to the CPU', async () => {
  const model = await demo.server.model();
  const codec = model.codecs.find((/** @type {any} */ { split }) => split === 'stem');
  const worker = await openWorker(demo.browser, demo.server.url, { backend: 'webgpu', codec: codec.name, rate: codec.rates.at(-1).name }, {
    allow: LOST,
    prepare: (page) => page.route('**/worker/builds.js', async (route) => {
      const response = await route.fetch();
      await route.fulfill({ response, body: KEEP_DEVICES + (await response.text()) });
    }),
  });
  const sample = samples[0];
  assert.equal((await worker.answer(sample.file)).answer.top[0].class, sample.class);

  for (const [backend, fallback] of [[/^webgpu/, false], [/^cpu/, true]]) {
    const before = await worker.count();
    await worker.send(/** @type {any} */ ({ type: 'lose-device' }));
    await worker.heard({ type: 'recovering' }, before);
    // Sent while nothing runs: it is taken up when the device is there again.
    const answer = worker.answer(sample.file);
    await worker.heard({ type: 'ready', codec: codec.name }, before);
    assert.equal((await answer).answer.top[0].class, sample.class);
    const messages = await worker.since(before);
    const told = messages.find((message) => message.type === 'backend');
    assert.match(told?.type === 'backend' ? told.name : '', /** @type {RegExp} */ (backend));
    assert.equal(told?.type === 'backend' && told.fallback, fallback);
    assert.match(told?.type === 'backend' ? told.reason : '', /The graphics device was lost/);
    assert.ok(!messages.some((message) => message.type === 'failure'), JSON.stringify(messages.filter((message) => message.type === 'failure')));
  }
  await worker.close();
});

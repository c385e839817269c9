// What has to come over the wire before the first label: page, device, weights, codec, answer.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { answered, launch, open, SOFTWARE_WEBGPU } from './support/browser.mjs';
import { Meter } from './support/meter.mjs';
import { EdgeServer } from './support/server.mjs';

const BUDGET = 6_000_000;

/** @type {EdgeServer} */
let server;
before(async () => { server = await EdgeServer.start(); });
after(() => server?.kill());

for (const [backend, flags] of /** @type {[string, string[]][]} */ ([['cpu', []], ['webgpu', SOFTWARE_WEBGPU]])) {
  test(`at most 6 MB before the first label on ${backend}`, async (context) => {
    const meter = await Meter.start(server.port);
    const browser = await launch(flags);
    const { page, close } = await open(browser, `${meter.url}/?backend=${backend}&split=stem`);
    await answered(page);
    const { down } = meter;
    assert.match((await page.textContent('#backend-badge')) ?? '', backend === 'cpu' ? /^CPU/ : /^WebGPU/);
    context.diagnostic(`${(down / 1e6).toFixed(2)} MB over the wire before the first label on ${backend}`);
    assert.ok(down > 200_000, `only ${down} bytes were counted`);
    assert.ok(down <= BUDGET, `${down} bytes`);
    await close();
    await browser.close();
    meter.stop();
  });
}

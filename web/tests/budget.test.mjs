// What has to come over the wire before the first label: page, device, weights, codec, answer. `budget.mjs` prints the
// same for every codec, with times.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch, SOFTWARE_WEBGPU } from './support/browser.mjs';
import { measureBudget } from './support/budget.mjs';
import { EdgeServer } from './support/server.mjs';

const BUDGET = 6_000_000;
const SECOND_VISIT = 100_000;

/** @type {EdgeServer} */
let server;
before(async () => { server = await EdgeServer.start(); });
after(() => server?.kill());

for (const [backend, flags] of /** @type {[string, string[]][]} */ ([['cpu', []], ['webgpu', SOFTWARE_WEBGPU]])) {
  test(`at most 6 MB before the first label on ${backend}, and next to nothing the second time`, async (context) => {
    const browser = await launch(flags);
    const { backend: shown, bytes, coldMs, warmBytes, warmMs, longest } = await measureBudget(browser, server, `?backend=${backend}&split=stem`);
    assert.match(shown, backend === 'cpu' ? /^CPU/ : /^WebGPU/);
    context.diagnostic(`${(bytes / 1e6).toFixed(2)} MB and ${(coldMs / 1000).toFixed(1)} s to the first label on ${backend}; the second time ${(warmBytes / 1e6).toFixed(2)} MB and ${(warmMs / 1000).toFixed(1)} s; longest task ${longest.ms.toFixed(0)} ms (${longest.what})`);
    assert.ok(bytes > 200_000, `only ${bytes} bytes were counted`);
    assert.ok(bytes <= BUDGET, `${bytes} bytes`);
    assert.ok(warmBytes <= SECOND_VISIT, `${warmBytes} bytes the second time`);
    await browser.close();
  });
}

// What has to come over the wire before the first label.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { launch, open, answered } from './support/browser.mjs';
import { EdgeServer } from './support/server.mjs';

const BUDGET = 6_000_000;

// The build for browsers with WebGPU is the larger one. Asking for it makes Chromium, which has no
// adapter here, fetch it all the same where a software adapter is switched on.
for (const [backend, flags] of /** @type {[string, string[]][]} */ ([
  ['cpu', []],
  ['webgpu', ['--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader', '--enable-features=Vulkan']],
])) {
  test(`at most 6 MB before the first label on ${backend}`, async (context) => {
    const server = await EdgeServer.start();
    const browser = await launch(flags);
    try {
      let total = 0;
      /** @type {Map<string, string>} */
      const urls = new Map();
      /** @type {Map<string, number>} */
      const sizes = new Map();
      const { page, close } = await open(browser, `${server.url}/?backend=${backend}&split=stem`, {
        prepare: async (page) => {
          const root = await page.context().newCDPSession(page);
          // Workers are targets of their own: their traffic is counted through the root session.
          await root.send('Network.enable');
          root.on('Network.responseReceived', ({ requestId, response }) => urls.set(requestId, response.url));
          root.on('Network.loadingFinished', ({ requestId, encodedDataLength }) => {
            total += encodedDataLength;
            sizes.set(requestId, encodedDataLength);
          });
          /** @param {string} sessionId @param {string} method @param {object} [params] */
          await root.send('Target.setAutoAttach', { autoAttach: false, waitForDebuggerOnStart: false, flatten: true });
        },
      });
      await answered(page);
      const inWorkers = Number((await page.textContent('#engine-download'))?.match(/([\d.]+) MB/)?.[1] ?? 0) * 1e6;
      const seen = [...urls.values()].some((url) => url.includes('device_bg.wasm'));
      // Chromium reports a dedicated worker's fetches in its own session only; the worker counts
      // those itself, by resource timing.
      const bytes = seen ? total : total + inWorkers;
      const largest = [...sizes].sort((a, b) => b[1] - a[1]).slice(0, 5).map(([id, size]) => `${urls.get(id)?.replace(server.url, '')} ${(size / 1e3).toFixed(0)} kB`);
      context.diagnostic(`${(bytes / 1e6).toFixed(2)} MB before the first label on ${backend} (${seen ? 'all seen on the wire' : `page ${(total / 1e6).toFixed(2)} MB, worker ${(inWorkers / 1e6).toFixed(2)} MB`}); largest: ${largest.join(', ')}`);
      assert.ok(bytes > 100_000, `only ${bytes} bytes were counted`);
      assert.ok(bytes <= BUDGET, `${bytes} bytes`);
      await close();
    } finally {
      await browser.close();
      await server.kill();
    }
  });
}

// The server and a browser, for all tests of a file.

import { after, before } from 'node:test';
import { launch } from './browser.mjs';
import { EdgeServer } from './server.mjs';

/**
 * Both run from before the file's first test until after its last. Hooks of a file do not wait for one another: what
 * else must be ready goes into `prepare`, what is left into `clear`.
 * @param {{ flags?: string[], args?: string[], prepare?: () => Promise<unknown>, clear?: () => Promise<unknown> }} [options]
 *   `flags`: the browser's; `args`: the server's
 */
export function running({ flags, args, prepare, clear } = {}) {
  const both = /** @type {{ server: EdgeServer, browser: import('playwright-core').Browser }} */ ({});
  before(async () => {
    both.server = await EdgeServer.start(args);
    both.browser = await launch(flags);
    await prepare?.();
  });
  after(async () => {
    await both.browser?.close();
    await both.server?.kill();
    await clear?.();
  });
  return both;
}

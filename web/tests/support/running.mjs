// The server and a browser, for all tests of a file.

import { after, before } from 'node:test';
import { launch } from './browser.mjs';
import { EdgeServer } from './server.mjs';

/**
 * Both run from before the file's first test until after its last; hooks that the file itself has come behind.
 * @param {{ flags?: string[], args?: string[] }} [options] the browser's flags, the server's arguments
 */
export function running({ flags, args } = {}) {
  const both = /** @type {{ server: EdgeServer, browser: import('playwright-core').Browser }} */ ({});
  before(async () => {
    both.server = await EdgeServer.start(args);
    both.browser = await launch(flags);
  });
  after(async () => {
    await both.browser?.close();
    await both.server?.kill();
  });
  return both;
}

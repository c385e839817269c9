// What the page does when the server goes, comes back, or has rude company.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readFile } from 'node:fs/promises';
import { answered, chooseSample, notices, open, top } from './support/browser.mjs';
import { running } from './support/running.mjs';
import { EdgeServer } from './support/server.mjs';

const { samples } = JSON.parse(await readFile(new URL('../samples/samples.json', import.meta.url), 'utf8'));
/** What Chromium itself logs while nobody listens. */
const NOBODY_LISTENS = /WebSocket connection to .* failed|ERR_CONNECTION_(REFUSED|RESET)/;

const demo = running();

test('a killed server is reported, and everything goes on by itself when it is back', async () => {
  const { page, close } = await open(demo.browser, `${demo.server.url}/?backend=cpu`, { allow: NOBODY_LISTENS });
  await answered(page);
  await demo.server.kill();
  await page.waitForSelector('.notice');
  assert.match((await notices(page))[0], /The server is gone.*tries again by itself/);
  // It says that it is connecting for as long as a try takes.
  await page.waitForFunction(() => document.getElementById('link-badge')?.textContent === 'Server gone, reconnecting…');

  // A picture that is chosen meanwhile is answered afterwards. It is picked, not a sample: those
  // would have to come from the server.
  const daisy = samples.find((/** @type {any} */ { file }) => file === 'daisy.jpg');
  await page.setInputFiles('#file', { name: 'daisy.jpg', mimeType: 'image/jpeg', buffer: await readFile(new URL('../samples/daisy.jpg', import.meta.url)) });

  await demo.server.start();
  await page.waitForFunction(() => document.getElementById('link-badge')?.textContent === 'Connected');
  await answered(page);
  assert.equal((await top(page))[0].class, daisy.class);
  await chooseSample(page, samples[0].file);
  assert.equal((await top(page))[0].class, samples[0].class);
  await close();
});

test('a page that was opened before the server was ready finishes loading by itself', async () => {
  const { page, close } = await open(demo.browser, `${demo.server.url}/?backend=cpu`, {
    allow: /503/,
    prepare: (page) => {
      let refused = 0;
      return page.route('**/v1/models', (route) => {
        refused += 1;
        return refused === 1 ? route.fulfill({ status: 503, body: 'not yet' }) : route.continue();
      });
    },
  });
  await page.waitForSelector('.notice');
  await page.waitForFunction(() => document.getElementById('answer')?.getAttribute('aria-busy') === 'false');
  assert.deepEqual(await notices(page), []);
  assert.equal((await top(page))[0].class, samples[0].class);
  await close();
});

test('frames can go to another server, if that one lets this page in', async () => {
  const [friendly, closed] = [await EdgeServer.start(['--allow-origin', demo.server.url]), await EdgeServer.start()];
  const there = await open(demo.browser, `${demo.server.url}/?backend=cpu&server=${friendly.url}`);
  await answered(there.page);
  assert.equal((await top(there.page))[0].class, samples[0].class);
  assert.match((await there.page.textContent('#engine-server')) ?? '', new RegExp(friendly.url));
  await there.close();

  const refused = await open(demo.browser, `${demo.server.url}/?backend=cpu&server=${closed.url}`, { allow: /WebSocket connection to .* failed|blocked by CORS policy|ERR_FAILED/ });
  await refused.page.waitForSelector('.notice');
  assert.match((await notices(refused.page))[0], /tries again by itself.*--allow-origin/);
  await refused.close();
  await friendly.kill();
  await closed.kill();
});

test('malformed frames of another client end that client and nothing else', async () => {
  const { page, close } = await open(demo.browser, `${demo.server.url}/?backend=cpu`);
  await answered(page);
  const rude = await demo.browser.newPage();
  await rude.goto(`${demo.server.url}/healthz`);
  const model = await demo.server.model();
  const attack = rude.evaluate(async ([url, digest, codec]) => {
    const header = (/** @type {number[]} */ ...bytes) => Uint8Array.of(...bytes);
    const hello = JSON.stringify({ type: 'hello', client: 'a rude test', model: digest, codec, rate: 0 });
    const frame = new Uint8Array(120).map((_, index) => (index * 131) ^ 0x5a);
    frame.set([1, 0, 0, 0], 0);
    /** @type {[string, (string | Uint8Array<ArrayBuffer>)[]][]} */
    const attacks = [
      ['a frame before the hello', [frame]],
      ['no JSON', ['not json at all']],
      ['an unknown type', ['{"type":"make_me_root"}']],
      ['an empty frame', [hello, header()]],
      ['a cut header', [hello, header(1, 0, 0)]],
      ['an unknown kind', [hello, new Uint8Array(64).fill(255)]],
      ['a payload of noise', [hello, frame]],
      ['a payload far too long', [hello, new Uint8Array(4 << 20).fill(1)]],
    ];
    /** @type {Record<string, { code: number, reason: string, errors: number, results: number }>} */
    const ends = {};
    for (const [name, messages] of attacks) {
      ends[name] = await new Promise((resolve) => {
        const socket = new WebSocket(url, 'aecnn.v1');
        socket.binaryType = 'arraybuffer';
        let [errors, results] = [0, 0];
        // A server that only ignores the bytes does not close: then this is the end.
        const timer = setTimeout(() => {
          resolve({ code: 0, reason: 'left open', errors, results });
          socket.close();
        }, 5000);
        socket.onopen = () => { for (const message of messages) socket.send(message); };
        socket.onmessage = ({ data }) => {
          const { type } = JSON.parse(String(data));
          if (type === 'error') errors += 1;
          if (type === 'result') results += 1;
        };
        socket.onclose = ({ code, reason }) => {
          clearTimeout(timer);
          resolve({ code, reason, errors, results });
        };
      });
    }
    return ends;
  }, [`${demo.server.url.replace('http', 'ws')}/v1/stream`, model.digest, model.codecs[0].sha256]);

  // Meanwhile the page goes on.
  for (const sample of samples.slice(1, 7)) {
    await chooseSample(page, sample.file);
    assert.equal((await top(page))[0].class, sample.class);
  }
  const ends = await attack;
  for (const [name, end] of Object.entries(ends)) {
    assert.equal(end.results, 0, `${name} was answered with a label`);
    assert.ok(end.code >= 1000 && end.code !== 1005 && end.code !== 1006, `${name} ended with ${end.code} (${end.reason}): a code and a reason are due`);
    assert.notEqual(end.reason, '', `${name} ended with ${end.code} and no reason`);
  }
  await chooseSample(page, samples[7].file);
  assert.equal((await top(page))[0].class, samples[7].class);
  await rude.close();
  await close();
});

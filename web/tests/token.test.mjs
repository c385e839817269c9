// A server that asks for a token: the page asks its visitor.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { test } from 'node:test';
import { answered, notices, open, top } from './support/browser.mjs';
import { running } from './support/running.mjs';
import { EdgeServer } from './support/server.mjs';

const AXE = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const { samples } = JSON.parse(await readFile(new URL('../samples/samples.json', import.meta.url), 'utf8'));
const RIGHT = 'the-right-token-0123';
const WRONG = 'another-token-of-some-length';
/** What Chromium itself logs of refusals. */
const REFUSED = /WebSocket connection to .* failed|status of 401/;

const demo = running({ args: ['--token', RIGHT] });

test('a wrong token is told, a right one classifies and is remembered in this tab only', async () => {
  const { page, close } = await open(demo.browser, `${demo.server.url}/?backend=cpu`, {
    allow: REFUSED,
    prepare: (opened) => opened.addInitScript(() => {
      /** @type {string[]} */
      const said = [];
      Object.assign(globalThis, { said });
      new MutationObserver(() => {
        for (const one of document.querySelectorAll('.notice b')) said.push(one.textContent ?? '');
      }).observe(document, { childList: true, subtree: true });
    }),
  });
  const dialog = page.getByRole('dialog', { name: 'The server asks for a token' });
  await dialog.waitFor();
  assert.deepEqual(await page.evaluate(() => /** @type {any} */ (globalThis).said), [], 'nothing else is said to be wrong');
  assert.equal(await page.evaluate(() => document.activeElement?.id), 'token', 'the field has the focus');
  assert.equal(await page.isVisible('#token-complaint'), false);
  await page.evaluate(AXE);
  const violations = await page.evaluate(async () => (await /** @type {any} */ (window).axe.run('#token-dialog')).violations.map((/** @type {any} */ { id }) => id));
  assert.deepEqual(violations, []);

  await page.fill('#token', 'too short');
  await page.keyboard.press('Enter');
  assert.ok(await dialog.isVisible(), 'what cannot be a token is not sent');

  await page.fill('#token', WRONG);
  await page.keyboard.press('Enter');
  await page.waitForSelector('#token-complaint:not([hidden])');
  assert.equal(await page.textContent('#token-complaint'), 'The server does not know this token.');
  assert.equal(await page.inputValue('#token'), '', 'it is to be typed anew');

  await page.fill('#token', RIGHT);
  await page.getByRole('button', { name: 'Use this token' }).click();
  await page.waitForFunction(() => document.getElementById('link-badge')?.textContent === 'Connected');
  await answered(page);
  assert.equal((await top(page))[0].class, samples[0].class);
  assert.ok(!page.url().includes(RIGHT) && !(await page.getAttribute('#permalink', 'href'))?.includes(RIGHT), 'no address has it');
  assert.equal(await page.evaluate((token) => Object.values(localStorage).includes(token), RIGHT), false);

  await page.reload();
  await answered(page);
  assert.equal(await dialog.isVisible(), false, 'a reload does not ask again');

  // Another tab has to be told.
  const other = await page.context().newPage();
  await other.goto(page.url());
  await other.getByRole('dialog', { name: 'The server asks for a token' }).waitFor();
  await close();
});

test('who has no token now can give one later', async () => {
  const { page, close } = await open(demo.browser, `${demo.server.url}/?backend=cpu`, { allow: REFUSED });
  const dialog = page.getByRole('dialog', { name: 'The server asks for a token' });
  await dialog.waitFor();
  await page.keyboard.press('Escape');
  await page.waitForSelector('.notice[data-name="token"]');
  assert.deepEqual(await notices(page), ['The server asks for a token. Without one it answers no frames of this page.']);
  await page.getByRole('button', { name: 'Enter a token' }).click();
  await page.fill('#token', RIGHT);
  await page.keyboard.press('Enter');
  await page.waitForFunction(() => document.getElementById('link-badge')?.textContent === 'Connected');
  await answered(page);
  await close();
});

test('the token goes to another server too, if that one lets this page in', async () => {
  const free = await EdgeServer.start();
  const guarded = await EdgeServer.start(['--token', RIGHT, '--allow-origin', free.url]);
  const { page, close } = await open(demo.browser, `${free.url}/?backend=cpu&server=${guarded.url}`, { allow: REFUSED });
  for (const token of [WRONG, RIGHT]) {
    await page.getByRole('dialog', { name: 'The server asks for a token' }).waitFor();
    await page.fill('#token', token);
    await page.keyboard.press('Enter');
  }
  await page.waitForFunction(() => document.getElementById('link-badge')?.textContent === 'Connected');
  await answered(page);
  await close();
  await free.kill();
  await guarded.kill();
});

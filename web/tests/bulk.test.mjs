// A folder of pictures, judged in the browser.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { answered, notices, open } from './support/browser.mjs';
import { running } from './support/running.mjs';

const SAMPLES = fileURLToPath(new URL('../samples/', import.meta.url));
const { samples } = JSON.parse(await readFile(join(SAMPLES, 'samples.json'), 'utf8'));

/** @type {string} */
let folder;
const demo = running({
  prepare: async () => {
    folder = await mkdtemp(join(tmpdir(), 'bulk-'));
    // By number, by class name, by WordNet id; and one in a folder that is no class.
    const labels = await demo.server.labels();
    const ids = (await readFile(new URL('../page/wordnet-ids.txt', import.meta.url), 'utf8')).trim().split('\n');
    const names = [(/** @type {number} */ best) => String(best), (/** @type {number} */ best) => labels[best].replaceAll(' ', '_'), (/** @type {number} */ best) => ids[best], () => 'unknown'];
    for (const [index, name] of names.entries()) {
      const sample = samples[index];
      await mkdir(join(folder, name(sample.class)));
      await copyFile(join(SAMPLES, sample.file), join(folder, name(sample.class), sample.file));
    }
    await writeFile(join(folder, 'broken.jpg'), 'no picture');
    await writeFile(join(folder, 'notes.txt'), 'no picture either');
  },
  clear: async () => {
    if (folder) await rm(folder, { recursive: true });
  },
});

test('a folder becomes a table of bytes, accuracy and agreement, way by way', async () => {
  const { page, close } = await open(demo.browser, `${demo.server.url}/?backend=cpu`);
  await answered(page);
  await page.click('#bulk summary');
  await page.setInputFiles('#folder', folder);
  await page.waitForFunction(() => document.getElementById('bulk-label')?.textContent?.startsWith('Done'));
  assert.match((await page.textContent('#bulk-label')) ?? '', /5 of 5 pictures, 1 could not be read/);
  const rows = await page.$$eval('#bulk-rows tr', (all) => all.map((row) => [...row.children].map((cell) => cell.textContent ?? '')));
  assert.deepEqual(rows.map(([name]) => name), ['Features', 'JPEG', 'WebP', 'Raw RGB']);
  for (const [name, pictures, up, ms, right, agrees] of rows) {
    assert.equal(pictures, '4', name);
    assert.match(up, /B$/);
    assert.match(ms, /ms$/);
    assert.equal(right, '100.0 % of 3', `${name}: samples are recognised, and one has no class`);
    // A lossy way may see something else in one of the four.
    assert.match(agrees, name === 'Raw RGB' ? /^100\.0 %$/ : /^(75|100)\.0 %$/, name);
  }
  const [download] = await Promise.all([page.waitForEvent('download'), page.click('#bulk-csv')]);
  const lines = (await readFile(await download.path(), 'utf8')).trim().split('\r\n');
  assert.equal(lines.length, 1 + 4 * 4);
  assert.ok(lines.slice(1).every((line) => line.split(',').length === 8), lines[1]);
  // The picture of before is asked about again, and the page goes on.
  await answered(page);
  assert.deepEqual(await notices(page), []);
  await close();
});

test('a folder can be cancelled, and one without pictures is refused with advice', async () => {
  const { page, close } = await open(demo.browser, `${demo.server.url}/?backend=cpu&link=3g`);
  await answered(page);
  await page.click('#bulk summary');
  await page.setInputFiles('#folder', folder);
  await page.click('#bulk-cancel');
  assert.match((await page.textContent('#bulk-label')) ?? '', /^Cancelled: \d of 5/);
  await answered(page);
  const empty = await mkdtemp(join(tmpdir(), 'bulk-empty-'));
  await writeFile(join(empty, 'notes.txt'), 'words');
  await page.setInputFiles('#folder', empty);
  await page.waitForSelector('.notice');
  assert.match((await notices(page))[0], /no picture in that folder/);
  await rm(empty, { recursive: true });
  await close();
});

// What the page decides without a browser.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { picturesOf, sumUp } from '../page/bulk.js';
import { niceCeiling } from '../page/chart.js';
import { ClassNames } from '../page/classes.js';
import { Compare, referenceClass } from '../page/compare.js';
import { linkFromText, linkToText, PRESETS, radioKbps } from '../page/link-presets.js';
import { qualityFor } from '../page/same-bytes.js';
import { csv, Session } from '../page/session.js';
import { permalink, readSettings } from '../page/settings.js';

/** @param {string} address */
const at = (address) => /** @type {Location} */ (/** @type {unknown} */ (new URL(address)));

test('the highest quality within the bytes is found, by few tries', async () => {
  let tries = 0;
  const measure = async (/** @type {number} */ quality) => {
    tries += 1;
    return 900 + 40 * quality;
  };
  assert.deepEqual(await qualityFor(2000, measure), { quality: 27, bytes: 1980, fits: true });
  assert.ok(tries <= 9, `${tries} tries`);
  assert.deepEqual(await qualityFor(940, measure), { quality: 1, bytes: 940, fits: true });
  assert.deepEqual(await qualityFor(1e6, measure), { quality: 100, bytes: 4900, fits: true });
  assert.deepEqual(await qualityFor(700, measure), { quality: 1, bytes: 940, fits: false });
});

test('a channel carries what Shannon says, within the dials', () => {
  assert.equal(radioKbps(0, 1), 1000);
  assert.equal(radioKbps(10 * Math.log10(3), 2), 4000);
  assert.equal(radioKbps(-30, 0.1), 50);
  assert.equal(radioKbps(30, 20), 100_000);
});

test('links come back from the address', () => {
  for (const { link } of Object.values(PRESETS)) assert.deepEqual(linkFromText(linkToText(link)), link);
  const own = { kbps: 333, rttMs: 21, jitterMs: 3, loss: 0.015 };
  assert.deepEqual(linkFromText(linkToText(own)), own);
  for (const bad of ['', 'fast', '10', '1000,-1', '1000,40,0,0.9', '1000,40,0,0,7', 'toString']) assert.equal(linkFromText(bad), undefined, bad);
});

test('the address brings back what the link to this page was made of', () => {
  const page = {
    sample: 'daisy.jpg', quality: 40, link: PRESETS['3g'].link, compare: /** @type {const} */ (['features', 'webp']), sameBytes: true,
    goal: /** @type {const} */ ({ kind: 'accuracy', deadlineMs: 250 }), channels: 17,
  };
  const address = permalink(at('http://localhost:8080/?backend=cpu&model=flowers&link=lte#x'), { split: 'stage2', codec: 'a', rate: '1100B', ambiguous: true }, /** @type {any} */ (page));
  const back = readSettings(at(address));
  assert.equal(back.complaint, null);
  assert.deepEqual(back.page, page);
  assert.deepEqual(back.settings, { backend: 'cpu', threads: null, model: 'flowers', split: 'stage2', codec: 'a', rate: '1100B', server: 'http://localhost:8080' });

  const usual = readSettings(at('http://localhost:8080/'));
  const short = permalink(at('http://localhost:8080/?quality=40&goal=latency:0.8'), { split: 'stem', codec: 'a', rate: '1', ambiguous: false }, usual.page);
  assert.equal(short, 'http://localhost:8080/?split=stem&rate=1', 'what is as usual is left out');
});

test('settings that cannot be used are named', () => {
  for (const [query, said] of [['link=fast', /\?link=fast is not a link/], ['compare=jpeg,png', /not a list of ways/], ['quality=0', /5 to 95/], ['goal=speed', /latency:0\.8/], ['backend=tpu', /webgpu, cpu, simd, scalar/], ['threads=0', /1 to 16/], ['threads=1.5', /1 to 16/], ['server=:', /not an address/]]) {
    assert.match(readSettings(at(`http://localhost/?${query}`)).complaint ?? '', /** @type {RegExp} */ (said));
  }
});

test('folders are WordNet ids, class names or numbers', async () => {
  const ids = (await readFile(new URL('../page/wordnet-ids.txt', import.meta.url), 'utf8')).trim().split('\n');
  const labels = Array.from({ length: 1000 }, (_, index) => `class ${index}`);
  labels[2] = 'great white shark';
  labels[134] = labels[517] = 'crane';
  const names = new ClassNames(labels, ids);
  assert.equal(names.ofFolder('n01440764'), 0);
  assert.equal(names.ofFolder('Great_White-Shark'), 2);
  assert.equal(names.ofFolder('7'), 7);
  assert.equal(names.ofFolder('crane'), null, 'two classes have that name');
  assert.equal(names.ofPath('set/n01440764/deep/a.jpg'), 0);
  assert.equal(names.ofPath('a.jpg'), null);
  const file = (/** @type {string} */ name, type = 'image/jpeg') => ({ file: new File([], name, { type }), path: `7/${name}` });
  assert.deepEqual(picturesOf([file('b.jpg'), file('notes.txt', 'text/plain'), file('a.jpg')], names).map(({ path }) => path), ['7/a.jpg', '7/b.jpg']);
});

test('the page and the trainer know the same WordNet ids', async () => {
  const [page, trainer] = await Promise.all(['../page/wordnet-ids.txt', '../../crates/trainer/src/data/wordnet_ids.txt'].map((path) => readFile(new URL(path, import.meta.url), 'utf8')));
  assert.equal(page, trainer);
});

test('a folder is summed up: accuracy where classes are known, agreement where the uncompressed network was asked', () => {
  const row = { path: 'a', class: 1, way: /** @type {const} */ ('jpeg'), up: 100, ms: 10, answer: 1, label: 'one', reference: 1 };
  const [sum] = sumUp([row, { ...row, up: 300, ms: 30, answer: 2 }, { ...row, class: null, up: 200, ms: 20, answer: 2, reference: null }], ['jpeg']);
  assert.deepEqual(sum, { way: 'jpeg', pictures: 3, up: 200, ms: 20, right: 0.5, labelled: 2, agreed: 0.5 });
});

test('fields of a table stay fields', () => {
  assert.equal(csv([['a,b', 'say "so"', null, 1], ['two\nlines', '=1+1', -3, '']]), '"a,b","say ""so""",,1\r\n"two\nlines",\'=1+1,-3,\r\n');
});

/** @param {any} way @param {number} best @returns {any} */
const result = (way, best) => ({ way, upBytes: 1000, downBytes: 500, totalMs: 50, steps: {}, answer: { top: [{ class: best, label: 'x', probability: 0.5 }] } });
const FEATURES = { kind: 'features', codec: 'c', rate: 0, channels: null };
const RAW = { kind: 'picture', format: 'raw', quality: 100 };

test('pictures at the bytes of the features wait for those', async () => {
  const compare = new Compare({
    ways: ['jpeg', 'features'], quality: 75, sameBytes: true, features: () => /** @type {any} */ (FEATURES), automatic: () => false, wantLatent: () => false,
    measure: async (_image, quality) => /** @type {any} */ ({ jpeg: 500 + 10 * quality, webp: 5000 }),
  });
  const shot = /** @type {any} */ ({ results: [], image: null });
  assert.deepEqual(await compare.next(shot), { way: FEATURES, wantLatent: false });
  shot.results.push(result(FEATURES, 1));
  assert.deepEqual(await compare.next(shot), { way: { kind: 'picture', format: 'jpeg', quality: 48 }, wantLatent: false }, 'the frame’s header of 20 bytes counts');
  shot.results.push(null);
  assert.equal(await compare.next(shot), null);
  compare.choices.ways = ['webp'];
  assert.deepEqual(await compare.next(/** @type {any} */ ({ results: [result(FEATURES, 1)], image: null })), { way: { kind: 'picture', format: 'webp', quality: 1 }, wantLatent: false });
  assert.ok(compare.tooLarge.has('webp'));
});

test('what automatic offloading decides comes first and is not compared', async () => {
  const compare = new Compare({ ways: ['features'], quality: 75, sameBytes: false, features: () => /** @type {any} */ (FEATURES), automatic: () => true, wantLatent: () => false, measure: async () => /** @type {any} */ ({}) });
  const shot = /** @type {any} */ ({ results: [] });
  assert.deepEqual(await compare.next(shot), { way: null });
  shot.results.push(result(RAW, 3));
  compare.add(shot);
  assert.equal(compare.standings.size, 0);
  assert.deepEqual(await compare.next(shot), { way: FEATURES, wantLatent: false });
  shot.results.push(result(FEATURES, 3));
  compare.add(shot);
  assert.deepEqual([...compare.standings.keys()], ['features']);
  assert.equal(await compare.next(shot), null);
});

test('agreement is with the uncompressed network on the same frame', () => {
  const compare = new Compare({ ways: [], quality: 75, sameBytes: false, features: () => /** @type {any} */ (FEATURES), automatic: () => false, wantLatent: () => false, measure: async () => /** @type {any} */ ({}) });
  const shot = (/** @type {any[]} */ ...results) => {
    results.forEach((_, index) => compare.add(/** @type {any} */ ({ results: results.slice(0, index + 1) })));
    return compare.settle(/** @type {any} */ ({ results }));
  };
  assert.equal(shot(result(FEATURES, 3)), null, 'nobody to agree with');
  assert.equal(shot(result(FEATURES, 3), result(RAW, 3)), 3);
  assert.equal(shot(result(FEATURES, 4), result(RAW, 3)), 3);
  const { frames, compared, agreed } = /** @type {any} */ (compare.standings.get('features'));
  assert.deepEqual({ frames, compared, agreed }, { frames: 3, compared: 2, agreed: 1 });
  assert.equal(referenceClass([result(RAW, 3), result({ kind: 'device' }, 5)]), 5, 'the whole network here is asked first');
});

test('sums are of frames whose bytes are known for every way, at one quality', () => {
  const session = new Session();
  const sizes = { raw: 150_528, png: 90_000, jpeg: 9000, webp: null, quality: 75 };
  session.measure(sizes, 1000);
  session.measure(sizes, 1200);
  assert.deepEqual(session.totals, { frames: 2, features: 2200, jpeg: 18_000, webp: 0, png: 180_000, raw: 301_056 });
  session.measure({ ...sizes, quality: 50 }, 900);
  assert.equal(session.totals.frames, 1, 'another quality cannot be added up with the first');
});

test('axes end at round numbers', () => {
  for (const [value, top] of [[0, 1], [0.7, 0.8], [1, 1], [1.01, 2], [420, 500], [1219, 2000], [90_000, 100_000]]) assert.equal(niceCeiling(value), top);
});

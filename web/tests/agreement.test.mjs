// The browser and the native program give the same answers for the same pictures.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { answered, frameBytes, open, top } from './support/browser.mjs';
import { running } from './support/running.mjs';

const REPOSITORY = fileURLToPath(new URL('../../', import.meta.url));
const PICTURES = fileURLToPath(new URL('pictures/', import.meta.url));
const PICTURES_AT_LEAST = 50;
const OTHERS_AT_MOST = 1;
const BYTES_WITHIN = 0.01;

/**
 * @typedef {object} Report what `trainer evaluate --predictions` writes
 * @property {{ method: { rate: string } }[]} methods
 * @property {{ file: string, bytes: number[], top1: number[] }[]} predictions
 */

/** @type {string} */
let folder;
const demo = running({
  prepare: async () => {
    folder = await mkdtemp(join(tmpdir(), 'agreement-'));
    await decode();
  },
  clear: async () => {
    if (folder) await rm(folder, { recursive: true });
  },
});

/**
 * Decodes the JPEG files into PNG files, for both sides. JPEG decoders differ by a grey level here
 * and there, which is enough to move the label of a picture that is a toss-up; it is not the
 * decoders that are compared.
 */
async function decode() {
  const page = await demo.browser.newPage();
  await page.goto(`${demo.server.url}/healthz`);
  for (const file of (await readdir(PICTURES)).filter((name) => name.endsWith('.jpg'))) {
    const jpeg = await readFile(join(PICTURES, file), 'base64');
    const png = await page.evaluate(async (base64) => {
      const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
      const image = await createImageBitmap(new Blob([bytes], { type: 'image/jpeg' }));
      const canvas = document.createElement('canvas');
      canvas.width = image.width;
      canvas.height = image.height;
      canvas.getContext('2d', { alpha: false })?.drawImage(image, 0, 0);
      return canvas.toDataURL('image/png').split(',')[1];
    }, jpeg);
    await writeFile(join(folder, file.replace('.jpg', '.png')), png, 'base64');
  }
  await page.close();
}

/** @param {any} model @param {any} codec @param {boolean} coarse with the front as a browser with relaxed SIMD computes it @returns {Promise<Report>} */
async function native(model, codec, coarse) {
  const program = resolve(REPOSITORY, process.env.TRAINER ?? 'target/release/trainer');
  if (!existsSync(program)) throw new Error(`${program} is missing: build it (cargo xtask test does) or name it in TRAINER`);
  const models = resolve(REPOSITORY, process.env.EDGE_SERVER_MODELS ?? 'models');
  const json = join(folder, `${codec.split}.json`);
  await promisify(execFile)(program, [
    'evaluate', '--model', join(models, model.name), '--codec', join(models, model.name, codec.file),
    '--images', folder, '--labels', join(PICTURES, 'pictures.csv'), '--json', json, '--predictions', ...(coarse ? ['--coarse'] : []),
  ], { maxBuffer: 1 << 24 });
  return JSON.parse(await readFile(json, 'utf8'));
}

for (const [split, backend] of [['stem', 'cpu'], ['stage2', 'cpu'], ['stage2', 'simd']]) {
  test(`the browser agrees with the native program at ${split} on ${backend}`, async (context) => {
    const model = await demo.server.model();
    const codec = model.codecs.find((/** @type {any} */ entry) => entry.split === split);
    assert.ok(codec, `there is no codec for ${split}`);
    const { predictions } = await native(model, codec, backend === 'cpu');
    assert.ok(predictions.length >= PICTURES_AT_LEAST, `${predictions.length} pictures`);
    assert.equal(predictions[0].bytes.length, codec.rates.length, 'one method a rate');

    const { page, close } = await open(demo.browser, `${demo.server.url}/?backend=${backend}&split=${split}&codec=${codec.name}&rate=${codec.default_rate}`);
    await answered(page);
    /** @type {string[]} */
    const others = [];
    let [ours, theirs, furthest] = [0, 0, 0];
    for (const { file, bytes, top1 } of predictions) {
      await page.setInputFiles('#file', join(folder, file));
      await answered(page);
      const [best] = await top(page);
      if (best.class !== top1[codec.default_rate]) others.push(`${file}: class ${best.class} here, ${top1[codec.default_rate]} natively`);
      const here = await frameBytes(page);
      ours += here;
      theirs += bytes[codec.default_rate];
      furthest = Math.max(furthest, Math.abs(here / bytes[codec.default_rate] - 1));
    }
    context.diagnostic(`${predictions.length} pictures at ${split}: ${others.length} other top-1, ${ours} bytes here, ${theirs} natively; furthest picture ${(furthest * 100).toFixed(2)} % off`);
    assert.ok(others.length <= OTHERS_AT_MOST, others.join('\n'));
    assert.ok(Math.abs(ours / theirs - 1) <= BYTES_WITHIN, `${ours} bytes here, ${theirs} natively`);
    await close();
  });
}

// The browser and the native program give the same answers for the same pictures.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { answered, frameBytes, launch, open, top } from './support/browser.mjs';
import { EdgeServer } from './support/server.mjs';

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

/** @type {EdgeServer} */
let server;
/** @type {string} */
let folder;

before(async () => {
  server = await EdgeServer.start();
  folder = await mkdtemp(join(tmpdir(), 'agreement-'));
});
after(async () => {
  await server?.kill();
  if (folder) await rm(folder, { recursive: true });
});

/** @param {any} model @param {any} codec @returns {Promise<Report>} */
async function native(model, codec) {
  const program = resolve(REPOSITORY, process.env.TRAINER ?? 'target/release/trainer');
  if (!existsSync(program)) throw new Error(`${program} is missing: build it (cargo xtask test does) or name it in TRAINER`);
  const models = resolve(REPOSITORY, process.env.EDGE_SERVER_MODELS ?? 'models');
  const json = join(folder, `${codec.split}.json`);
  await promisify(execFile)(program, [
    'evaluate', '--model', join(models, model.name), '--codec', join(models, model.name, codec.file),
    '--images', PICTURES, '--labels', join(PICTURES, 'pictures.csv'), '--json', json, '--predictions',
  ], { maxBuffer: 1 << 24 });
  return JSON.parse(await readFile(json, 'utf8'));
}

for (const split of ['stem', 'stage2']) {
  test(`the browser agrees with the native program at ${split}`, async (context) => {
    const model = await server.model();
    const codec = model.codecs.find((/** @type {any} */ entry) => entry.split === split);
    assert.ok(codec, `there is no codec for ${split}`);
    const { predictions } = await native(model, codec);
    assert.ok(predictions.length >= PICTURES_AT_LEAST, `${predictions.length} pictures`);
    assert.equal(predictions[0].bytes.length, codec.rates.length, 'one method a rate');

    const browser = await launch();
    const { page, close } = await open(browser, `${server.url}/?backend=cpu&split=${split}&rate=${codec.default_rate}`);
    await answered(page);
    /** @type {string[]} */
    const others = [];
    let [ours, theirs, furthest] = [0, 0, 0];
    for (const { file, bytes, top1 } of predictions) {
      await page.setInputFiles('#file', join(PICTURES, file));
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
    await browser.close();
  });
}

// The device as an npm package: packed, installed elsewhere, and run there.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createReadStream, existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { extname, join, normalize, resolve } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { FAKE_CAMERA, launch, open } from './support/browser.mjs';
import { writeFilm } from './support/camera.mjs';
import { EdgeServer } from './support/server.mjs';

const REPOSITORY = fileURLToPath(new URL('../../', import.meta.url));
const TSC = fileURLToPath(new URL('../node_modules/typescript/bin/tsc', import.meta.url));
/** @type {Record<string, string>} */
const TYPES = { '.html': 'text/html', '.js': 'text/javascript', '.wasm': 'application/wasm' };
const run = promisify(execFile);

/** @type {string} */
let folder;
/** @type {import('node:http').Server} */
let elsewhere;
/** @type {string} */
let origin;

before(async () => {
  const archive = resolve(REPOSITORY, process.env.DEVICE_PACKAGE ?? 'target/npm/aecnn-device-0.1.0.tgz');
  if (!existsSync(archive)) throw new Error(`${archive} is missing: run cargo xtask package, or name it in DEVICE_PACKAGE`);
  folder = await mkdtemp(join(tmpdir(), 'package-'));
  await writeFile(join(folder, 'package.json'), '{ "private": true, "type": "module" }');
  await run('npm', ['install', '--offline', '--no-audit', '--no-fund', archive], { cwd: folder });
  elsewhere = createServer(async (request, response) => {
    const path = join(folder, 'node_modules', normalize(new URL(request.url ?? '/', 'http://localhost').pathname));
    const found = (await stat(path).catch(() => null))?.isFile();
    response.writeHead(found ? 200 : 404, { 'content-type': TYPES[extname(path)] ?? 'text/plain' });
    if (found) createReadStream(path).pipe(response);
    else response.end();
  });
  await new Promise((listening) => elsewhere.listen(0, '127.0.0.1', () => listening(null)));
  const address = elsewhere.address();
  if (!address || typeof address !== 'object') throw new Error('no port');
  origin = `http://127.0.0.1:${address.port}`;
});
after(async () => {
  elsewhere?.close();
  if (folder) await rm(folder, { recursive: true });
});

test('the example page of the installed package labels the camera’s picture', async (context) => {
  const server = await EdgeServer.start(['--allow-origin', origin]);
  const painter = await launch();
  const canvas = await painter.newPage();
  await canvas.goto(`${server.url}/healthz`);
  await writeFilm(canvas, `${server.url}/samples/daisy.jpg`, join(folder, 'film.y4m'));
  await painter.close();

  const browser = await launch(FAKE_CAMERA(join(folder, 'film.y4m')));
  context.after(async () => {
    await browser.close();
    await server.kill();
  });
  const { page, close } = await open(browser, `${origin}/aecnn-device/example.html?server=${server.url}`, { allow: /favicon|404/ });
  await page.waitForFunction(() => /daisy, \d+ bytes/.test(document.getElementById('label')?.textContent ?? ''));
  await close();
});

test('its types are those of its code, and its version that of the crate', async () => {
  await writeFile(join(folder, 'use.ts'), `
    import { Device } from 'aecnn-device';
    import type { Answer, Way } from 'aecnn-device';
    const way: Way = { kind: 'picture', format: 'webp', quality: 75 };
    const device: Device = await Device.load({ split: 'stem', onProgress: ({ share }) => share });
    device.addEventListener('result', ({ detail }) => { const answer: Answer = detail; answer.top[0].label.length; });
    device.submit(new ImageData(1, 1), { way });
    // @ts-expect-error there is no such way
    device.submit(new ImageData(1, 1), { way: { kind: 'pigeon' } });
    device.dispose();
  `);
  await run('node', [TSC, '--noEmit', '--strict', '--target', 'es2023', '--module', 'nodenext', '--lib', 'es2023,dom', join(folder, 'use.ts')], { cwd: folder })
    .catch((error) => assert.fail(error.stdout));
  const { version } = JSON.parse(await readFile(join(folder, 'node_modules/aecnn-device/package.json'), 'utf8'));
  assert.match(await readFile(join(REPOSITORY, 'Cargo.toml'), 'utf8'), new RegExp(`^version = "${version}"`, 'm'));
});

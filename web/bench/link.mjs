// Time to label over poor links: every way of inference on the same pictures, through the page's own
// worker and the real server, the link emulated in the worker.
//
//   cargo xtask bench --suite link
//
// Features are those of the default codec and of the smallest at each split in front of it, a worker each. For each link a table: bytes, the share of pictures with the whole network's answer, the median time
// from capture to label. Then features against the soonest picture of equal accuracy: one that agrees with the uncompressed
// network on as many of the 500 pictures by which codecs and picture formats were evaluated (docs/results), for these are too few to tell.
// Of the features' time, what is not the link's is the device's and the server's computing, beside which stands how little of it would be half of the picture's time. Automatic offloading runs last, for the soonest label at
// FLOOR agreement, and is compared with the best fixed way that agrees as often on these pictures.
// KBPS (such as 250,1000,5000), RTT in milliseconds, ROUNDS over the sample pictures, FLOOR (0 to 1) and JSON (a
// file to write) may be set in the environment; CHROMIUM and EDGE_SERVER name the programs, FLAGS the browser's flags, such as
// those that let it use a graphics card (bench/webgpu.mjs names some). The server reads its own variables, EDGE_SERVER_BACKEND among them.

import { readFile, writeFile } from 'node:fs/promises';
import { launch } from '../tests/support/browser.mjs';
import { EdgeServer } from '../tests/support/server.mjs';
import { openWorker } from '../tests/support/worker.mjs';
import { pickCodec } from '../worker/model.js';

/** @typedef {import('../messages.js').Way} Way */
/** @typedef {import('../messages.js').ResultMessage} ResultMessage */
/** @typedef {{ name: string, bytes: number, agreement: number, ms: number }} Row */
/** @typedef {Awaited<ReturnType<typeof openWorker>>} Worker */
/** @typedef {{ name: string, way: Way, evaluated: number | null, worker: Worker }} Entry `evaluated`: agreement in docs/results */

const KBPS = (process.env.KBPS ?? '250,1000,5000').split(',').map(Number);
const RTT = Number(process.env.RTT ?? 40);
const ROUNDS = Number(process.env.ROUNDS ?? 1);
const FLOOR = Number(process.env.FLOOR ?? 0.9);
/** Frames before the first that counts: the automatic choice learns from them. */
const WARM_UP = 6;
/** Splits in front of the default codec's. */
const EARLIER = /** @type {const} */ (['stage1', 'stem']);
/** Features that agree less often are not measured. */
const LEAST = 0.8;
const QUALITIES = [30, 50, 75, 80, 85, 90, 92, 95, 97];
const PICTURES = new URL('../../docs/results/nips2017-pictures.json', import.meta.url);
/** With the front by products of 8-bit numbers, as the package for relaxed SIMD has it. */
const COARSE = new URL('../../docs/results/nips2017-coarse.json', import.meta.url);

/** @type {{ samples: { file: string }[] }} */
const { samples } = JSON.parse(await readFile(new URL('../samples/samples.json', import.meta.url), 'utf8'));
const pictures = Array.from({ length: ROUNDS }, () => samples.map(({ file }) => file)).flat();

const server = await EdgeServer.start();
const browser = await launch(process.env.FLAGS?.split(' '));
const model = await server.model();
const codecs = [null, ...EARLIER].map((split) => pickCodec(model, { codec: null, split }));
/** @typedef {{ methods: { name: string, rate: string, agreement: number }[] }} Evaluation */
/** @type {Evaluation} */
const evaluation = JSON.parse(await readFile(PICTURES, 'utf8'));
/** @type {Evaluation} */
const coarse = JSON.parse(await readFile(COARSE, 'utf8'));
/** @type {Worker[]} */
const workers = [];
for (const { name } of codecs) workers.push(await openWorker(browser, server.url, { codec: name, backend: null }));
const [worker] = workers;
await worker.send({ type: 'load-whole' });
await worker.heard({ type: 'whole', state: 'ready' });

const backend = (await worker.since(0)).flatMap((message) => (message.type === 'backend' ? [message.name] : []))[0];
/** How often features agreed, as this backend computes them. @param {string} codec @param {{ name: string, agreement: number }} rate */
const evaluated = (codec, rate) => {
  const here = backend.includes('relaxed') ? coarse.methods : [];
  return here.find((method) => method.name === codec && method.rate === rate.name)?.agreement ?? rate.agreement;
};

/** @type {Entry[]} */
const ways = [
  ...codecs.flatMap((codec, index) => codec.rates.map((rate, number) => ({
    name: `features, ${codec.name} ${rate.name}`,
    way: /** @type {Way} */ ({ kind: 'features', codec: codec.name, rate: number, channels: null }),
    evaluated: evaluated(codec.name, rate),
    worker: workers[index],
  })).filter(({ evaluated }) => evaluated >= LEAST)),
  ...(/** @type {const} */ (['jpeg', 'webp'])).flatMap((format) => QUALITIES.map((quality) => ({
    name: `${format === 'jpeg' ? 'JPEG' : 'WebP'}, quality ${quality}`,
    way: /** @type {Way} */ ({ kind: 'picture', format, quality }),
    evaluated: evaluation.methods.find(({ name, rate }) => name === format && rate === `q${quality}`)?.agreement ?? null,
    worker,
  }))),
  { name: 'raw RGB', way: { kind: 'picture', format: 'raw', quality: 0 }, evaluated: null, worker },
  { name: 'all on this device', way: { kind: 'device' }, evaluated: null, worker },
];

console.log(`Chromium ${browser.version()}, ${backend}; ${samples.length} pictures, each ${ROUNDS} time(s)`);
/** @type {Map<string, number>} */
const reference = new Map();
for (const { file } of samples) reference.set(file, (await worker.answer(file, { kind: 'device' })).answer.top[0].class);

/** @type {Record<string, unknown>[]} */
const report = [];
for (const kbps of KBPS) {
  for (const each of workers) await each.send({ type: 'link-emulation', link: { kbps, rttMs: RTT, jitterMs: 0, loss: 0 } });
  /** @type {Row[]} */
  const rows = [];
  for (const { name, way, worker } of ways) rows.push(row(name, await answers(worker, way)));
  await worker.send({ type: 'automatic', goal: { kind: 'latency', floor: FLOOR } });
  for (let turn = 0; turn < WARM_UP; turn += 1) await worker.answer(pictures[turn % pictures.length]);
  const automatic = row('automatic', await answers(worker, null));
  await worker.send({ type: 'automatic', goal: null });
  const best = rows.filter(({ agreement }) => agreement >= automatic.agreement).toSorted((a, b) => a.ms - b.ms)[0];

  console.log(`\n### ${kbps / 1000} Mbit/s, ${RTT} ms there and back\n\n| way | bytes up | agrees | to label |\n|---|---|---|---|`);
  for (const each of [...rows, automatic]) {
    console.log(`| ${each.name} | ${Math.round(each.bytes)} | ${(100 * each.agreement).toFixed(0)} % | ${each.ms.toFixed(0)} ms |`);
  }
  const equal = equals(rows, kbps);
  console.log('\n| features | agreed of 500 | soonest picture that did as often | agreed | of its time | computing | at half of its time |\n|---|---|---|---|---|---|---|');
  for (const { features, picture, ratio, computingMs, computingMsAtHalf } of equal) {
    console.log(`| ${features.name}: ${features.ms.toFixed(0)} ms | ${percent(features.evaluated)} | ${picture.name}: ${picture.ms.toFixed(0)} ms | ${percent(picture.evaluated)} | ${ratio.toFixed(2)} | ${computingMs.toFixed(0)} ms | ${computingMsAtHalf.toFixed(0)} ms |`);
  }
  if (best) console.log(`Automatic takes ${(automatic.ms / best.ms).toFixed(2)} of the time of the best way that agrees as often, ${best.name}.`);
  report.push({ kbps, rttMs: RTT, pictures: pictures.length, rows, equal, automatic, best: best?.name ?? null });
}
for (const each of workers) await each.close();
await browser.close();
await server.kill();
if (process.env.JSON) await writeFile(process.env.JSON, `${JSON.stringify(report, null, 1)}\n`);

/** Features, each against the soonest picture of equal accuracy. @param {Row[]} rows in the order of `ways` @param {number} kbps */
function equals(rows, kbps) {
  const all = rows.map((row, index) => ({ ...row, evaluated: ways[index].evaluated ?? 0, kind: ways[index].way.kind }));
  const pictures = all.filter(({ kind }) => kind === 'picture').toSorted((a, b) => a.ms - b.ms);
  return all.filter(({ kind }) => kind === 'features').flatMap((features) => {
    const picture = pictures.find(({ evaluated }) => evaluated >= features.evaluated);
    if (!picture) return [];
    const linkMs = RTT + (8 * features.bytes) / kbps;
    return [{
      features,
      picture,
      ratio: features.ms / picture.ms,
      computingMs: features.ms - linkMs,
      computingMsAtHalf: picture.ms / 2 - linkMs,
    }];
  });
}

/** @param {number} share */
function percent(share) {
  return `${(100 * share).toFixed(1)} %`;
}

/** @param {Worker} worker @param {Way | null} way @returns {Promise<{ result: ResultMessage, agrees: boolean }[]>} */
async function answers(worker, way) {
  const all = [];
  for (const file of pictures) {
    const result = await worker.answer(file, way);
    all.push({ result, agrees: result.answer.top[0].class === reference.get(file) });
  }
  return all;
}

/** @param {string} name @param {{ result: ResultMessage, agrees: boolean }[]} all @returns {Row} */
function row(name, all) {
  const sorted = all.map(({ result }) => result.totalMs).toSorted((a, b) => a - b);
  return {
    name,
    bytes: all.reduce((sum, { result }) => sum + result.upBytes, 0) / all.length,
    agreement: all.filter(({ agrees }) => agrees).length / all.length,
    ms: sorted[sorted.length >> 1],
  };
}

// The ways of inference, the emulated link and the automatic choice, in the real worker against the real server.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readFile } from 'node:fs/promises';
import { running } from './support/running.mjs';
import { openWorker } from './support/worker.mjs';
import { shannonKbps } from '../worker/link.js';

/** @typedef {import('../messages.js').Way} Way */
/** @typedef {import('../messages.js').ResultMessage} ResultMessage */

/** @type {{ samples: { file: string, class: number, name: string }[] }} */
const { samples } = JSON.parse(await readFile(new URL('../samples/samples.json', import.meta.url), 'utf8'));
/** Samples of which the uncompressed network is sure, whatever they are compressed with. */
const SURE = samples.filter(({ file }) => ['daisy.jpg', 'zebra.jpg', 'balloon.jpg'].includes(file));
const RAW_MESSAGE = 20 + 224 * 224 * 3;

/** @type {any} */
let model;
const demo = running({ prepare: async () => { model = await demo.server.model(); } });

/** @param {Way['kind'] | 'jpeg' | 'webp' | 'raw'} name @returns {Way} */
const picture = (name, quality = 75) => ({ kind: 'picture', format: /** @type {'jpeg'} */ (name), quality });

/** @param {ResultMessage} result */
const best = ({ answer }) => answer.top[0];

/** @param {ResultMessage} result */
const sum = ({ steps }) => Object.values(steps).reduce((a, b) => a + b, 0);

/** Time in the network. @param {ResultMessage} result */
const network = ({ steps }) => steps.send + steps.answer;

/** @param {number[]} values */
const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];

test('every way answers the same frames, with its bytes and steps', async () => {
  const worker = await openWorker(demo.browser, demo.server.url, { split: 'stage2' });

  const refused = await worker.frame(SURE[0].file, { kind: 'device' });
  assert.equal(refused.type === 'failure' && refused.name, 'WayNotLoaded', JSON.stringify(refused));
  const before = await worker.count();
  await worker.send({ type: 'load-whole' });
  const whole = await worker.heard({ type: 'whole', state: 'ready' }, before);
  const all = [...model.parts, model.labels].reduce((bytes, part) => bytes + part.bytes, 0);
  assert.equal(whole.bytes, all);
  const progress = (await worker.since(before)).filter((message) => message.type === 'whole' && message.state === 'loading');
  assert.ok(progress.length > 2, 'loading is told while it goes on');

  for (const sample of SURE) {
    const raw = await worker.answer(sample.file, picture('raw'));
    const device = await worker.answer(sample.file, { kind: 'device' });
    const others = [null, picture('jpeg'), picture('webp')];
    const results = [raw, device];
    for (const way of others) results.push(await worker.answer(sample.file, way));
    for (const result of results) {
      const name = `${sample.name} as ${JSON.stringify(result.way)}`;
      assert.equal(best(result).class, sample.class, name);
      assert.equal(result.answer.top.length, 5, name);
      assert.ok(Math.abs(sum(result) - result.totalMs) < Math.max(30, 0.3 * result.totalMs), `${name}: ${sum(result)} of ${result.totalMs} ms`);
      assert.ok(result.steps.capture > 0 && result.steps.preprocess > 0, name);
    }
    assert.equal(raw.upBytes, RAW_MESSAGE);
    assert.deepEqual([device.upBytes, device.downBytes, device.steps.send, device.steps.tail], [0, 0, 0, 0]);
    assert.ok(device.steps.front > 0 && raw.steps.front === 0 && raw.steps.tail > 0);
    // The same pixels through the same network, here and there.
    assert.ok(Math.abs(best(raw).probability - best(device).probability) < 0.01, `${best(raw).probability} and ${best(device).probability}`);
    const [, , features, jpeg, webp] = results;
    assert.equal(features.way.kind, 'features');
    assert.ok(features.upBytes < webp.upBytes && webp.upBytes < jpeg.upBytes && jpeg.upBytes < 30_000, `${features.upBytes}, ${webp.upBytes}, ${jpeg.upBytes}`);
    assert.ok(features.steps.front > 0 && features.steps.encode > 0 && features.steps.code > 0);
  }
  const [fine, coarse] = [await worker.answer(SURE[0].file, picture('jpeg', 90)), await worker.answer(SURE[0].file, picture('jpeg', 10))];
  assert.ok(coarse.upBytes < fine.upBytes / 2);

  // With the whole network there, the codecs of every split need nothing but themselves.
  await worker.send({ type: 'choose', codec: 'klt-stem', rate: 5 });
  await worker.heard({ type: 'ready', codec: 'klt-stem' });
  assert.equal((await worker.answer(SURE[0].file)).way.kind, 'features');
  await worker.close();
});

test('a frame may send fewer channels than its rate has, and carries its latent', async () => {
  const worker = await openWorker(demo.browser, demo.server.url, { codec: 'klt-stem' });
  const codec = model.codecs.find((/** @type {any} */ { name }) => name === 'klt-stem');
  const rate = codec.rates.length - 1;
  /** @param {number | null} channels @returns {Way} */
  const way = (channels) => ({ kind: 'features', codec: codec.name, rate, channels });
  const whole = await worker.answer(SURE[0].file, way(null), true);
  const part = await worker.answer(SURE[0].file, way(10), true);
  assert.ok(part.upBytes < whole.upBytes, `${part.upBytes} of ${whole.upBytes}`);
  const [k, h, w] = whole.latent?.shape ?? [0, 0, 0];
  assert.equal(k, codec.rates[rate].channels);
  assert.equal(whole.latent?.symbols.length, k * h * w);
  assert.deepEqual(part.latent?.shape, [10, h, w]);
  assert.deepEqual([...(part.latent?.symbols ?? [])], [...(whole.latent?.symbols ?? [])].slice(0, 10 * h * w));
  assert.deepEqual(part.way, way(10));
  assert.equal((await worker.answer(SURE[0].file, way(null))).latent, undefined, 'nobody asked');
  for (const wrong of [way(k + 1), { ...way(null), rate: 99 }, picture('jpeg', 0)]) {
    const refused = await worker.frame(SURE[0].file, wrong);
    assert.equal(refused.type === 'failure' && refused.name, 'InvalidArgument', JSON.stringify(refused));
  }
  await worker.close();
});

test('another codec of a loaded split needs no network, one of another split is refused until it is chosen', async () => {
  const [first, second] = model.codecs.filter((/** @type {any} */ { split }) => split === 'stage2');
  const worker = await openWorker(demo.browser, demo.server.url, { codec: first.name });
  const { wireBytes } = await worker.heard({ type: 'ready' });
  /** @param {string} codec @returns {Way} */
  const way = (codec) => ({ kind: 'features', codec, rate: 0, channels: null });
  for (const name of [second.name, 'klt-stem']) {
    const refused = await worker.frame(SURE[0].file, way(name));
    assert.equal(refused.type === 'failure' && refused.name, 'WayNotLoaded', JSON.stringify(refused));
    assert.ok(refused.type === 'failure' && refused.hint && !refused.fatal);
  }
  const before = await worker.count();
  await worker.send({ type: 'choose', codec: second.name, rate: 1 });
  const ready = await worker.heard({ type: 'ready', codec: second.name });
  assert.equal(ready.warmUpMs, null);
  assert.ok(ready.wireBytes - wireBytes < second.bytes + 4_096, `${ready.wireBytes - wireBytes} bytes for a codec of ${second.bytes}`);
  assert.equal((await worker.answer(SURE[0].file)).way.kind, 'features');
  assert.equal((await worker.answer(SURE[0].file, way(first.name))).answer.top[0].class, SURE[0].class, 'the first codec is still there');
  assert.ok(!(await worker.since(before)).some((message) => message.type === 'link'), 'the connection stays');
  await worker.close();
});

test('an emulated link has the rate and the round trip that it was given', async () => {
  const worker = await openWorker(demo.browser, demo.server.url, { split: 'stem' });
  const bare = median([network(await worker.answer(SURE[0].file, picture('raw'))), network(await worker.answer(SURE[0].file, picture('raw'))), network(await worker.answer(SURE[0].file, picture('raw')))]);
  for (const [kbps, rttMs, way] of /** @type {[number, number, Way][]} */ ([
    [250, 40, picture('jpeg', 95)], [1_000, 40, picture('raw')], [5_000, 40, picture('raw')], [5_000, 400, picture('raw')],
  ])) {
    await worker.send({ type: 'link-emulation', link: { kbps, rttMs, jitterMs: 0, loss: 0 } });
    // Other work on this machine can only make it slower: never faster than the dial, and the fastest nearly as fast.
    /** @type {{ got: number, right: number }[]} */
    const times = [];
    for (let turn = 0; turn < 4; turn += 1) {
      const result = await worker.answer(SURE[0].file, way);
      times.push({ got: network(result) - rttMs, right: (8 * (result.upBytes + result.downBytes)) / kbps });
    }
    const ratios = times.map(({ got, right }) => got / right);
    const { got, right } = times[ratios.indexOf(Math.min(...ratios))];
    assert.ok(got >= 0.97 * right && got - bare <= 1.1 * right, `${kbps} kbit/s, ${rttMs} ms: ${got.toFixed(0)} ms for what takes ${right.toFixed(0)} ms, ${bare.toFixed(0)} ms without the link`);
  }
  await worker.send({ type: 'link-emulation', link: null });
  assert.ok(network(await worker.answer(SURE[0].file, picture('raw'))) < 300, 'the link is gone');

  const before = await worker.count();
  await worker.send({ type: 'link-emulation', link: { kbps: 1, rttMs: 0, jitterMs: 0, loss: 0 } });
  const failure = await worker.heard({ type: 'failure' }, before);
  assert.deepEqual([failure.name, failure.fatal], ['InvalidArgument', false]);
  await worker.close();
});

test('the automatic choice follows the link and says why', async () => {
  const worker = await openWorker(demo.browser, demo.server.url, { codec: 'klt-stem' });
  await worker.send({ type: 'automatic', goal: { kind: 'accuracy', deadlineMs: 1_500 } });
  await worker.send({ type: 'link-emulation', link: { kbps: 100_000, rttMs: 20, jitterMs: 0, loss: 0 } });
  /** @type {ResultMessage[]} */
  const results = [];
  const follow = async (/** @type {(way: Way) => boolean} */ right, /** @type {number} */ frames) => {
    for (let turn = 0; turn < frames; turn += 1) {
      results.push(await worker.answer(SURE[turn % SURE.length].file));
      if (turn > 3 && results.slice(-2).every(({ way }) => right(way))) return;
    }
    assert.fail(`never: ${JSON.stringify(results.map(({ way }) => way))}`);
  };
  // Nothing agrees with the whole network more than its own input.
  await follow((way) => way.kind === 'picture' && way.format === 'raw', 12);

  const before = await worker.count();
  await worker.send({ type: 'link-emulation', link: { kbps: 400, rttMs: 40, jitterMs: 0, loss: 0 } });
  await follow((way) => !(way.kind === 'picture' && way.format === 'raw'), 12);
  const decisions = (await worker.since(before)).filter((message) => message.type === 'decision');
  const last = /** @type {import('../messages.js').DecisionMessage} */ (decisions.at(-1));
  const chosen = last.estimates.find(({ way }) => JSON.stringify(way) === JSON.stringify(last.way));
  assert.ok(chosen && chosen.ms <= 1_500, JSON.stringify(last));
  assert.ok(Math.abs(last.link.kbps / 400 - 1) < 0.3, `${last.link.kbps} kbit/s`);
  assert.match(last.because, /^At \d+ kbit\/s and \d+ ms there and back, (?:klt-stem at [\d,]+ B|\w+ at quality \d+) is expected to take \d+ of 1500 ms, and agrees with the whole network on [\d.]+ % of pictures\.$/);
  assert.ok(last.estimates.length > 10 && last.estimates.every(({ ms, bytes, agreement }) => ms > 0 && bytes >= 0 && agreement > 0));

  await worker.send({ type: 'automatic', goal: null });
  assert.deepEqual((await worker.answer(SURE[0].file)).way, { kind: 'features', codec: 'klt-stem', rate: 5, channels: null });
  await worker.close();
});

test('while everything runs on the device, pings tell how the link is', async () => {
  const worker = await openWorker(demo.browser, demo.server.url, { split: 'stem' });
  await worker.send({ type: 'load-whole' });
  await worker.heard({ type: 'whole', state: 'ready' });
  // Only raw pixels agree as much with the whole network, and no link here carries them as soon.
  await worker.send({ type: 'automatic', goal: { kind: 'latency', floor: 1 } });
  /** @param {import('../messages.js').Link} link @param {(measured: { kbps: number, rttMs: number }) => boolean} right */
  const learns = async (link, right) => {
    await worker.send({ type: 'link-emulation', link });
    const before = await worker.count();
    // Pings go by the clock, so how many frames that takes is the device's matter.
    const start = performance.now();
    for (let turn = 0; performance.now() - start < 40_000; turn += 1) {
      await worker.answer(SURE[turn % SURE.length].file);
      const decisions = (await worker.since(before)).filter((message) => message.type === 'decision');
      const last = decisions.at(-1);
      if (last && right(last.link)) return;
    }
    const told = (await worker.since(before)).flatMap((message) => (message.type === 'decision' ? [message.link] : []));
    assert.fail(`${JSON.stringify(link)} was never seen: ${JSON.stringify(told)}`);
  };
  await learns({ kbps: 250, rttMs: 40, jitterMs: 0, loss: 0 }, ({ kbps, rttMs }) => kbps > 100 && kbps < 500 && rttMs < 120);
  const before = await worker.count();
  await learns({ kbps: 250, rttMs: 600, jitterMs: 0, loss: 0 }, ({ rttMs }) => rttMs > 450);
  await learns({ kbps: 1_000, rttMs: 300, jitterMs: 0, loss: 0 }, ({ rttMs }) => rttMs > 200 && rttMs < 400);
  const results = (await worker.since(before)).filter((message) => message.type === 'result');
  assert.ok(results.every(({ way }) => way.kind === 'device'), 'no frame was sent to learn it');

  // A link on which the server is sooner is noticed, and one on which it is not.
  await worker.send({ type: 'automatic', goal: { kind: 'latency', floor: 0.8 } });
  /** @param {import('../messages.js').Link} link @param {boolean} here */
  const goes = async (link, here) => {
    await worker.send({ type: 'link-emulation', link });
    /** @type {Way[]} */
    const ways = [];
    for (let turn = 0; turn < 60; turn += 1) {
      ways.push((await worker.answer(SURE[turn % SURE.length].file)).way);
      if (ways.length > 4 && ways.slice(-4).every(({ kind }) => (kind === 'device') === here)) return;
    }
    assert.fail(`never with ${JSON.stringify(link)}: ${JSON.stringify(ways)}`);
  };
  for (let turn = 0; turn < 2; turn += 1) {
    await goes({ kbps: 50_000, rttMs: 5, jitterMs: 1, loss: 0 }, false);
    await goes({ kbps: 100, rttMs: 400, jitterMs: 1, loss: 0 }, true);
  }
  await worker.close();
});

test('Shannon says what a channel can carry', () => {
  assert.equal(shannonKbps(0, 100), 100);
  assert.ok(Math.abs(shannonKbps(20, 180) - 1198.5) < 0.1, String(shannonKbps(20, 180)));
  assert.ok(shannonKbps(-100, 180) < 0.01);
});

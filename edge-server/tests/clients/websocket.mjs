// Node.js' own WebSocket against an edge server:
// node --experimental-websocket websocket.mjs HOST:PORT FRAMES

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';

const [address, frames] = process.argv.slice(2);
const { hello, pictures } = JSON.parse(readFileSync(`${frames}/hello.json`, 'utf8'));

/** What comes in, one after the other. */
function receiver(socket) {
  const waiting = [];
  const come = [];
  const push = (event) => (waiting.length ? waiting.shift()(event) : come.push(event));
  socket.addEventListener('message', ({ data }) => push(JSON.parse(data)));
  socket.addEventListener('close', ({ code }) => push({ type: 'close', code }));
  return () => (come.length ? Promise.resolve(come.shift()) : new Promise((done) => waiting.push(done)));
}

async function open() {
  const socket = new WebSocket(`ws://${address}/v1/stream`, ['aecnn.v1']);
  const next = receiver(socket);
  await new Promise((done, fail) => {
    socket.addEventListener('open', done);
    socket.addEventListener('error', () => fail(new Error('no connection')));
  });
  socket.send(JSON.stringify(hello));
  const welcome = await next();
  assert.equal(welcome.type, 'welcome');
  return { socket, next, codec: welcome.codecs.find(({ digest }) => digest === hello.codec).id };
}

const { socket, next, codec } = await open();
for (const [index, picture] of pictures.entries()) {
  const frame = readFileSync(`${frames}/${index}.frame`);
  frame[2] = codec;
  frame.writeUInt32LE(index, 4);
  socket.send(frame);
  const answer = await next();
  assert.deepEqual([answer.type, answer.sequence], ['result', index]);
  if (picture.includes('balloon')) assert.equal(answer.top[0].label, 'balloon');
}
socket.close(1000);
assert.equal((await next()).code, 1000);

const bad = await open();
bad.socket.send(new Uint8Array([1, 2, 3]));
assert.equal((await bad.next()).code, 'bad_frame');
assert.equal((await bad.next()).code, 4002);
console.log('WebSocket of Node.js: right');

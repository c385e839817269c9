// Runs the JavaScript of docs/PROTOCOL.md, a second implementation of the payload's format, on the golden vectors:
//   node crates/feature-codec/tests/protocol.mjs
import assert from "node:assert/strict";
import { readFile, readdir } from "node:fs/promises";

const document = await readFile(new URL("../../../docs/PROTOCOL.md", import.meta.url), "utf8");
const [, code] = /```js\n([^]*?)```/.exec(document) ?? assert.fail("PROTOCOL.md has no JavaScript");
const { readTables, encode, decode } = await import(`data:text/javascript,${encodeURIComponent(code)}`);

const folder = new URL("golden/", import.meta.url);
const files = (await readdir(folder)).filter((file) => file.endsWith(".txt"));
assert(files.length >= 4);
for (const file of files) {
  const lines = (await readFile(new URL(file, folder), "utf8")).split("\n");
  const all = (what) => lines.filter((line) => line.startsWith(`${what} `)).map((line) => line.slice(what.length + 1));
  const bytes = (what) => Uint8Array.from(Buffer.from(all(what)[0], "hex"));
  const [channels, positions] = all("geometry")[0].split(" ").map(Number);
  const symbols = all("symbols").flatMap((line) => line.split(" ").map(Number));
  assert.equal(symbols.length, channels * positions, file);

  const tables = readTables(bytes("tables"));
  const payload = bytes("payload");
  assert.deepEqual(encode(tables, symbols, positions), payload, `${file}: encode`);
  assert.deepEqual(decode(tables, payload, channels, positions), symbols, `${file}: decode`);
  if (payload.length > 1) {
    assert.throws(() => decode(tables, payload.slice(1), channels, positions), undefined, `${file}: a byte less`);
  }
}
console.log(`the code of PROTOCOL.md agrees with ${files.length} golden vectors`);

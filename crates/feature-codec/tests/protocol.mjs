// Runs the JavaScript of docs/PROTOCOL.md, a second implementation of the payload's format, on the golden vectors:
//   node crates/feature-codec/tests/protocol.mjs
import assert from "node:assert/strict";
import { readFile, readdir } from "node:fs/promises";

const document = await readFile(new URL("../../../docs/PROTOCOL.md", import.meta.url), "utf8");
const [, code] = /```js\n([^]*?)```/.exec(document) ?? assert.fail("PROTOCOL.md has no JavaScript");
const { readTables, encode, decode } = await import(`data:text/javascript,${encodeURIComponent(code)}`);

const folder = new URL("golden/", import.meta.url);
const files = (await readdir(folder)).filter((file) => file.endsWith(".txt"));
assert(files.length >= 5);
for (const file of files) {
  const lines = (await readFile(new URL(file, folder), "utf8")).split("\n");
  const all = (what) => lines.filter((line) => line.startsWith(`${what} `)).map((line) => line.slice(what.length + 1));
  const bytes = (what) => Uint8Array.from(Buffer.from(all(what)[0], "hex"));
  const [channels, rows, columns] = all("geometry")[0].split(" ").map(Number);
  const symbols = all("symbols").flatMap((line) => line.split(" ").map(Number));
  assert.equal(symbols.length, channels * rows * columns, file);

  const tables = readTables(bytes("tables"));
  const payload = bytes("payload");
  assert.deepEqual(encode(tables, symbols, rows, columns), payload, `${file}: encode`);
  assert.deepEqual(decode(tables, payload, channels, rows, columns), symbols, `${file}: decode`);
  if (payload.length > 1) {
    assert.throws(() => decode(tables, payload.slice(1), channels, rows, columns), undefined, `${file}: a byte less`);
  }
}
console.log(`the code of PROTOCOL.md agrees with ${files.length} golden vectors`);

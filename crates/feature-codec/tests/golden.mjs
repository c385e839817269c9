// Runs the golden vectors in WebAssembly:
//   node crates/feature-codec/tests/golden.mjs <path of golden.wasm>
// (see the crate's documentation for how to build it).
import { readFile } from "node:fs/promises";
import process from "node:process";

const path = process.argv[2];
if (!path) {
  console.error("which golden.wasm? give its path");
  process.exit(2);
}
const { instance } = await WebAssembly.instantiate(await readFile(path), {});
const failed = instance.exports.main(0, 0);
if (failed !== 0) {
  console.error(`golden vector ${failed} does not hold in WebAssembly`);
  process.exit(1);
}
console.log("golden vectors hold in WebAssembly");

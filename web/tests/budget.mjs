// Prints what the page costs: `node tests/budget.mjs`, or `cargo xtask budget`. Needs what the browser tests need.
// Times are of this machine, with the server on it; WebGPU in software says nothing about its speed.

import { launch } from './support/browser.mjs';
import { measureBudget } from './support/budget.mjs';
import { EdgeServer } from './support/server.mjs';

const server = await EdgeServer.start();
const model = await server.model();
console.log('| split | backend | MB to the first label | s, cold | MB, second visit | s, warm | longest task, ms | in |');
console.log('|---|---|---|---|---|---|---|---|');
for (const codec of model.codecs) {
  // A profile of its own each time: nothing is cached.
  const browser = await launch();
  const { backend, bytes, coldMs, warmBytes, warmMs, longest } = await measureBudget(browser, server, `?backend=cpu&split=${codec.split}&codec=${codec.name}`);
  console.log(`| ${[codec.name, backend, (bytes / 1e6).toFixed(2), (coldMs / 1000).toFixed(1), (warmBytes / 1e6).toFixed(2), (warmMs / 1000).toFixed(1), longest.ms.toFixed(0), longest.what].join(' | ')} |`);
  await browser.close();
}
await server.kill();

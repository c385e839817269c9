// What a first and a second visit to the page cost.

import { answered, open } from './browser.mjs';
import { Meter } from './meter.mjs';
import { mainThreadTasks } from './trace.mjs';

/** @typedef {import('playwright-core').Browser} Browser */
/** @typedef {import('playwright-core').Page} Page */

/**
 * @typedef {object} Budget
 * @property {string} backend as the page names it
 * @property {number} bytes down the wire before the first label: page, device, weights, codec, answer
 * @property {number} coldMs from opening the page to the first label
 * @property {number} warmBytes the same for the second visit
 * @property {number} warmMs
 * @property {import('./trace.mjs').Task} longest of the main thread's tasks on the first visit, up to the label
 */

/**
 * @param {Browser} browser @param {import('./server.mjs').EdgeServer} server @param {string} query
 * @returns {Promise<Budget>}
 */
export async function measureBudget(browser, server, query) {
  const meter = await Meter.start(server.port);
  const { page, close } = await open(browser, 'about:blank');
  /** @type {{ bytes: number, ms: number }} */
  let cold = { bytes: 0, ms: 0 };
  const tasks = await mainThreadTasks(page, async () => { cold = await visit(page, meter, () => page.goto(`${meter.url}/${query}`)); });
  const backend = (await page.textContent('#backend-badge')) ?? '';
  await page.waitForFunction(() => document.documentElement.dataset.kept === 'true');
  const warm = await visit(page, meter, () => page.reload());
  await close();
  meter.stop();
  return { backend, bytes: cold.bytes, coldMs: cold.ms, warmBytes: warm.bytes, warmMs: warm.ms, longest: tasks[0] };
}

/** @param {Page} page @param {Meter} meter @param {() => Promise<unknown>} go */
async function visit(page, meter, go) {
  const before = meter.down;
  await go();
  await answered(page);
  const ms = await page.evaluate(() => Number(document.documentElement.dataset.firstLabelMs));
  return { bytes: meter.down - before, ms };
}

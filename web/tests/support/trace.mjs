// What keeps the page's main thread: tasks by the processor time that they took, not by the clock, so that a busy
// machine looks no worse than an idle one.

/** @typedef {import('playwright-core').Page} Page */
/** @typedef {{ ms: number, what: string }} Task */

/**
 * Traces the page while `work` runs.
 * @param {Page} page @param {() => Promise<unknown>} work
 * @returns {Promise<Task[]>} longest first
 */
export async function mainThreadTasks(page, work) {
  const session = await page.context().newCDPSession(page);
  /** @type {any[]} */
  const events = [];
  session.on('Tracing.dataCollected', ({ value }) => events.push(...value));
  const complete = new Promise((resolve) => session.once('Tracing.tracingComplete', resolve));
  await session.send('Tracing.start', { transferMode: 'ReportEvents', traceConfig: { includedCategories: ['toplevel', 'devtools.timeline', 'disabled-by-default-devtools.timeline'] } });
  await work();
  await session.send('Tracing.end');
  await complete;
  await session.detach();

  // The browser has renderers of its own; the page's is the one that runs code of the page's origin.
  const { origin } = new URL(page.url());
  const main = new Set(events.filter(({ name, args }) => name === 'thread_name' && args.name === 'CrRendererMain').map(threadOf));
  const own = events.find((event) => main.has(threadOf(event)) && String(event.args?.data?.url ?? '').startsWith(`${origin}/`));
  if (!own) throw new Error(`no code of ${origin} was traced`);
  return events
    .filter((event) => event.ph === 'X' && /RunTask$/.test(event.name) && threadOf(event) === threadOf(own))
    .map((task) => ({ ms: (task.tdur ?? task.dur) / 1000, what: longestWithin(events, task) }))
    .sort((a, b) => b.ms - a.ms);
}

/** @param {any} event */
function threadOf({ pid, tid }) {
  return `${pid}:${tid}`;
}

/** What took most of a task. @param {any[]} events @param {any} task */
function longestWithin(events, task) {
  const [inner] = events
    .filter(({ ph, pid, tid, ts, dur, name }) => ph === 'X' && pid === task.pid && tid === task.tid && ts >= task.ts && ts + dur <= task.ts + task.dur && !/RunTask$/.test(name))
    .sort((a, b) => b.dur - a.dur);
  if (!inner) return '';
  const data = inner.args?.data ?? {};
  return [inner.name, data.type, data.functionName, data.url].filter(Boolean).join(' ');
}

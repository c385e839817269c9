// A worker that computes rows of the feature beside the device: see `helpers.js`.

/** @typedef {import('./helpers.js').ToHelper} ToHelper */
/** @typedef {import('./helpers.js').FromHelper} FromHelper */
/**
 * The part of the package that is used here.
 * @typedef {object} HelperModule
 * @property {(options: { module_or_path: URL }) => Promise<unknown>} default
 * @property {new () => RustHelper} Helper
 */
/**
 * @typedef {object} RustHelper
 * @property {(manifest: string, split: string, purpose: string, parts: Record<string, Uint8Array>) => void} load
 * @property {(split: string, purpose: string, seen: Uint8Array, first: number, end: number) => Promise<Float32Array>} rows
 */

/** Bytes of what the network sees. */
const SEEN = 224 * 224 * 3;
/** So often a front is run before it is used: by then the browser has compiled it well. */
const WARM_UP = 3;

/** @type {Promise<RustHelper> | null} */
let helper = null;

self.addEventListener('message', async (/** @type {MessageEvent<ToHelper>} */ { data }) => {
  if (data.type === 'start') {
    helper = start(data.build, data.turn);
    // It is told to whoever asks for something.
    helper.catch(() => {});
    return;
  }
  try {
    const values = await answer(data);
    self.postMessage(/** @type {FromHelper} */ ({ id: data.id, values }), { transfer: values ? [values.buffer] : [] });
  } catch (error) {
    self.postMessage(/** @type {FromHelper} */ ({ id: data.id, error: error instanceof Error ? error.message : String(error) }));
  }
});

/** @param {string} build @param {number} turn */
async function start(build, turn) {
  const base = `../pkg/${build}/`;
  const module = /** @type {HelperModule} */ (await import(`${base}device.js${turn > 0 ? `?turn=${turn}` : ''}`));
  await module.default({ module_or_path: new URL(`${base}device_bg.wasm`, import.meta.url) });
  return new module.Helper();
}

/** @param {Exclude<ToHelper, { type: 'start' }>} message @returns {Promise<Float32Array | undefined>} */
async function answer(message) {
  const started = await helper;
  if (!started) throw new Error('the helper was not started');
  if (message.type === 'rows') return started.rows(message.split, message.purpose, message.seen, message.first, message.end);
  started.load(message.manifest, message.split, message.purpose, message.parts);
  for (let turn = 0; turn < WARM_UP; turn += 1) await started.rows(message.split, message.purpose, new Uint8Array(SEEN), 0, 4);
  return undefined;
}

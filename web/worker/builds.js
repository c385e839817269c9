// Which of the builds of the device runs in this browser, and why.

/** @typedef {import('../messages.js').Settings} Settings */

/**
 * @typedef {object} Choice
 * @property {'webgpu' | 'relaxed' | 'simd' | 'scalar'} build the folder in `pkg/`
 * @property {'webgpu' | 'cpu'} backend what the device is created with
 * @property {string} reason shown to the visitor
 * @property {boolean} fallback whether something faster, or what was asked for, could not be had
 */

// A function of one SIMD instruction (i8x16.splat): engines without SIMD reject the module.
const SIMD_PROBE = Uint8Array.of(
  0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15,
  253, 98, 11,
);

// A function `f` of three numbers: the first two are multiplied in all lanes by i32x4.relaxed_dot_i8x16_i7x16_add_s, of
// relaxed SIMD, and added to the third.
const RELAXED_PROBE = Uint8Array.of(
  0, 97, 115, 109, 1, 0, 0, 0, 1, 8, 1, 96, 3, 127, 127, 127, 1, 127, 3, 2, 1, 0, 7, 5, 1, 1, 102, 0, 0,
  10, 22, 1, 20, 0, 32, 0, 253, 15, 32, 1, 253, 15, 32, 2, 253, 17, 253, 147, 2, 253, 27, 0, 11,
);

/** Whether there is relaxed SIMD. V8 11.3, which has it behind a flag, compiles this instruction wrongly, so it is tried. */
function hasRelaxedSimd() {
  if (!WebAssembly.validate(RELAXED_PROBE)) return false;
  const { f } = new WebAssembly.Instance(new WebAssembly.Module(RELAXED_PROBE)).exports;
  return typeof f === 'function' && f(-3, 5, 100) === 100 - 4 * 15;
}

/**
 * The choices in order of preference: when the first cannot be created, the next is tried and the
 * visitor is told.
 * @param {Settings['backend']} wanted
 * @returns {Promise<Choice[]>}
 */
export async function chooseBuilds(wanted) {
  const simd = WebAssembly.validate(SIMD_PROBE);
  const relaxed = wanted !== 'simd' && hasRelaxedSimd();
  /** @param {string} why @param {boolean} fallback @returns {Choice} */
  const cpu = (why, fallback) =>
    simd
      ? { build: relaxed ? 'relaxed' : 'simd', backend: 'cpu', reason: why, fallback }
      : { build: 'scalar', backend: 'cpu', reason: `${why} WebAssembly has no SIMD here, so the slower build runs.`, fallback: true };

  if (wanted === 'scalar') {
    return [{ build: 'scalar', backend: 'cpu', reason: 'The build without SIMD was asked for in the address.', fallback: false }];
  }
  if (wanted === 'simd') return [cpu('The CPU without relaxed SIMD was asked for in the address.', false)];
  if (wanted === 'cpu') return [cpu('The CPU was asked for in the address.', false)];

  const gpu = await webgpu();
  if (wanted === 'webgpu') {
    if (gpu.state === 'none') return [cpu(`WebGPU was asked for, but ${gpu.why}`, true)];
    return [
      { build: 'webgpu', backend: 'webgpu', reason: 'WebGPU was asked for in the address.', fallback: false },
      cpu('WebGPU was asked for, but could not be started.', true),
    ];
  }
  if (gpu.state === 'none') return [cpu(`Runs on the CPU: ${gpu.why}`, true)];
  if (gpu.state === 'software') {
    return [cpu('Runs on the CPU: WebGPU is only emulated in software here, which is slower.', true)];
  }
  return [
    { build: 'webgpu', backend: 'webgpu', reason: 'This browser has WebGPU.', fallback: false },
    cpu('Runs on the CPU: WebGPU could not be started.', true),
  ];
}

/** @returns {Promise<{ state: 'none', why: string } | { state: 'software' } | { state: 'hardware' }>} */
async function webgpu() {
  if (!('gpu' in navigator) || !navigator.gpu) {
    return { state: 'none', why: 'this browser has no WebGPU.' };
  }
  try {
    const adapter = await navigator.gpu.requestAdapter();
    if (!adapter) return { state: 'none', why: 'WebGPU finds no graphics adapter on this machine.' };
    const { isFallbackAdapter, architecture } = adapter.info;
    return { state: isFallbackAdapter || architecture === 'swiftshader' ? 'software' : 'hardware' };
  } catch (error) {
    return { state: 'none', why: `WebGPU refused: ${error instanceof Error ? error.message : error}.` };
  }
}

// Loading a build of the Rust device.

import { download } from './download.js';
import { megabytes } from './model.js';

/** @typedef {import('./builds.js').Choice} Choice */
/** @typedef {import('./model.js').OnProgress} OnProgress */
/** @typedef {import('../../device-wasm/src/types.d.ts').ConnectCallbacks} ConnectCallbacks */
/** @typedef {import('../../device-wasm/src/types.d.ts').ConnectOptions} ConnectOptions */
/** @typedef {import('../../device-wasm/src/types.d.ts').FrameSource} FrameSource */

/**
 * The part of the device that this page uses. The whole of it is in `pkg/<build>/device.d.ts`.
 * @typedef {object} Device
 * @property {string} backend
 * @property {(manifest: string, split: string, parts: Record<string, Uint8Array>, codec: Uint8Array, rate: number) => void | Promise<void>} load
 * @property {() => Promise<number>} warmUp
 * @property {(rate: number) => void} setRate
 * @property {(url: string, callbacks: ConnectCallbacks & ConnectOptions) => void} connect
 * @property {() => void} disconnect
 * @property {(source: FrameSource, captureTimeUs: number) => void} submit
 */

/**
 * @typedef {object} DeviceModule
 * @property {(options: { module_or_path: Response }) => Promise<unknown>} default
 * @property {{ create(backend: string): Promise<Device> }} Device
 */

/**
 * @param {Choice} choice @param {OnProgress} onProgress
 * @returns {Promise<{ device: Device, name: string }>}
 */
export async function createDevice(choice, onProgress) {
  const label = 'Downloading the device';
  onProgress(label, null, '');
  const base = `../pkg/${choice.build}/`;
  const wasm = download(new URL(`${base}device_bg.wasm`, import.meta.url), (loaded) =>
    onProgress(label, null, `${megabytes(loaded)} unpacked`));
  // Both at once; if the module fails first, the other failure is its consequence.
  wasm.catch(() => {});
  const module = /** @type {DeviceModule} */ (await import(`${base}device.js`));
  await module.default({ module_or_path: await wasm });
  onProgress('Starting the device', null, '');
  const device = await module.Device.create(choice.backend);
  return { device, name: device.backend };
}

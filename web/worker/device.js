// Loading a build of the Rust device.

import { download } from './download.js';
import { megabytes } from './model.js';

/** @typedef {import('./builds.js').Choice} Choice */
/** @typedef {import('./model.js').OnProgress} OnProgress */
/** @typedef {import('../../device-wasm/src/types.d.ts').ConnectCallbacks} ConnectCallbacks */
/** @typedef {import('../../device-wasm/src/types.d.ts').ConnectOptions} ConnectOptions */
/** @typedef {import('../../device-wasm/src/types.d.ts').Encoded} Encoded */
/** @typedef {import('../../device-wasm/src/types.d.ts').FrameSource} FrameSource */
/** @typedef {import('../../device-wasm/src/types.d.ts').Goal} Goal */
/** @typedef {import('../../device-wasm/src/types.d.ts').Helpers} Helpers */
/** @typedef {import('../../device-wasm/src/types.d.ts').Link} Link */
/** @typedef {import('../../device-wasm/src/types.d.ts').SubmitOptions} SubmitOptions */

/**
 * The part of the Rust device that is used here. The whole of it is in `pkg/<build>/device.d.ts`.
 * @typedef {object} RustDevice
 * @property {string} backend
 * @property {(manifest: string, split: string, parts: Record<string, Uint8Array>, codec: Uint8Array, rate: number) => void} load
 * @property {(split: string, codec: Uint8Array) => void} addCodec
 * @property {(parts: Record<string, Uint8Array>, labels: Uint8Array) => void} loadWhole
 * @property {(split: string) => boolean} hasSplit
 * @property {(whole?: boolean) => Promise<number>} warmUp
 * @property {(codec: string, rate: number) => void} choose
 * @property {(url: string, callbacks: ConnectCallbacks & ConnectOptions) => void} connect
 * @property {() => void} disconnect
 * @property {(source: FrameSource, captureTimeUs: number) => Promise<Encoded>} encodeFrame
 * @property {(source: FrameSource, captureTimeUs: number, options?: SubmitOptions) => void} submit
 * @property {(helpers: Helpers | null) => void} setHelpers
 * @property {(link: Link | null) => void} setLink
 * @property {(goal: Goal | null) => void} setAutomatic
 */

/**
 * @typedef {object} DeviceModule
 * @property {(options: { module_or_path: Response }) => Promise<unknown>} default
 * @property {{ create(backend: string, onLost?: (reason: string) => void): Promise<RustDevice> }} Device
 */

/**
 * @param {Choice} choice
 * @param {number} turn a device that was lost may have left its module in pieces: another number loads it anew
 * @param {OnProgress} onProgress
 * @param {(reason: string) => void} onLost
 * @returns {Promise<RustDevice>}
 */
export async function createDevice(choice, turn, onProgress, onLost) {
  const label = 'Downloading the device';
  onProgress(label, null, '');
  const base = `../pkg/${choice.build}/`;
  const wasm = download(new URL(`${base}device_bg.wasm`, import.meta.url), (loaded) =>
    onProgress(label, null, `${megabytes(loaded)} unpacked`));
  // Both at once; if the module fails first, the other failure is its consequence.
  wasm.catch(() => {});
  const module = /** @type {DeviceModule} */ (await import(`${base}device.js${turn > 0 ? `?turn=${turn}` : ''}`));
  await module.default({ module_or_path: await wasm });
  onProgress('Starting the device', null, '');
  return module.Device.create(choice.backend, onLost);
}

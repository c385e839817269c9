// The messages between the page and its worker. Types only: nothing here runs.

/**
 * @typedef {import('../device-wasm/src/types.d.ts').Answer} Answer
 * @typedef {import('../device-wasm/src/types.d.ts').SessionState} SessionState
 * @typedef {import('../device-wasm/src/types.d.ts').StepTimings} StepTimings
 */

/**
 * What the address of the page can set. Null: let the page choose.
 * @typedef {object} Settings
 * @property {'webgpu' | 'cpu' | 'scalar' | null} backend
 * @property {string | null} split
 * @property {string | null} codec a codec's name, where a split has several
 * @property {string | null} rate a rate's name or its index
 * @property {string} server the address that the page's frames go to, such as `http://127.0.0.1:8080`
 */

/**
 * @typedef {object} RateEntry
 * @property {string} name
 * @property {number} channels
 * @property {number} mean_bytes
 * @property {number} agreement share of pictures whose top-1 is the uncompressed network's
 */

/**
 * @typedef {{ file: string, bytes: number, sha256: string }} FileEntry
 * @typedef {FileEntry & { name: string }} PartEntry
 * @typedef {FileEntry & { name: string, method: string, split: string, rates: RateEntry[], default_rate: number }} CodecEntry
 */

/**
 * A model as `/v1/models` lists it.
 * @typedef {object} Manifest
 * @property {string} name
 * @property {string} variant
 * @property {{ crop: number }} preprocessing
 * @property {number} classes
 * @property {PartEntry[]} parts
 * @property {CodecEntry[]} codecs
 * @property {{ source: string, licence: string, attribution: string }} provenance
 * @property {string} digest
 */

/**
 * A frame. Ids grow; an answer carries the id of its frame.
 * @typedef {object} FrameMessage
 * @property {'frame'} type
 * @property {number} id
 * @property {ImageBitmap} image handed over
 * @property {number} capturedAt microseconds since 1970 at which the capture began
 * @property {number} captureMs what the page spent on it
 */

/**
 * @typedef {{ type: 'start', settings: Settings }
 *   | { type: 'choose', codec: string, rate: number }
 *   | FrameMessage} ToWorker
 */

/**
 * The backend that runs, and why this one.
 * @typedef {object} BackendMessage
 * @property {'backend'} type
 * @property {string} name as the device names itself
 * @property {string} reason
 * @property {boolean} fallback whether something faster, or what was asked for, could not be had
 */

/**
 * @typedef {object} ProgressMessage
 * @property {'progress'} type
 * @property {string} label what is being done
 * @property {number | null} share done, 0 to 1; null when it cannot be told
 * @property {string} detail sizes
 */

/**
 * @typedef {object} ReadyMessage
 * @property {'ready'} type
 * @property {string} codec
 * @property {number} rate
 * @property {number | null} warmUpMs the first, cold pass; null when only the rate changed
 * @property {number} wireBytes bytes that the worker has downloaded so far, as they came over the wire
 */

/**
 * The same frame for the other worker, which encodes it as pictures.
 * @typedef {object} MeasureMessage
 * @property {number} id
 * @property {ImageBitmap} image handed over
 * @property {number} crop the central share of the shorter side that the network sees
 * @property {number} quality of JPEG and WebP, 5 to 95
 */

/**
 * Bytes of one frame encoded as a picture; null where the browser has no encoder for it.
 * @typedef {object} PictureSizes
 * @property {number} raw
 * @property {number | null} png
 * @property {number | null} jpeg
 * @property {number | null} webp
 * @property {number} quality
 */

/** @typedef {{ id: number, sizes: PictureSizes } | { id: number, error: string }} MeasuredMessage */

/**
 * @typedef {object} ResultMessage
 * @property {'result'} type
 * @property {number} id
 * @property {Answer} answer
 * @property {number} captureMs page and worker together
 * @property {number} totalMs from the beginning of the capture to the label
 */

/**
 * @typedef {object} FailureMessage
 * @property {'failure'} type
 * @property {string} name stable: one failure of a name is shown at a time
 * @property {string} message
 * @property {string} hint what to do
 * @property {string} code the server's, if it sent the error; else empty
 * @property {boolean} fatal whether the worker has given up
 */

/**
 * `lost`: the frame will get no answer; its reason came as a failure or as a state of the link.
 * @typedef {{ type: 'models', manifest: Manifest }
 *   | { type: 'link', state: SessionState }
 *   | { type: 'lost', id: number }
 *   | BackendMessage | ProgressMessage | ReadyMessage | ResultMessage | FailureMessage} FromWorker
 */

export {};

// The messages between the page and its worker. Types only: nothing here runs.

/**
 * @typedef {import('../device-wasm/src/types.d.ts').Answer} Answer
 * @typedef {import('../device-wasm/src/types.d.ts').Decision} Decision
 * @typedef {import('../device-wasm/src/types.d.ts').Estimate} Estimate
 * @typedef {import('../device-wasm/src/types.d.ts').Goal} Goal
 * @typedef {import('../device-wasm/src/types.d.ts').Latent} Latent
 * @typedef {import('../device-wasm/src/types.d.ts').Link} Link
 * @typedef {import('../device-wasm/src/types.d.ts').SessionState} SessionState
 * @typedef {import('../device-wasm/src/types.d.ts').StepTimings} StepTimings
 * @typedef {import('../device-wasm/src/types.d.ts').Steps} Steps
 * @typedef {import('../device-wasm/src/types.d.ts').Way} Way
 */

/**
 * What the address of the page can set. Null: let the page choose.
 * @typedef {object} Settings
 * @property {'webgpu' | 'cpu' | 'simd' | 'scalar' | null} backend
 * @property {number | null} threads on the CPU; null: as many as suit the machine
 * @property {string | null} model a model's name, where the server has several
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
 * @typedef {FileEntry & { name: string, method: string, split: string, rates: RateEntry[], default_rate: number, device?: FileEntry }} CodecEntry
 */

/**
 * A model as `/v1/models` lists it.
 * @typedef {object} Manifest
 * @property {string} name
 * @property {string} variant
 * @property {{ crop: number }} preprocessing
 * @property {number} classes
 * @property {PartEntry[]} parts
 * @property {FileEntry} labels a JSON array of the classes' names
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
 * @property {Way | null} [way] null: the chosen codec and rate, or what automatic offloading decides
 * @property {boolean} [wantLatent] whether the result shall carry what was sent
 */

/**
 * `choose` loads what the codec needs; of a split that is loaded, only the codec. `link-emulation`: null ends it.
 * `load-whole` makes the way `device` possible: it downloads the rest of the network, once. `automatic`: null ends it.
 * `token`: of a server that asks for one, which was told as the failure with the code `unauthorized`.
 * @typedef {{ type: 'start', settings: Settings, token: string | null }
 *   | { type: 'token', token: string }
 *   | { type: 'choose', codec: string, rate: number }
 *   | { type: 'link-emulation', link: Link | null }
 *   | { type: 'load-whole' }
 *   | { type: 'automatic', goal: Goal | null }
 *   | FrameMessage} ToWorker
 */

/**
 * The backend that runs, and why this one.
 * @typedef {object} BackendMessage
 * @property {'backend'} type
 * @property {string} name as the device names itself
 * @property {string} reason
 * @property {boolean} fallback whether something faster, or what was asked for, could not be had
 * @property {number} threads that share the front
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
 * @property {number | null} warmUpMs the first, cold pass; null when the network was there already
 * @property {number} wireBytes bytes that the worker has downloaded so far, as they came over the wire
 * @property {string[]} files addresses of what the worker has fetched so far, to be kept for a visit without the server
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
 * @property {Way} way the one that the frame went
 * @property {number} upBytes of the message, its header included; 0 where nothing was sent
 * @property {number} downBytes of the answer
 * @property {Steps} steps with the page's share of the capture
 * @property {Latent} [latent] where the frame asked for it and its way has one
 */

/**
 * What automatic offloading has chosen: told when the choice changes, and once a second while frames pass.
 * @typedef {{ type: 'decision' } & Decision} DecisionMessage
 */

/**
 * The whole network in this browser. Progress comes while it loads.
 * @typedef {object} WholeMessage
 * @property {'whole'} type
 * @property {'loading' | 'ready'} state
 * @property {number} bytes that have arrived so far, those of the loaded front included; when ready, all
 * @property {number} total bytes that it takes
 * @property {number | null} ms the first, cold pass, when ready
 * @property {string[]} [files] as in `ReadyMessage`, when ready
 */

/**
 * The graphics device was lost. The worker starts the device anew, on WebGPU or on the CPU; a `backend` message
 * and `ready` follow.
 * @typedef {object} RecoveringMessage
 * @property {'recovering'} type
 * @property {string} reason
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
 *   | BackendMessage | ProgressMessage | ReadyMessage | ResultMessage | DecisionMessage | WholeMessage
 *   | RecoveringMessage | FailureMessage} FromWorker
 */

export {};

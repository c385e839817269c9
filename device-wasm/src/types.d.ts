/** What the device runs on. */
export type Backend = "webgpu" | "cpu";

/** Anything a frame can be read from. Bitmaps and video frames given to `submit` are closed by the device. */
export type FrameSource = ImageBitmap | VideoFrame | OffscreenCanvas | HTMLCanvasElement | HTMLVideoElement | HTMLImageElement | ImageData;

/** Workers that compute rows of the feature beside the device. */
export interface Helpers {
  /** How many of them have the front of `split` for `purpose`. */
  count(split: string, purpose: "codec" | "whole"): number;
  /** Rows `first` to `end` (without it) of the feature of `split`, `[channels, rows, width]`, of the 224x224 pixels (red, green, blue) that the network sees. Each call is another worker's. */
  ask(split: string, purpose: "codec" | "whole", seen: Uint8Array, first: number, end: number): Promise<Float32Array>;
}

/** How a frame comes to its label. */
export type Way =
  /** The front runs here, its feature is sent. `rate` is an index into the codec's rates; `channels` null: all that the rate has. */
  | { kind: "features"; codec: string; rate: number; channels: number | null }
  /** The 224x224 pixels that the network sees are sent, the whole network runs on the server. `quality` 1 to 100; raw ignores it. */
  | { kind: "picture"; format: "jpeg" | "webp" | "raw"; quality: number }
  /** The whole network runs here; nothing is sent. Needs `loadWhole`. */
  | { kind: "device" };

/** An emulated link. It shapes what the device sends and what it receives. */
export interface Link {
  /** Kilobits (1000 bits) a second, each way; 50 to 100,000. */
  kbps: number;
  /** Milliseconds there and back, without the time that bytes take; 0 to 2,000. Half of it each way. */
  rttMs: number;
  /** Each message is delayed by up to so many milliseconds more; 0 to 1,000. Messages keep their order. */
  jitterMs: number;
  /** Share of messages, 0 to 0.5, that arrive a retransmission later, as TCP would deliver them. */
  loss: number;
}

/** What automatic offloading aims at. */
export type Goal =
  /** The lowest time to label among the ways whose answers agree with the uncompressed network's for at least a share `floor` of pictures. */
  | { kind: "latency"; floor: number }
  /** The highest agreement among the ways whose time to label is within the deadline. */
  | { kind: "accuracy"; deadlineMs: number };

/** What a way is expected to cost now. */
export interface Estimate {
  way: Way;
  /** Time to label, capture included. */
  ms: number;
  /** Share of pictures whose top-1 is the uncompressed network's, 0 to 1. */
  agreement: number;
  /** Bytes up a frame, header included. */
  bytes: number;
}

/** What automatic offloading has chosen, and why. Told when the choice changes, and once a second otherwise. */
export interface Decision {
  way: Way;
  /** Of every way that can be chosen at the moment, `way` among them. */
  estimates: Estimate[];
  /** A sentence. */
  because: string;
  /** Milliseconds since 1970. */
  at: number;
  /** The link as it was measured. */
  link: { kbps: number; rttMs: number };
}

/** Milliseconds of each step of a frame's way on the device, in order. */
export interface StepTimings {
  /** Reading the pixels of the source; 0 when pixels were given. */
  capture: number;
  /** Crop, resample to 224x224, normalise. */
  preprocess: number;
  /** The front of the network. On WebGPU the work is queued here and waited for in `encode`, unless `setProfiling(true)`. */
  front: number;
  /** The feature encoder and the read-back of the latent; of a picture, its compression. */
  encode: number;
  /** Latent to integer symbols. */
  quantise: number;
  /** Entropy coding and framing. */
  code: number;
  /** From the start of the first step to the end of the last. */
  total: number;
}

/**
 * Milliseconds of a frame's whole way, from source to label; the same steps for every way, 0 where a way has no such step.
 * `answer` is estimated: half of the measured link's round trip and the time its bytes take at the measured rate, at most the
 * time in the network. `send` is the rest of that time: the round trip less the server's total less `answer`.
 */
export interface Steps {
  capture: number;
  preprocess: number;
  /** The network's part that runs here: the front, or all of it. */
  front: number;
  /** Feature encoder and quantiser; of a picture, its compression. */
  encode: number;
  /** Entropy coding and framing. */
  code: number;
  /** Up: what the message spent on the link. */
  send: number;
  /** On the server: waiting for the network. */
  queue: number;
  /** On the server: bytes to feature, or bytes to the network's input. */
  decode: number;
  /** On the server: the rest of the network, or all of it. */
  tail: number;
  /** Down: what the answer spent on the link. Of the whole network here: logits to labels. */
  answer: number;
}

/** A frame that is ready to be sent. */
export interface Encoded {
  /** The whole binary message: header and entropy-coded payload. */
  payload: Uint8Array;
  /** The quantised latent, channel-major, as many channels as are sent. */
  symbols: Int16Array;
  sequence: number;
  captureTimeUs: number;
  /** Latent channels that are sent. */
  channels: number;
  timings: StepTimings;
}

/** The quantised latent of a frame. */
export interface Latent {
  codec: string;
  /** Index of the rate. */
  rate: number;
  /** Channels that were sent, the most important first, rows, columns. */
  shape: [number, number, number];
  /** Channel-major. */
  symbols: Int16Array;
}

/** A frame that was sent: its cost on this side of the link. */
export interface SentFrame {
  sequence: number;
  captureTimeUs: number;
  /** Bytes of the binary message, header included; 0 when nothing was sent. */
  bytes: number;
  way: Way;
  timings: StepTimings;
}

export interface Prediction {
  class: number;
  label: string;
  /** 0 to 1. */
  probability: number;
}

/** Microseconds of each step on the server. */
export interface ServerTimings {
  queue_us: number;
  decode_us: number;
  restore_us: number;
  tail_us: number;
  total_us: number;
}

/** The answer to a frame, with what the device knows of that frame. Without a server's part where the whole network ran here. */
export interface Answer {
  sequence: number;
  capture_time_us: number;
  top: Prediction[];
  timings: ServerTimings;
  /** Frames that the server ran together with this one. */
  batch: number;
  /** Bytes of the payload as the server counted them, without the header. */
  payload_bytes: number;
  /** From sending the frame to its answer, in milliseconds. */
  roundTripMs: number;
  way: Way;
  /** Bytes of the message up and of the answer down, the WebSocket's own framing not counted. */
  upBytes: number;
  downBytes: number;
  steps: Steps;
  frame: SentFrame;
  /** What was sent, where `wantLatent` asked for it and the way has one. */
  latent?: Latent;
}

/** Where the connection stands. */
export type SessionState =
  | { state: "connecting"; attempt: number }
  | { state: "ready"; session: number; server: string }
  /** The link broke; `lostFrames` will get no answer. The device tries again by itself. */
  | { state: "waiting"; retryInMs: number; code: number; reason: string; lostFrames: number }
  /** The end: `disconnect()` was called, or trying again would not help. */
  | { state: "closed"; code: number; reason: string };

/** What `onError` gets and what methods throw: an `Error` whose `name` is stable and whose `hint` says what to do. */
export interface DeviceError extends Error {
  name:
    | "BackendUnavailable"
    | "InvalidArgument"
    | "InvalidModel"
    | "NotLoaded"
    /** The way's codec is not loaded, or its split's network is not; or the whole network is not. */
    | "WayNotLoaded"
    | "CaptureFailed"
    | "EncodeFailed"
    | "ConnectionFailed"
    | "ServerError";
  hint: string;
  /** The server's error code, when the server sent the error. */
  code?: string;
  /** The frame that the error is about, if it is about one. */
  sequence?: number;
}

export interface ConnectCallbacks {
  onResult?: (answer: Answer) => void;
  onState?: (state: SessionState) => void;
  onError?: (error: DeviceError) => void;
  /** A frame was encoded and handed to the socket; its answer follows in `onResult`. */
  onSent?: (frame: SentFrame) => void;
  /** Automatic offloading has decided. */
  onDecision?: (decision: Decision) => void;
}

export interface ConnectOptions {
  /** Frames that may be on their way at once, from the start of encoding to the answer. Default 1. */
  framesInFlight?: number;
  /** Classes in each answer. Default: the server's. */
  topK?: number;
  /**
   * For a server that asks for one: letters, digits, `.`, `_`, `~`, `-`. Without one that it knows, the device says so by a `ServerError`
   * with the code `unauthorized` and disconnects.
   */
  token?: string;
}

export interface SubmitOptions {
  /** Default: the chosen codec and rate, or what automatic offloading decides. */
  way?: Way | null;
  /** Have the answer carry the latent. */
  wantLatent?: boolean;
  /** Leave the source open: the caller closes it when its answer has come. */
  keep?: boolean;
}

/** Frames since `connect`. */
export interface FrameCounts {
  submitted: number;
  sent: number;
  answered: number;
  /** Replaced by a newer frame before they were encoded. */
  dropped: number;
  /** Could not be encoded, were refused, or were on their way when the link broke. */
  failed: number;
}

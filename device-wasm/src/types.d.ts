/** What the device runs on. */
export type Backend = "webgpu" | "cpu";

/** Anything a frame can be read from. Bitmaps and video frames given to `submit` are closed by the device. */
export type FrameSource = ImageBitmap | VideoFrame | OffscreenCanvas | HTMLCanvasElement | HTMLVideoElement | HTMLImageElement | ImageData;

/** Milliseconds of each step of a frame's way on the device, in order. */
export interface StepTimings {
  /** Reading the pixels of the source; 0 when pixels were given. */
  capture: number;
  /** Crop, resample to 224x224, normalise. */
  preprocess: number;
  /** The front of the network. On WebGPU the work is queued here and waited for in `encode`, unless `setProfiling(true)`. */
  front: number;
  /** The feature encoder and the read-back of the latent. */
  encode: number;
  /** Latent to integer symbols. */
  quantise: number;
  /** Entropy coding and framing. */
  code: number;
  /** From the start of the first step to the end of the last. */
  total: number;
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

/** A frame that was sent: its cost on this side of the link. */
export interface SentFrame {
  sequence: number;
  captureTimeUs: number;
  /** Bytes of the binary message, header included. */
  bytes: number;
  split: string;
  codec: string;
  rate: string;
  channels: number;
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

/** The server's answer to a frame, with what the device knows of that frame. */
export interface Answer {
  sequence: number;
  capture_time_us: number;
  top: Prediction[];
  timings: ServerTimings;
  /** Frames that the server ran together with this one. */
  batch: number;
  /** Entropy-coded bytes as the server counted them, without the header. */
  payload_bytes: number;
  /** From sending the frame to its answer, in milliseconds. */
  roundTripMs: number;
  frame: SentFrame;
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
}

export interface ConnectOptions {
  /** Frames that may be on their way at once, from the start of encoding to the answer. Default 1. */
  framesInFlight?: number;
  /** Classes in each answer. Default: the server's. */
  topK?: number;
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

// What the package offers. The messages' own types are those of the Rust device.

import type {
  Answer, ConnectOptions, Decision, DeviceError, Encoded, FrameSource, Goal, Link, SentFrame, SessionState, SubmitOptions,
} from '../src/types.d.ts';

export type * from '../src/types.d.ts';

/** How far loading is. */
export interface Progress {
  /** What is being done. */
  label: string;
  /** Done, 0 to 1; null when it cannot be told. */
  share: number | null;
  /** Sizes, in words. */
  detail: string;
}

export interface LoadOptions {
  /** Address of an edge server, which has the models: `https://edge.example/`. Default: where the page came from. */
  server?: string | URL;
  /** The model's name. Default: the first that has a codec. */
  model?: string;
  /** Where the network is cut. Default: that of the codec whose usual frame is smallest. */
  split?: 'stem' | 'stage1' | 'stage2' | 'stage3' | 'stage4';
  /** The codec's name, where a split has several. */
  codec?: string;
  /** A rate's name or its index. Default: the codec's own. */
  rate?: string | number;
  /** Default: WebGPU where the browser has it, else the CPU. `simd`: the CPU without relaxed SIMD; `scalar`: without any. */
  backend?: 'webgpu' | 'cpu' | 'simd' | 'scalar';
  /** Threads that share the front on the CPU, the device's own among them. They share no memory: the page need not be isolated. Default: as many as the machine has, up to 4. */
  threads?: number;
  onProgress?: (progress: Progress) => void;
}

/** A model as the server lists it; what programs choose by. */
export interface Manifest {
  name: string;
  variant: string;
  classes: number;
  digest: string;
  preprocessing: { crop: number };
  parts: { name: string; file: string; bytes: number; sha256: string }[];
  labels: { file: string; bytes: number; sha256: string };
  codecs: CodecEntry[];
  provenance: { source: string; licence: string; attribution: string };
}

export interface CodecEntry {
  name: string;
  method: string;
  split: string;
  file: string;
  bytes: number;
  sha256: string;
  rates: { name: string; channels: number; mean_bytes: number; agreement: number }[];
  default_rate: number;
  /** What a device needs of it, as a file of its own. */
  device?: { file: string; bytes: number; sha256: string };
}

/** The events of a device, with the type of their `detail`. */
export interface DeviceEvents {
  /** A frame's answer. */
  result: Answer;
  /** Where the connection stands. */
  state: SessionState;
  /** A frame is on its way. */
  sent: SentFrame;
  /** Automatic offloading has decided. */
  decision: Decision;
  /** A frame, or the connection, failed; or a lost device could not be started anew. */
  error: DeviceError;
  /** The graphics device was lost. The device starts anew, on WebGPU or on the CPU. */
  recovering: { reason: string };
  /** It runs again; `backend` says where. The newest frame without an answer is taken up again. */
  recovered: null;
}

/** A download that failed. */
export class DownloadError extends Error {
  /** Whether the server did not answer at all: trying again may help. */
  unreachable: boolean;
}

/**
 * The device. Use it in a worker: on the CPU a frame blocks its thread.
 *
 * Errors are `Error`s whose `name` is stable (see `DeviceError`) and whose `hint` says what to do.
 */
export class Device extends EventTarget {
  /** Downloads and starts what the options ask for. */
  static load(options?: LoadOptions): Promise<Device>;

  readonly manifest: Manifest;
  /** What it runs on, why, whether something faster, or what was asked for, could not be had, and how many threads share the front. */
  readonly backend: { name: string; reason: string; fallback: boolean; threads: number };
  /** What frames that name no way are sent as. */
  readonly chosen: { codec: CodecEntry; rate: number } | null;
  /** Whether frames can go the way `device`. */
  readonly hasWhole: boolean;

  /** Chooses codec and rate, and loads what that needs. Resolves to the first, cold pass in milliseconds; null when the network was there. */
  choose(codec: string, rate: number, options?: Pick<LoadOptions, 'onProgress'>): Promise<number | null>;
  /** Loads a codec without choosing it, so that frames, or automatic offloading, may. */
  addCodec(codec: string, options?: Pick<LoadOptions, 'onProgress'>): Promise<void>;
  /** Loads the rest of the network, so that frames can go the way `device`. */
  loadWhole(options?: { onBytes?: (loaded: number, total: number) => void }): Promise<{ bytes: number; ms: number }>;

  /** Encodes a frame by the chosen codec and rate, without sending it. The source stays open. */
  encode(source: FrameSource, options?: { capturedAt?: number }): Promise<Encoded>;

  /** Connects to an edge server, and again after each break, until `disconnect`. */
  connect(server: string | URL, options?: ConnectOptions): void;
  disconnect(): void;
  /**
   * Sends a frame; its answer comes as `result`. The newest wins: one that still waits is replaced. The device closes bitmaps
   * and video frames. `capturedAt`: microseconds since 1970, whole; the answer's `capture_time_us`. Throws `WayNotLoaded`.
   */
  submit(source: FrameSource, options?: Omit<SubmitOptions, 'keep'> & { capturedAt?: number }): void;

  /** Emulates a link for what is sent and received from now on; null ends it. */
  setLink(link: Link | null): void;
  /** Chooses the way of frames that name none by this goal from now on; null ends it. */
  setAutomatic(goal: Goal | null): void;

  /** The end: closes the connection and gives back the network. */
  dispose(): void;

  addEventListener<K extends keyof DeviceEvents>(type: K, listener: (event: CustomEvent<DeviceEvents[K]>) => void, options?: boolean | AddEventListenerOptions): void;
  addEventListener(type: string, listener: EventListenerOrEventListenerObject, options?: boolean | AddEventListenerOptions): void;
  removeEventListener<K extends keyof DeviceEvents>(type: K, listener: (event: CustomEvent<DeviceEvents[K]>) => void, options?: boolean | EventListenerOptions): void;
  removeEventListener(type: string, listener: EventListenerOrEventListenerObject, options?: boolean | EventListenerOptions): void;
}

/** The models of a server. */
export function fetchManifest(server: URL, name?: string | null): Promise<Manifest>;

/** Kilobits a second that a channel can carry at most (Shannon), of its signal to noise ratio in decibels and its width in kilohertz. */
export function shannonKbps(snrDb: number, widthKhz: number): number;

// The webcam: its newest frame, whenever one is wanted.

/** A camera that cannot be used, said for people. */
export class CameraError extends Error {
  /** @param {string} message @param {string} hint */
  constructor(message, hint) {
    super(message);
    this.name = 'CameraError';
    this.hint = hint;
  }
}

/** @typedef {{ image: ImageBitmap, capturedAt: number, captureMs: number }} Captured */

export class Camera {
  /** @type {MediaStream | null} */ #stream = null;
  #watching = 0;
  /** Whether the video shows a frame that has not been taken yet. */
  #fresh = false;
  /** Frames that the camera has shown since it was started. */
  shown = 0;

  /**
   * @param {HTMLVideoElement} video
   * @param {() => void} onFrame a frame that was not there before
   * @param {(reason: CameraError) => void} onEnd the camera went away by itself
   */
  constructor(video, onFrame, onEnd) {
    this.video = video;
    this.onFrame = onFrame;
    this.onEnd = onEnd;
  }

  get running() {
    return this.#stream !== null;
  }

  get fresh() {
    return this.#fresh;
  }

  async start() {
    if (!navigator.mediaDevices?.getUserMedia) {
      throw new CameraError('The camera is out of reach.', 'Browsers give pages the camera only over https or on localhost. Open this page there, or choose a picture.');
    }
    let stream;
    try {
      stream = await navigator.mediaDevices.getUserMedia({
        audio: false,
        video: { width: { ideal: 640 }, height: { ideal: 480 }, facingMode: { ideal: 'environment' } },
      });
    } catch (error) {
      throw explain(error);
    }
    this.#stream = stream;
    this.shown = 0;
    stream.getVideoTracks()[0].addEventListener('ended', () => {
      this.stop();
      this.onEnd(new CameraError('The camera went away.', 'Plug it in again, then press Start camera.'));
    });
    this.video.srcObject = stream;
    this.#watching += 1;
    this.#watch(this.#watching);
    await this.video.play();
  }

  stop() {
    for (const track of this.#stream?.getTracks() ?? []) track.stop();
    this.#stream = null;
    this.#fresh = false;
    this.#watching += 1;
    this.video.srcObject = null;
  }

  /** @returns {Promise<Captured>} */
  async take() {
    this.#fresh = false;
    const began = performance.now();
    const image = await createImageBitmap(this.video);
    return {
      image,
      capturedAt: Math.round((performance.timeOrigin + began) * 1000),
      captureMs: performance.now() - began,
    };
  }

  /** @param {number} turn */
  #watch(turn) {
    const next = () => {
      if (turn !== this.#watching) return;
      this.#fresh = true;
      this.shown += 1;
      this.#watch(turn);
      this.onFrame();
    };
    if ('requestVideoFrameCallback' in this.video) {
      this.video.requestVideoFrameCallback((_now, { presentedFrames }) => {
        if (turn !== this.#watching) return;
        // Frames that the browser showed between two callbacks count, too.
        this.shown = Math.max(this.shown, presentedFrames - 1);
        next();
      });
    } else {
      requestAnimationFrame(next);
    }
  }
}

/** @param {unknown} error */
function explain(error) {
  const name = error instanceof DOMException ? error.name : '';
  switch (name) {
    case 'NotAllowedError':
    case 'SecurityError':
      return new CameraError('The camera was refused.', 'Allow it for this page: the camera symbol in the address bar, or the browser’s site settings. Then press Start camera again. Pictures work without it.');
    case 'NotFoundError':
    case 'OverconstrainedError':
      return new CameraError('No camera was found.', 'Plug one in and press Start camera again, or choose a picture.');
    case 'NotReadableError':
    case 'AbortError':
      return new CameraError('The camera cannot be read.', 'Another program may be using it: close that one and press Start camera again.');
    default:
      return new CameraError('The camera could not be started.', error instanceof Error ? error.message : String(error));
  }
}

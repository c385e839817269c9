// What is shown and classified: the camera, a sample, or a picture of the visitor's own.

import { markFresh, markStale } from './answer.js';
import { Camera, CameraError } from './camera.js';
import { byId, setText } from './dom.js';
import { clearNotice, notice } from './notices.js';
import { onPicture } from './pictures.js';
import { credit, markSample, sampleUrl } from './samples.js';

/** @typedef {import('./samples.js').Sample} Sample */
/** @typedef {import('./frames.js').Capture} Capture */
/** @typedef {import('./frames.js').Shot} Shot */

const picture = byId('picture', HTMLImageElement);
const video = byId('video', HTMLVideoElement);
const cameraButton = byId('camera-button', HTMLButtonElement);
const empty = byId('stage-empty', HTMLElement);
const creditLine = byId('credit', HTMLElement);

export class Source {
  /** The picture that is shown, unless the camera runs. @type {{ image: ImageBitmap, name: string, answered: boolean } | null} */ #still = null;
  /** The sample that is shown. @type {Sample | null} */ sample = null;
  /** Grows whenever the picture is to be asked about again; an answer is to the number at its beginning. */
  #wish = 0;
  #taken = 0;
  /** Grows with every change of the picture, so that slow loads of earlier ones come to nothing. */
  #turn = 0;
  #onChange;

  /**
   * @param {{ onFrame: () => void, onChange: () => void }} handlers `onFrame`: there may be a frame to take;
   *   `onChange`: something else is shown, or nothing
   */
  constructor({ onFrame, onChange }) {
    this.#onChange = onChange;
    this.camera = new Camera(video, onFrame, (reason) => {
      this.#showStopped();
      notice('camera', reason.message, reason.hint);
    });
    cameraButton.addEventListener('click', () => {
      if (this.camera.running) this.#stopCamera();
      else this.#startCamera();
    });
    onPicture((file) => this.showPicture(file, file.name, null));
  }

  /** Whether anything was chosen yet. */
  get untouched() {
    return this.#turn === 0;
  }

  get live() {
    return this.camera.running;
  }

  /** The image that is shown, if it is a still one. */
  get still() {
    return this.live ? null : (this.#still?.image ?? null);
  }

  /** The newest frame, or the picture if it has no answer yet. @returns {Promise<Capture | null>} */
  async next() {
    if (this.live) {
      if (!this.camera.fresh || document.hidden) return null;
      try {
        return { ...(await this.camera.take()), live: true, name: 'camera' };
      } catch (error) {
        // The video may stop between the frame and its capture.
        if (this.live) throw error;
        return null;
      }
    }
    const still = this.#still;
    if (!still || still.answered) return null;
    this.#taken = this.#wish;
    const began = performance.now();
    const image = await createImageBitmap(still.image);
    return { image, live: false, name: still.name, capturedAt: Math.round((performance.timeOrigin + began) * 1000), captureMs: performance.now() - began };
  }

  /** Everything that was wanted of this frame is there. @param {Shot} shot */
  done(shot) {
    if (this.#still && !shot.live) this.#still.answered = this.#taken === this.#wish;
  }

  /** The picture is to be asked about again. */
  again() {
    this.#wish += 1;
    if (this.#still) this.#still.answered = false;
  }

  /** @param {Blob} blob @param {string} name @param {Sample | null} sample */
  async showPicture(blob, name, sample) {
    this.#turn += 1;
    const mine = this.#turn;
    markStale();
    /** @type {ImageBitmap} */
    let image;
    try {
      image = await createImageBitmap(blob);
    } catch {
      if (mine === this.#turn && (!this.#still || this.#still.answered)) markFresh();
      notice('picture', `“${name}” cannot be read as a picture.`, 'Choose a JPEG, PNG, WebP, AVIF or GIF file that opens in this browser.');
      return;
    }
    if (mine !== this.#turn) return;
    clearNotice('picture');
    this.#stopCamera();
    this.#still?.image.close();
    this.#still = { image, name, answered: false };
    this.sample = sample;
    URL.revokeObjectURL(picture.src);
    picture.src = URL.createObjectURL(blob);
    picture.alt = name;
    picture.hidden = false;
    empty.hidden = true;
    creditLine.replaceChildren(...(sample ? [`${sample.name}: `, ...credit(sample)] : [name]));
    markSample(sample);
    this.#onChange();
  }

  /** @param {Sample} sample */
  async showSample(sample) {
    markStale();
    const response = await fetch(sampleUrl(sample)).catch(() => null);
    if (!response?.ok) {
      if (!this.#still || this.#still.answered) markFresh();
      notice('picture', `The sample “${sample.name}” could not be fetched.`, 'See whether the server still runs, then choose it again.');
      return;
    }
    await this.showPicture(await response.blob(), sample.name, sample);
  }

  async #startCamera() {
    cameraButton.disabled = true;
    try {
      await this.camera.start();
    } catch (error) {
      const known = error instanceof CameraError ? error : new CameraError('The camera could not be started.', String(error));
      notice('camera', known.message, known.hint);
      return;
    } finally {
      cameraButton.disabled = false;
    }
    this.#turn += 1;
    clearNotice('camera');
    this.#still?.image.close();
    this.#still = null;
    this.sample = null;
    markSample(null);
    markStale();
    picture.hidden = true;
    video.hidden = false;
    empty.hidden = true;
    setText(creditLine, 'Live from your camera. What leaves this tab are features, or small pictures while you compare.');
    cameraButton.textContent = 'Stop camera';
    cameraButton.setAttribute('aria-pressed', 'true');
    this.#onChange();
  }

  #stopCamera() {
    if (!this.live) return;
    this.camera.stop();
    this.#showStopped();
  }

  #showStopped() {
    video.hidden = true;
    cameraButton.textContent = 'Start camera';
    cameraButton.setAttribute('aria-pressed', 'false');
    setText(creditLine, '');
    empty.hidden = this.#still !== null;
    markStale();
    this.#onChange();
  }
}

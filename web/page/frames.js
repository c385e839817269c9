// Which frame goes to the device next, and by which way: one at a time, and the next one is taken
// when the last is done with, so that what is sent is always the newest.

/** @typedef {import('../messages.js').Way} Way */
/** @typedef {import('../messages.js').FrameMessage} FrameMessage */
/** @typedef {import('../messages.js').ResultMessage} ResultMessage */

/**
 * One captured frame and what became of it.
 * @typedef {object} Shot
 * @property {ImageBitmap} image
 * @property {boolean} live
 * @property {string} name “camera”, or the picture's
 * @property {number} capturedAt microseconds since 1970 at which the capture began
 * @property {number} captureMs what the page spent on it
 * @property {number} number
 * @property {(ResultMessage | null)[]} results one a step of the plan; null where the frame was refused
 */
/** @typedef {Omit<Shot, 'number' | 'results'>} Capture */

/** What to do with a frame next. @typedef {{ way: Way | null, wantLatent?: boolean }} Step */

/**
 * @typedef {object} Handlers
 * @property {() => Promise<Capture | null>} next a frame, if there is one to be worked on
 * @property {(shot: Shot) => Promise<Step | null>} plan null: nothing more is to be done with it
 * @property {(step: Step) => boolean} ready whether the device takes such a step now
 * @property {(message: FrameMessage, transfer: Transferable[]) => void} send
 * @property {(shot: Shot, result: ResultMessage) => void} onResult
 * @property {(shot: Shot) => void} onDone every step of the plan was answered or refused
 */

export class Frames {
  /** @type {Handlers} */ #handlers;
  /** @type {Shot | null} */ #shot = null;
  /** @type {{ id: number, shot: Shot, refused: boolean } | null} */ #outstanding = null;
  #pumping = false;
  /** Something happened while it was looked for a frame: it is to be looked for again. */
  #again = false;
  #lastId = 0;
  #lastNumber = 0;
  #holdUntil = 0;

  /** @param {Handlers} handlers */
  constructor(handlers) {
    this.#handlers = handlers;
  }

  /** The frame that waits for its answer. */
  get outstanding() {
    return this.#outstanding?.shot ?? null;
  }

  /** Sends what is to be sent, if the device is free. */
  async pump() {
    if (this.#pumping) {
      this.#again = true;
      return;
    }
    this.#pumping = true;
    try {
      do {
        this.#again = false;
        if (!this.#outstanding && performance.now() >= this.#holdUntil) await this.#advance();
      } while (this.#again);
    } finally {
      this.#pumping = false;
    }
  }

  async #advance() {
    const { next, plan, ready, onDone } = this.#handlers;
    if (!this.#shot) {
      const capture = await next();
      if (!capture) return;
      this.#lastNumber += 1;
      this.#shot = { ...capture, number: this.#lastNumber, results: [] };
    }
    const shot = this.#shot;
    const step = await plan(shot);
    // It may have been abandoned meanwhile.
    if (shot !== this.#shot) return;
    if (!step) {
      this.#shot = null;
      onDone(shot);
      shot.image.close();
      // The next frame may be there already.
      this.#again = true;
      return;
    }
    if (ready(step)) await this.#submit(shot, step);
    // A picture waits for the server; of the camera there will be a newer frame.
    else if (shot.live) this.abandon();
  }

  /** @param {Shot} shot @param {Step} step */
  async #submit(shot, step) {
    const began = performance.now();
    const image = await createImageBitmap(shot.image);
    if (shot !== this.#shot) {
      image.close();
      return;
    }
    this.#lastId += 1;
    this.#outstanding = { id: this.#lastId, shot, refused: false };
    // Each way begins with a capture that took as long, so that none waits for those before it; nor
    // does a picture wait for the server.
    const capturedAt = shot.live && shot.results.length === 0 ? shot.capturedAt : Math.round((performance.timeOrigin + began - shot.captureMs) * 1000);
    this.#handlers.send({ type: 'frame', id: this.#lastId, image, capturedAt, captureMs: shot.captureMs, ...step }, [image]);
  }

  /** @param {ResultMessage} result */
  answered(result) {
    const done = this.#release(result.id);
    if (!done) return;
    if (done.shot === this.#shot) {
      done.shot.results.push(result);
      this.#handlers.onResult(done.shot, result);
    }
    this.pump();
  }

  /** There will be no answer: a picture is sent again unless it was refused, a camera has a newer frame. @param {number} id */
  lost(id) {
    const done = this.#release(id);
    if (done && done.shot === this.#shot) {
      if (done.refused) done.shot.results.push(null);
      else if (done.shot.live) this.abandon();
    }
    this.pump();
  }

  /** Sent again, the frame that is out would fail again. */
  refuse() {
    if (this.#outstanding) this.#outstanding.refused = true;
  }

  /** Nothing is sent for a while. @param {number} ms */
  hold(ms) {
    this.#holdUntil = performance.now() + ms;
    setTimeout(() => this.pump(), ms + 1);
  }

  /** What is being worked on is no longer of interest. */
  abandon() {
    this.#shot?.image.close();
    this.#shot = null;
  }

  /** @param {number} id */
  #release(id) {
    if (this.#outstanding?.id !== id) return null;
    const released = this.#outstanding;
    this.#outstanding = null;
    return released;
  }
}

// The page: connects the sources, the two workers and the views.

import { markFresh, markStale, showAnswer } from './page/answer.js';
import { Camera, CameraError } from './page/camera.js';
import { showChosen, showControls } from './page/controls.js';
import { showCosts } from './page/costs.js';
import { byId, setText } from './page/dom.js';
import { count, duration, median, ms, sentence, size } from './page/format.js';
import { clearNotice, notice } from './page/notices.js';
import { onPicture } from './page/pictures.js';
import { credit, loadSamples, markSample, sampleUrl, showSamples } from './page/samples.js';
import { permalink, readSettings } from './page/settings.js';
import { fact, hideProgress, showBackend, showBackendFailed, showLink, showLoaded, showModel, showProgress } from './page/state.js';
import { Recent } from './page/recent.js';
import { showSteps, stepsOf } from './page/times.js';

/** @typedef {import('./messages.js').ToWorker} ToWorker */
/** @typedef {import('./messages.js').FromWorker} FromWorker */
/** @typedef {import('./messages.js').MeasureMessage} MeasureMessage */
/** @typedef {import('./messages.js').MeasuredMessage} MeasuredMessage */
/** @typedef {import('./messages.js').Manifest} Manifest */
/** @typedef {import('./messages.js').ResultMessage} ResultMessage */
/** @typedef {import('./page/samples.js').Sample} Sample */

/** Live frames are measured as pictures at most this often. */
const MEASURE_MS = 500;
/** A busy server is left alone for so long. */
const BUSY_MS = 1000;
/** The server's codes for frames that it would have taken at a calmer time. */
const BUSY = ['overloaded', 'too_fast', 'too_many_in_flight', 'expired'];
/** Frames over which times are summed up. */
const WINDOW = 30;

const { settings, complaint } = readSettings(location);
const video = byId('video', HTMLVideoElement);
const picture = byId('picture', HTMLImageElement);
const cameraButton = byId('camera-button', HTMLButtonElement);
const quality = byId('quality', HTMLInputElement);

/** @type {Manifest | null} */
let manifest = null;
let onGpu = false;
/** Whether the device has its network. */
let loaded = false;
/** Whether the server listens. */
let linked = false;
/** The picture that is shown, unless the camera runs. @type {{ image: ImageBitmap, answered: boolean } | null} */
let still = null;
/** Grows with every change of the picture, so that slow loads of earlier ones come to nothing. */
let turn = 0;
/** The frame that waits for its answer; `copy` is for the picture worker. @type {{ id: number, live: boolean, copy: ImageBitmap | null } | null} */
let outstanding = null;
let capturing = false;
let lastId = 0;
/** The last frame that was measured: its bytes as features, and the frame rate if it was live. @type {{ id: number, features: number, fps: number | null } | null} */
let measured = null;
let measuring = false;
let measuredAt = -MEASURE_MS;
let processed = 0;
/** Nothing is sent before this time. */
let holdUntil = 0;
let firstLabel = true;
const totals = new Recent(WINDOW);

const worker = new Worker('worker.js', { type: 'module', name: 'device' });
const pictureWorker = new Worker('picture-worker.js', { type: 'module', name: 'pictures' });

const camera = new Camera(video, pump, (reason) => {
  showCameraStopped();
  notice('camera', reason.message, reason.hint);
});

/** @param {ToWorker} message @param {Transferable[]} [transfer] */
function send(message, transfer = []) {
  worker.postMessage(message, transfer);
}

// Frames ------------------------------------------------------------------------------------

/** Sends the newest frame, if there is one and the device is free. */
async function pump() {
  showFrameCounts();
  if (!loaded || !linked || outstanding || capturing || performance.now() < holdUntil) return;
  capturing = true;
  try {
    if (camera.running) {
      if (camera.fresh && !document.hidden) await submit(await camera.take(), true);
    } else if (still && !still.answered) {
      const began = performance.now();
      const image = await createImageBitmap(still.image);
      const capturedAt = Math.round((performance.timeOrigin + began) * 1000);
      await submit({ image, capturedAt, captureMs: performance.now() - began }, false);
    }
  } catch (error) {
    // The video may stop between the frame and its capture.
    if (camera.running) throw error;
  } finally {
    capturing = false;
  }
}

/** @param {import('./page/camera.js').Captured} frame @param {boolean} live */
async function submit({ image, capturedAt, captureMs }, live) {
  const measure = !live || (!measuring && performance.now() - measuredAt >= MEASURE_MS);
  const copy = measure ? await createImageBitmap(image) : null;
  lastId += 1;
  outstanding = { id: lastId, live, copy };
  send({ type: 'frame', id: lastId, image, capturedAt, captureMs }, [image]);
}

/** @param {number} id */
function release(id) {
  if (outstanding?.id !== id) return null;
  const released = outstanding;
  outstanding = null;
  return released;
}

/** @param {ResultMessage} result */
function showResult(result) {
  const frame = release(result.id);
  // The picture may have changed since the frame was sent: its answer is no longer of interest.
  if (!frame || frame.live !== camera.running) {
    frame?.copy?.close();
    return;
  }
  if (still && !frame.live) still.answered = true;
  processed += 1;
  clearNotice('frame');
  hideProgress();
  showAnswer(result.answer.top, frame.live);
  totals.add(result.totalMs);
  const fps = frame.live ? totals.perSecond() : null;
  const places = showSteps(stepsOf(result), onGpu);
  fact('way-device', `${ms(places.device)} ms`);
  fact('way-network', size(result.answer.frame.bytes));
  byId('way-network', HTMLElement).title = `${result.answer.frame.bytes} bytes, header included`;
  fact('way-server', `${ms(places.server)} ms`);
  fact('fact-warm', `${ms(median(totals.values))} ms${totals.values.length > 1 ? `, median of ${totals.values.length}` : ''}`);
  fact('fact-fps', fps === null ? '– (still picture)' : fps.toFixed(1));
  if (firstLabel) {
    firstLabel = false;
    fact('engine-first', duration(performance.now()));
    document.documentElement.dataset.labelled = 'true';
  }
  if (frame.copy) measurePictures(result.id, frame.copy, result.answer.frame.bytes, fps);
}

/** @param {number} id @param {ImageBitmap} copy @param {number} features @param {number | null} fps */
function measurePictures(id, copy, features, fps) {
  measured = { id, features, fps };
  measuring = true;
  measuredAt = performance.now();
  /** @type {MeasureMessage} */
  const message = { id, image: copy, crop: manifest?.preprocessing.crop ?? 1, quality: quality.valueAsNumber };
  pictureWorker.postMessage(message, [copy]);
}

pictureWorker.addEventListener('message', (/** @type {MessageEvent<MeasuredMessage>} */ { data }) => {
  if (data.id !== measured?.id) return;
  measuring = false;
  if ('error' in data) notice('measure', 'The frame could not be encoded as a picture.', `${data.error}. The comparison stands still; the answers do not need it.`);
  else showCosts(data.sizes, measured.features, measured.fps);
});

function showFrameCounts() {
  const dropped = camera.running ? Math.max(0, camera.shown - processed - (outstanding ? 1 : 0)) : 0;
  fact('fact-frames', `${count(processed)} / ${count(dropped)}`);
}

/** Times and counts begin anew: another source, cut or rate. */
function restartFigures() {
  totals.clear();
  processed = 0;
  camera.shown = 0;
}

// The worker --------------------------------------------------------------------------------

worker.addEventListener('message', (/** @type {MessageEvent<FromWorker>} */ { data }) => {
  switch (data.type) {
    case 'models':
      manifest = data.manifest;
      showModel(manifest);
      showControls(manifest, (codec, rate) => {
        markStale();
        send({ type: 'choose', codec: codec.name, rate });
      });
      break;
    case 'backend':
      onGpu = data.name.startsWith('webgpu');
      showBackend(data);
      break;
    case 'progress':
      loaded = false;
      showProgress(data);
      break;
    case 'ready':
      loaded = true;
      restartFigures();
      hideProgress();
      showChosen(data.codec, data.rate);
      showLoaded(data.warmUpMs, data.wireBytes);
      showPermalink(data.codec, data.rate);
      if (still) still.answered = false;
      pump();
      break;
    case 'link':
      showState(data.state);
      break;
    case 'result':
      showResult(data);
      pump();
      break;
    case 'lost':
      release(data.id)?.copy?.close();
      pump();
      break;
    case 'failure':
      showFailure(data);
      break;
  }
});

worker.addEventListener('error', (event) => {
  notice('worker', 'The part of this page that runs the network did not start.', `${event.message || 'It could not be loaded'}. Reload the page; an up-to-date browser is needed.`);
});

/** @param {import('./messages.js').SessionState} state */
function showState(state) {
  linked = state.state === 'ready';
  // The device hangs up by itself before it loads another cut.
  if (state.state === 'closed' && !loaded) return;
  showLink(state, settings.server);
  if (linked) {
    clearNotice('link');
    clearNotice('ConnectionFailed');
    pump();
  } else if (state.state === 'waiting') {
    markStale();
    const elsewhere = settings.server === location.origin ? '' : `, and lets pages of ${location.origin} in (--allow-origin)`;
    notice('link', 'The server is gone.', `This page tries again by itself. If it stays so, see whether the edge server runs at ${settings.server}${elsewhere}.`);
  } else if (state.state === 'closed') {
    markStale();
    notice('link', 'The server has closed the connection.', `${state.reason || `Code ${state.code}`}. Reload the page to try again.`);
  }
}

/** @param {import('./messages.js').FailureMessage} failure */
function showFailure({ name, message, hint, code, fatal }) {
  // The state of the link says this better.
  if (name === 'ConnectionFailed') return;
  if (fatal) {
    hideProgress();
    if (!loaded) showBackendFailed('Not running');
    notice('device', 'The device could not be set up.', `${sentence(message)} ${sentence(hint)}`);
    return;
  }
  // A newer frame is on its way to the same answer.
  if (code === 'superseded') return;
  const advice = `${sentence(message)} ${sentence(hint)}`;
  if (BUSY.includes(code)) {
    holdUntil = performance.now() + BUSY_MS;
    setTimeout(pump, BUSY_MS + 1);
    notice('frame', 'The server is busy.', `${advice} The page tries again by itself.`);
    return;
  }
  if (!outstanding) {
    notice('frame', 'The server refused.', advice);
    return;
  }
  // Sent again, the same picture would fail again.
  if (still && !outstanding.live) still.answered = true;
  notice('frame', 'The frame could not be classified.', advice);
}

/** @param {string} name @param {number} rate */
function showPermalink(name, rate) {
  const codec = manifest?.codecs.find((entry) => entry.name === name);
  if (!codec || !manifest) return;
  const ambiguous = manifest.codecs.filter(({ split }) => split === codec.split).length > 1;
  const link = byId('permalink', HTMLAnchorElement);
  link.href = permalink(location, { split: codec.split, codec: name, rate: codec.rates[rate].name, ambiguous });
  const address = new URL(link.href);
  setText(link, address.pathname + address.search);
}

// Sources -----------------------------------------------------------------------------------

/** @param {Blob} blob @param {string} name @param {Sample | null} sample */
async function showPicture(blob, name, sample) {
  turn += 1;
  const mine = turn;
  markStale();
  /** @type {ImageBitmap} */
  let image;
  try {
    image = await createImageBitmap(blob);
  } catch {
    if (mine === turn && (!still || still.answered)) markFresh();
    notice('picture', `“${name}” cannot be read as a picture.`, 'Choose a JPEG, PNG, WebP, AVIF or GIF file that opens in this browser.');
    return;
  }
  if (mine !== turn) return;
  clearNotice('picture');
  stopCamera();
  still?.image.close();
  still = { image, answered: false };
  restartFigures();
  URL.revokeObjectURL(picture.src);
  picture.src = URL.createObjectURL(blob);
  picture.alt = name;
  picture.hidden = false;
  byId('stage-empty', HTMLElement).hidden = true;
  byId('credit', HTMLElement).replaceChildren(...(sample ? [`${sample.name}: `, ...credit(sample)] : [name]));
  markSample(sample);
  pump();
}

/** @param {Sample} sample */
async function showSample(sample) {
  markStale();
  const response = await fetch(sampleUrl(sample)).catch(() => null);
  if (!response?.ok) {
    if (!still || still.answered) markFresh();
    notice('picture', `The sample “${sample.name}” could not be fetched.`, 'See whether the server still runs, then choose it again.');
    return;
  }
  await showPicture(await response.blob(), sample.name, sample);
}

async function startCamera() {
  cameraButton.disabled = true;
  try {
    await camera.start();
  } catch (error) {
    const known = error instanceof CameraError ? error : new CameraError('The camera could not be started.', String(error));
    notice('camera', known.message, known.hint);
    return;
  } finally {
    cameraButton.disabled = false;
  }
  turn += 1;
  clearNotice('camera');
  still?.image.close();
  still = null;
  restartFigures();
  markSample(null);
  markStale();
  picture.hidden = true;
  video.hidden = false;
  byId('stage-empty', HTMLElement).hidden = true;
  setText(byId('credit', HTMLElement), 'Live from your camera. The frames stay in this tab; only features leave it.');
  cameraButton.textContent = 'Stop camera';
  cameraButton.setAttribute('aria-pressed', 'true');
}

function stopCamera() {
  if (!camera.running) return;
  camera.stop();
  showCameraStopped();
}

function showCameraStopped() {
  video.hidden = true;
  cameraButton.textContent = 'Start camera';
  cameraButton.setAttribute('aria-pressed', 'false');
  setText(byId('credit', HTMLElement), '');
  byId('stage-empty', HTMLElement).hidden = still !== null;
  markStale();
}

cameraButton.addEventListener('click', () => {
  if (camera.running) stopCamera();
  else startCamera();
});

document.addEventListener('visibilitychange', () => {
  if (!document.hidden) {
    totals.clear();
    pump();
  }
});

quality.addEventListener('input', () => setText(byId('quality-value', HTMLElement), quality.value));
quality.addEventListener('change', async () => {
  // A live frame is measured anew soon enough.
  if (!still || !measured) return;
  const { features } = measured;
  lastId += 1;
  measurePictures(lastId, await createImageBitmap(still.image), features, null);
});

onPicture((file) => showPicture(file, file.name, null));

if (complaint) notice('address', 'The address of this page has a setting that cannot be used.', complaint);
send({ type: 'start', settings });
try {
  const samples = await loadSamples();
  showSamples(samples, showSample);
  if (turn === 0) await showSample(samples[0]);
} catch {
  notice('picture', 'The sample pictures could not be fetched.', 'Start the camera or choose a picture, or reload the page.');
}

// The page: connects the source, the frames' ways, the two workers and the views.

import { markStale, showAnswer } from './page/answer.js';
import { decisions, enableAutomatic, goal, showAutomatic, showDecision } from './page/automatic.js';
import { BulkRun } from './page/bulk-run.js';
import { channelCount, channelsWanted, onChannels, showLatent, showRateChannels } from './page/channels.js';
import { Compare, referenceClass } from './page/compare.js';
import { compareChoices, enableCompare, showCompareControls, showComparing, showWhole, wholeFailed } from './page/compare-controls.js';
import { showAgreement, showComparison, showCompareBusy } from './page/compare-view.js';
import { showChosen, showControls } from './page/controls.js';
import { showCosts } from './page/costs.js';
import { showCurve, showPlace } from './page/curve.js';
import { byId, setText } from './page/dom.js';
import { offerFile } from './page/download.js';
import { addToFigures } from './page/figures.js';
import { count, duration, median, ms, sentence } from './page/format.js';
import { Frames } from './page/frames.js';
import { showLinkDials } from './page/link.js';
import { METER_FILES, PictureMeter } from './page/measure.js';
import { clearNotice, notice } from './page/notices.js';
import { keepForLater } from './page/offline.js';
import { onFolder } from './page/pictures.js';
import { Recent } from './page/recent.js';
import { loadSamples, showSamples } from './page/samples.js';
import { Session, toCsv } from './page/session.js';
import { COMPARED, permalink, readSettings } from './page/settings.js';
import { Source } from './page/source.js';
import { fact, hideProgress, showBackend, showBackendFailed, showLink, showLoaded, showModel, showPlaces, showProgress } from './page/state.js';
import { showSums } from './page/sums.js';
import { showSteps } from './page/times.js';
import { askForToken, rememberedToken } from './page/token.js';

/** @typedef {import('./messages.js').ToWorker} ToWorker */
/** @typedef {import('./messages.js').FromWorker} FromWorker */
/** @typedef {import('./messages.js').Manifest} Manifest */
/** @typedef {import('./messages.js').CodecEntry} CodecEntry */
/** @typedef {import('./messages.js').ResultMessage} ResultMessage */
/** @typedef {import('./messages.js').Link} Link */
/** @typedef {import('./messages.js').Way} Way */
/** @typedef {import('./page/frames.js').Shot} Shot */
/** @typedef {import('./page/session.js').FrameRecord} FrameRecord */

/** Live frames are measured as pictures at most this often. */
const MEASURE_MS = 500;
/** A busy server is left alone for so long. */
const BUSY_MS = 1000;
/** The server's codes for frames that it would have taken at a calmer time. */
const BUSY = ['overloaded', 'too_fast', 'too_many_in_flight', 'expired'];
/** Frames over which times are summed up. */
const WINDOW = 30;

const { settings, page: wanted, complaint } = readSettings(location);
const quality = byId('quality', HTMLInputElement);

/** @type {Manifest | null} */
let manifest = null;
/** @type {{ codec: CodecEntry, rate: number } | null} what the device runs */
let chosen = null;
let onGpu = false;
/** Whether the device has its network. */
let loaded = false;
/** Whether the server listens. */
let linked = false;
/** What it was shown, where it asks for a token. @type {string | null} */
let token = rememberedToken(settings.server);
/** Whether it wants another token. */
let locked = false;
/** @type {Link | null} what is emulated */
let link = wanted.link;
let comparing = wanted.compare !== null;
/** The last frame that was measured as a picture: what it cost as features, and the frame rate if it was live. @type {{ shot: Shot, features: number, fps: number | null } | null} */
let measured = null;
let measuring = false;
let measuredAt = -MEASURE_MS;
let processed = 0;
let firstLabel = true;
/** Addresses of what the worker has fetched. @type {string[]} */
let fetched = [];
/** @type {FrameRecord[]} those of the frame that is being worked on */
let records = [];
const totals = new Recent(WINDOW);
const session = new Session();
const meter = new PictureMeter();
const worker = new Worker('worker.js', { type: 'module', name: 'device' });

/** @param {ToWorker} message @param {Transferable[]} [transfer] */
function send(message, transfer = []) {
  worker.postMessage(message, transfer);
}

// Frames ------------------------------------------------------------------------------------

const compare = new Compare({
  ways: (wanted.compare ?? COMPARED).filter((key) => key !== 'device'),
  quality: wanted.quality,
  sameBytes: wanted.sameBytes,
  features: () => chosenWay() ?? { kind: 'features', codec: '', rate: 0, channels: null },
  automatic: () => automatic() && !bulk.running,
  wantLatent: channelsWanted,
  measure: (image, at) => meter.sizes(image, manifest?.preprocessing.crop ?? 1, at),
});

const frames = new Frames({
  next: async () => {
    showFrameCounts();
    if (!loaded) return null;
    return bulk.running ? bulk.next() : source.next();
  },
  plan: async (shot) => {
    if (comparing || bulk.owns(shot)) return compare.next(shot);
    return shot.results.length === 0 ? { way: automatic() || channelCount() === null ? null : chosenWay(), wantLatent: channelsWanted() } : null;
  },
  ready: ({ way }) => loaded && (linked || way?.kind === 'device'),
  send,
  onResult: showResult,
  onDone: (shot) => {
    const reference = referenceClass(shot.results);
    for (const record of records) record.reference = reference;
    records = [];
    if (bulk.owns(shot)) {
      bulk.done(shot);
      return;
    }
    if (comparing) {
      compare.settle(shot);
      showAgreement(compare, shot);
      showCompareBusy(false);
    }
    source.done(shot);
  },
});

const source = new Source({
  onFrame: () => frames.pump(),
  onChange: () => {
    showCompareBusy(comparing);
    restartFigures();
    frames.abandon();
    frames.pump();
    showPermalink();
  },
});

const bulk = new BulkRun({
  manifest: () => manifest,
  ways: () => compare.order,
  onTurn: again,
});

/** The codec, rate and channels that are chosen by hand. @returns {Way | null} */
function chosenWay() {
  if (!chosen) return null;
  return { kind: 'features', codec: chosen.codec.name, rate: chosen.rate, channels: channelCount() };
}

function automatic() {
  return goal() !== null;
}

/** What is shown is to be asked about again: something changed that decides the answer. */
function again() {
  markStale();
  showCompareBusy(comparing);
  source.again();
  frames.abandon();
  frames.pump();
}

/** @param {Shot} shot @param {ResultMessage} result */
function showResult(shot, result) {
  const record = session.add(result, { frame: shot.number, source: shot.name, link });
  records.push(record);
  clearNotice('frame');
  if (bulk.owns(shot)) {
    bulk.add(shot, result);
    return;
  }
  if (comparing) {
    compare.add(shot);
    showComparison(compare, manifest);
  }
  // The first way of a frame is the one that the upper half of the page is about.
  if (shot.results.length === 1) showFirst(shot, result, record);
}

/** @param {Shot} shot @param {ResultMessage} result @param {FrameRecord} record */
function showFirst(shot, result, record) {
  processed += 1;
  hideProgress();
  showAnswer(result.answer.top, shot.live);
  totals.add(result.totalMs);
  const fps = shot.live ? totals.perSecond() : null;
  showSteps(result, onGpu);
  showPlaces(result);
  fact('fact-warm', `${ms(median(totals.values))} ms${totals.values.length > 1 ? `, median of ${totals.values.length}` : ''}`);
  fact('fact-fps', fps === null ? '– (still picture)' : fps.toFixed(1));
  addToFigures(record, shot.live);
  if (result.latent) showLatent(result.latent);
  if (result.way.kind === 'features') {
    const { codec, rate } = result.way;
    const entry = manifest?.codecs.find(({ name }) => name === codec);
    if (entry) showPlace(result.upBytes, entry.rates[rate].agreement);
    measurePictures(shot, result.upBytes, fps);
  }
  if (firstLabel) {
    firstLabel = false;
    fact('engine-first', duration(performance.now()));
    document.documentElement.dataset.firstLabelMs = performance.now().toFixed(0);
    keepForLater([...fetched, ...METER_FILES]);
  }
}

/** @param {Shot} shot @param {number} features bytes @param {number | null} fps */
async function measurePictures(shot, features, fps) {
  if (shot.live && (measuring || performance.now() - measuredAt < MEASURE_MS)) return;
  const mine = { shot, features, fps };
  measured = mine;
  measuring = true;
  measuredAt = performance.now();
  try {
    const sizes = await meter.sizes(shot.image, manifest?.preprocessing.crop ?? 1, quality.valueAsNumber);
    if (mine !== measured) return;
    session.measure(sizes, features);
    showCosts(sizes, features, fps);
    showSums(session.totals, session.quality);
  } catch (error) {
    notice('measure', 'The frame could not be encoded as a picture.', `${error instanceof Error ? error.message : error}. The comparison stands still; the answers do not need it.`);
  } finally {
    if (mine === measured) measuring = false;
  }
}

function showFrameCounts() {
  const dropped = source.live ? Math.max(0, source.camera.shown - processed - (frames.outstanding ? 1 : 0)) : 0;
  fact('fact-frames', `${count(processed)} / ${count(dropped)}`);
}

/** Times and counts begin anew: another source, cut or rate. */
function restartFigures() {
  totals.clear();
  processed = 0;
  source.camera.shown = 0;
  fact('fact-fps', '–');
}

// The worker --------------------------------------------------------------------------------

worker.addEventListener('message', (/** @type {MessageEvent<FromWorker>} */ { data }) => {
  switch (data.type) {
    case 'models':
      manifest = data.manifest;
      showModel(manifest);
      showCurve(manifest);
      showControls(manifest, (codec, rate) => {
        markStale();
        send({ type: 'choose', codec: codec.name, rate });
      });
      break;
    case 'backend':
      onGpu = data.name.startsWith('webgpu');
      showBackend(data);
      clearNotice('recovering');
      break;
    case 'progress':
      loaded = false;
      showProgress(data);
      break;
    case 'ready':
      showReady(data);
      break;
    case 'link':
      showState(data.state);
      break;
    case 'result':
      frames.answered(data);
      break;
    case 'lost':
      frames.lost(data.id);
      break;
    case 'whole':
      clearNotice('whole');
      showWhole(data);
      if (data.files) keepForLater([...data.files, ...METER_FILES]);
      break;
    case 'decision':
      showDecision(data, manifest);
      break;
    case 'recovering':
      notice('recovering', 'The graphics device was lost.', `${sentence(data.reason)} The page starts it again by itself.`);
      break;
    case 'failure':
      showFailure(data);
      break;
  }
});

worker.addEventListener('error', (event) => {
  notice('worker', 'The part of this page that runs the network did not start.', `${event.message || 'It could not be loaded'}. Reload the page; an up-to-date browser is needed.`);
});

/** @param {import('./messages.js').ReadyMessage} ready */
function showReady({ codec, rate, warmUpMs, wireBytes, files }) {
  fetched = files;
  const entry = manifest?.codecs.find(({ name }) => name === codec);
  if (!entry || !manifest) return;
  const first = chosen === null;
  loaded = true;
  // Another cut than that of the first label.
  if (!firstLabel) keepForLater([...files, ...METER_FILES]);
  chosen = { codec: entry, rate };
  restartFigures();
  compare.clear();
  showComparison(compare, manifest);
  hideProgress();
  showChosen(codec, rate);
  showRateChannels(entry.rates[rate], first ? wanted.channels : null);
  showLoaded(warmUpMs, wireBytes);
  enableCompare(manifest);
  enableAutomatic();
  if (first) {
    if (link) send({ type: 'link-emulation', link });
    if (automatic()) send({ type: 'automatic', goal: goal() });
  }
  showPermalink();
  again();
}

/** @param {import('./messages.js').SessionState} state */
function showState(state) {
  linked = state.state === 'ready';
  // The device hangs up by itself before it loads another cut.
  if (state.state === 'closed' && !loaded) return;
  showLink(state, settings.server);
  if (linked) {
    locked = false;
    clearNotice('link');
    clearNotice('token');
    clearNotice('ConnectionFailed');
    frames.pump();
  } else if (locked) {
    // The dialog says what is wanted.
    markStale();
    clearNotice('link');
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
  if (code === 'unauthorized') {
    locked = true;
    askForToken(settings.server, token, (given) => {
      token = given;
      send({ type: 'token', token });
    });
    return;
  }
  const advice = `${sentence(message)} ${sentence(hint)}`;
  if (fatal) {
    hideProgress();
    if (!loaded) showBackendFailed('Not running');
    wholeFailed();
    notice('device', 'The device could not be set up.', advice);
    return;
  }
  // Frames download nothing: it is the rest of the network that did not come.
  if (name === 'DownloadError') {
    wholeFailed();
    notice('whole', 'The rest of the network did not arrive.', advice);
    return;
  }
  // A newer frame is on its way to the same answer.
  if (code === 'superseded') return;
  if (BUSY.includes(code)) {
    frames.hold(BUSY_MS);
    notice('frame', 'The server is busy.', `${advice} The page tries again by itself.`);
    return;
  }
  if (!frames.outstanding) {
    notice('frame', 'The server refused.', advice);
    return;
  }
  frames.refuse();
  notice('frame', 'The frame could not be classified.', advice);
}

/** Shows the address that brings all of this back. */
function showPermalink() {
  if (!chosen || !manifest) return;
  const { codec, rate } = chosen;
  const ambiguous = manifest.codecs.filter(({ split }) => split === codec.split).length > 1;
  const anchor = byId('permalink', HTMLAnchorElement);
  anchor.href = permalink(location, { split: codec.split, codec: codec.name, rate: codec.rates[rate].name, ambiguous }, {
    sample: source.sample?.file ?? null,
    quality: quality.valueAsNumber,
    link,
    compare: comparing ? compare.order : null,
    sameBytes: comparing && compare.choices.sameBytes,
    goal: goal(),
    channels: channelCount(),
  });
  const address = new URL(anchor.href);
  setText(anchor, address.pathname + address.search);
}

// Controls ----------------------------------------------------------------------------------

document.addEventListener('visibilitychange', () => {
  if (!document.hidden) {
    totals.clear();
    frames.pump();
  }
});

quality.value = String(wanted.quality);
const sayQuality = () => setText(byId('quality-value', HTMLElement), quality.value);
sayQuality();
quality.addEventListener('input', sayQuality);
quality.addEventListener('change', async () => {
  compare.choices.quality = quality.valueAsNumber;
  showPermalink();
  if (comparing && !compare.choices.sameBytes) restartComparison();
  // A live frame is measured anew soon enough.
  else if (source.still && measured) await measurePictures({ ...measured.shot, image: source.still }, measured.features, null);
});

onChannels(() => {
  showPermalink();
  // What is out is not abandoned: the label follows the slider while it moves.
  source.again();
  frames.pump();
});

showCompareControls({ ways: wanted.compare ?? COMPARED, sameBytes: wanted.sameBytes }, {
  onToggle: () => {
    comparing = !comparing;
    showComparing(comparing);
    restartComparison();
  },
  onChange: () => {
    Object.assign(compare.choices, compareChoices());
    restartComparison();
  },
  onWhole: () => send({ type: 'load-whole' }),
});
showComparing(comparing);
showComparison(compare, manifest);

/** What is compared has changed: earlier means no longer hold. */
function restartComparison() {
  compare.clear();
  showComparison(compare, manifest);
  showPermalink();
  if (comparing) again();
}

showLinkDials(link, (next) => {
  link = next;
  send({ type: 'link-emulation', link });
  restartComparison();
});

showAutomatic(wanted.goal, (next) => {
  send({ type: 'automatic', goal: next });
  showPermalink();
  again();
});

onFolder((files) => bulk.start(files));

byId('export-csv', HTMLButtonElement).addEventListener('click', () => offerFile('session.csv', 'text/csv', toCsv(session.records)));
byId('export-json', HTMLButtonElement).addEventListener('click', () => {
  const { records: all, totals: sums, forgotten, quality: at } = session;
  offerFile('session.json', 'application/json', JSON.stringify({
    page: byId('permalink', HTMLAnchorElement).href, model: manifest?.name, digest: manifest?.digest,
    sums: { ...sums, quality: at }, forgotten, decisions, frames: all,
  }, null, 2));
});

if (complaint) notice('address', 'The address of this page has a setting that cannot be used.', complaint);
send({ type: 'start', settings, token });
try {
  const samples = await loadSamples();
  showSamples(samples, (sample) => source.showSample(sample));
  const asked = samples.find(({ file }) => file === wanted.sample);
  if (source.untouched) await source.showSample(asked ?? samples[0]);
} catch {
  notice('picture', 'The sample pictures could not be fetched.', 'Start the camera or choose a picture, or reload the page.');
}

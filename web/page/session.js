// What this session has sent and learnt, for the charts, the sums and the export.

import { STEPS, wayKey } from './ways.js';

/** @typedef {import('../messages.js').ResultMessage} ResultMessage */
/** @typedef {import('../messages.js').PictureSizes} PictureSizes */
/** @typedef {import('../messages.js').Link} Link */
/** @typedef {import('../messages.js').Steps} Steps */

/** Beyond this, the oldest frames are forgotten: a tab that streams for a night stays small. */
const KEPT = 20_000;

/** What a frame cost and gave, going one way.
 * @typedef {object} FrameRecord
 * @property {number} at milliseconds since 1970 at which the label was there
 * @property {number} frame its number: the same for all ways that one frame went
 * @property {string} source “camera”, or the picture's name
 * @property {import('./ways.js').WayKey} way
 * @property {string} setting codec and rate, or the picture's quality
 * @property {number} up bytes
 * @property {number} down bytes
 * @property {number} ms from capture to label
 * @property {Steps} steps
 * @property {number} class
 * @property {string} label
 * @property {number} probability
 * @property {number | null} reference the uncompressed network's class for the same frame, where it was asked
 * @property {Link | null} link what was emulated
 */

/**
 * Bytes of the same frames, by the way they would have been sent.
 * @typedef {{ frames: number, features: number, jpeg: number, webp: number, png: number, raw: number }} Totals
 */

export class Session {
  /** @type {FrameRecord[]} */ records = [];
  /** Frames that were forgotten. */
  forgotten = 0;
  /** @type {Totals} */ totals = { frames: 0, features: 0, jpeg: 0, webp: 0, png: 0, raw: 0 };
  /** The quality that `totals` were counted at; another quality begins them anew. @type {number | null} */
  quality = null;

  /**
   * @param {ResultMessage} result
   * @param {{ frame: number, source: string, link: Link | null }} circumstances
   * @returns {FrameRecord}
   */
  add(result, { frame, source, link }) {
    const [best] = result.answer.top;
    const { way } = result;
    const record = {
      at: Date.now(), frame, source, way: wayKey(way), setting: setting(way),
      up: result.upBytes, down: result.downBytes, ms: result.totalMs, steps: result.steps,
      class: best.class, label: best.label, probability: best.probability, reference: null, link,
    };
    this.records.push(record);
    if (this.records.length > KEPT) {
      this.records.shift();
      this.forgotten += 1;
    }
    return record;
  }

  /**
   * Counts a frame whose bytes are known for every way.
   * @param {PictureSizes} sizes @param {number} features
   */
  measure(sizes, features) {
    if (this.quality !== sizes.quality) {
      this.totals = { frames: 0, features: 0, jpeg: 0, webp: 0, png: 0, raw: 0 };
      this.quality = sizes.quality;
    }
    this.totals.frames += 1;
    this.totals.features += features;
    this.totals.raw += sizes.raw;
    for (const format of /** @type {const} */ (['jpeg', 'webp', 'png'])) this.totals[format] += sizes[format] ?? 0;
  }
}

/** @param {import('../messages.js').Way} way */
function setting(way) {
  if (way.kind === 'features') return `${way.codec} rate ${way.rate}${way.channels === null ? '' : ` channels ${way.channels}`}`;
  return way.kind === 'picture' && way.format !== 'raw' ? `quality ${way.quality}` : '';
}

/**
 * One row a frame and way; times in milliseconds.
 * @param {FrameRecord[]} records
 */
export function toCsv(records) {
  const head = [
    'time', 'frame', 'source', 'way', 'setting', 'bytes_up', 'bytes_down', 'ms_to_label', ...STEPS.map(([step]) => `ms_${step}`),
    'class', 'label', 'probability', 'uncompressed_class', 'link_kbps', 'link_rtt_ms', 'link_jitter_ms', 'link_loss',
  ];
  const rows = records.map((record) => [
    new Date(record.at).toISOString(), record.frame, record.source, record.way, record.setting, record.up, record.down, record.ms.toFixed(2),
    ...STEPS.map(([step]) => record.steps[step].toFixed(2)),
    record.class, record.label, record.probability.toFixed(4), record.reference, record.link?.kbps, record.link?.rttMs, record.link?.jitterMs, record.link?.loss,
  ]);
  return csv([head, ...rows]);
}

/** @param {(string | number | null | undefined)[][]} rows */
export function csv(rows) {
  return rows.map((row) => row.map(cell).join(',')).join('\r\n') + '\r\n';
}

/** A field as RFC 4180 wants it; one that a spreadsheet would run as a formula gets an apostrophe.
 * @param {string | number | null | undefined} value */
function cell(value) {
  if (value === null || value === undefined) return '';
  const text = typeof value === 'string' && /^[=+\-@\t\r]/.test(value) ? `'${value}` : String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

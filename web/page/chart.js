// A line over time on a canvas. A charting library would do more than four such lines need, and
// third-party code would have to be fetched before the server can be built, or lie in the repository.

/** @typedef {{ at: number, value: number }} Point `at` in milliseconds, rising */

const [TOP, BOTTOM, LEFT, RIGHT] = [14, 4, 2, 4];
/** A break this long is shown as one: the camera was off, or the page hidden. */
const GAP_MS = 5000;

/**
 * @param {HTMLCanvasElement} canvas
 * @param {Point[]} points the newest last; those older than the span are left out
 * @param {{ now: number, spanMs: number, tone: string, label: (value: number) => string }} look `tone`: a custom property of the page
 */
export function drawLine(canvas, points, { now, spanMs, tone, label }) {
  const { width, height } = fit(canvas);
  const context = canvas.getContext('2d');
  if (!context || width === 0) return;
  const style = getComputedStyle(canvas);
  const colour = (/** @type {string} */ name) => style.getPropertyValue(name);
  const shown = points.filter(({ at }) => at >= now - spanMs);
  const top = niceCeiling(Math.max(0, ...shown.map(({ value }) => value)));
  const x = (/** @type {number} */ at) => LEFT + ((at - (now - spanMs)) / spanMs) * (width - LEFT - RIGHT);
  const y = (/** @type {number} */ value) => TOP + (1 - value / top) * (height - TOP - BOTTOM);

  context.clearRect(0, 0, width, height);
  context.strokeStyle = colour('--line');
  context.lineWidth = 1;
  for (const value of [0, top / 2, top]) {
    const level = Math.round(y(value)) + 0.5;
    context.beginPath();
    context.moveTo(LEFT, level);
    context.lineTo(width - RIGHT, level);
    context.stroke();
  }
  context.fillStyle = colour('--muted');
  context.font = `11px ${style.fontFamily}`;
  if (shown.length > 0) context.fillText(label(top), LEFT, TOP - 4);

  context.strokeStyle = context.fillStyle = colour(tone);
  context.lineWidth = 1.75;
  context.lineJoin = 'round';
  context.beginPath();
  shown.forEach(({ at, value }, index) => {
    const joined = index > 0 && at - shown[index - 1].at < GAP_MS;
    if (joined) context.lineTo(x(at), y(value));
    else context.moveTo(x(at), y(value));
  });
  context.stroke();
  const last = shown.at(-1);
  // Single frames, such as pictures that were chosen, are dots.
  for (const point of shown.filter(({ at }, index) => at === last?.at || isAlone(shown, index))) {
    context.beginPath();
    context.arc(x(point.at), y(point.value), point === last ? 3 : 2, 0, 2 * Math.PI);
    context.fill();
  }
}

/** @param {Point[]} points @param {number} index */
function isAlone(points, index) {
  const { at } = points[index];
  return (index === 0 || at - points[index - 1].at >= GAP_MS) && (index === points.length - 1 || points[index + 1].at - at >= GAP_MS);
}

/** Matches the canvas to its place and the screen's pixels; answers its size in CSS pixels. @param {HTMLCanvasElement} canvas */
export function fit(canvas) {
  const { clientWidth: width, clientHeight: height } = canvas;
  const ratio = window.devicePixelRatio;
  const [wide, high] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== wide || canvas.height !== high) {
    canvas.width = wide;
    canvas.height = high;
  }
  canvas.getContext('2d')?.setTransform(ratio, 0, 0, ratio, 0, 0);
  return { width, height };
}

/** The next of 1, 2, 3, 5, 8 times a power of ten. @param {number} value */
export function niceCeiling(value) {
  if (!(value > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return power * ([1, 2, 3, 5, 8].find((step) => value <= step * power * (1 + 1e-9)) ?? 10);
}

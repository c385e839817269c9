// A film for Chromium's fake camera, made of a still picture.

import { writeFile } from 'node:fs/promises';

/** @typedef {import('playwright-core').Page} Page */

const WIDTH = 640;
const HEIGHT = 480;

/**
 * Writes a YUV4MPEG2 film that shows the picture at `url`, scaled to the height and centred. The
 * browser decodes the picture, so nothing else is needed for it.
 * @param {Page} page on the picture's origin
 * @param {string} url @param {string} path
 */
export async function writeFilm(page, url, path) {
  const rgba = Buffer.from(await page.evaluate(async ([url, width, height]) => {
    const image = await createImageBitmap(await (await fetch(/** @type {string} */ (url))).blob());
    const [w, h] = [Number(width), Number(height)];
    const context = new OffscreenCanvas(w, h).getContext('2d');
    if (!context) throw new Error('no canvas');
    context.fillStyle = '#777';
    context.fillRect(0, 0, w, h);
    const scaled = (image.width * h) / image.height;
    context.drawImage(image, (w - scaled) / 2, 0, scaled, h);
    const bytes = context.getImageData(0, 0, w, h).data;
    let text = '';
    for (let at = 0; at < bytes.length; at += 32_768) text += String.fromCharCode(...bytes.subarray(at, at + 32_768));
    return btoa(text);
  }, [url, WIDTH, HEIGHT]), 'base64');
  const frame = Buffer.concat([Buffer.from('FRAME\n'), i420(rgba)]);
  const header = Buffer.from(`YUV4MPEG2 W${WIDTH} H${HEIGHT} F15:1 Ip A1:1 C420mpeg2\n`);
  await writeFile(path, Buffer.concat([header, frame, frame]));
}

/** BT.601, studio range, chroma averaged over 2x2. @param {Buffer} rgba */
function i420(rgba) {
  const luma = Buffer.alloc(WIDTH * HEIGHT);
  const blue = Buffer.alloc((WIDTH * HEIGHT) / 4);
  const red = Buffer.alloc((WIDTH * HEIGHT) / 4);
  for (let y = 0; y < HEIGHT; y += 1) {
    for (let x = 0; x < WIDTH; x += 1) {
      const at = (y * WIDTH + x) * 4;
      luma[y * WIDTH + x] = 16 + (65.738 * rgba[at] + 129.057 * rgba[at + 1] + 25.064 * rgba[at + 2]) / 256;
    }
  }
  for (let y = 0; y < HEIGHT; y += 2) {
    for (let x = 0; x < WIDTH; x += 2) {
      let [r, g, b] = [0, 0, 0];
      for (const [dy, dx] of [[0, 0], [0, 1], [1, 0], [1, 1]]) {
        const at = ((y + dy) * WIDTH + x + dx) * 4;
        r += rgba[at] / 4;
        g += rgba[at + 1] / 4;
        b += rgba[at + 2] / 4;
      }
      const at = (y / 2) * (WIDTH / 2) + x / 2;
      blue[at] = 128 + (-37.945 * r - 74.494 * g + 112.439 * b) / 256;
      red[at] = 128 + (112.439 * r - 94.154 * g - 18.285 * b) / 256;
    }
  }
  return Buffer.concat([luma, blue, red]);
}

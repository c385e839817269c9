// What the same frame would cost as a picture.

/** @typedef {import('../messages.js').PictureSizes} PictureSizes */

export const SIDE = 224;

/**
 * Encodes the part of `image` that the network sees, at the network's resolution, and counts.
 * @param {ImageBitmap} image
 * @param {number} crop the central share of the shorter side that is used
 * @param {number} quality of JPEG and WebP, 5 to 95
 * @returns {Promise<PictureSizes>}
 */
export async function pictureSizes(image, crop, quality) {
  const canvas = new OffscreenCanvas(SIDE, SIDE);
  // Opaque: PNG would otherwise carry an alpha channel that the frame does not have.
  const context = canvas.getContext('2d', { alpha: false, willReadFrequently: true });
  if (!context) throw new Error('no 2D canvas in this worker');
  const side = Math.min(image.width, image.height) * crop;
  context.imageSmoothingQuality = 'high';
  context.drawImage(image, (image.width - side) / 2, (image.height - side) / 2, side, side, 0, 0, SIDE, SIDE);
  const [png, jpeg, webp] = await Promise.all([
    size(canvas, 'image/png'),
    size(canvas, 'image/jpeg', quality / 100),
    size(canvas, 'image/webp', quality / 100),
  ]);
  return { raw: SIDE * SIDE * 3, png, jpeg, webp, quality };
}

/**
 * @param {OffscreenCanvas} canvas
 * @param {string} type
 * @param {number} [quality] 0 to 1
 * @returns {Promise<number | null>} null when the browser cannot encode this type: it answers with
 *   a PNG instead and says so only in the blob's type
 */
async function size(canvas, type, quality) {
  const blob = await canvas.convertToBlob({ type, quality });
  return blob.type === type ? blob.size : null;
}

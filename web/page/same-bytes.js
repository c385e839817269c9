// The quality at which a picture costs as many bytes as something else.

/** Qualities that ways can have. */
const [LOWEST, HIGHEST] = [1, 100];

/**
 * The highest quality whose bytes do not exceed `target`. Encoders give more bytes at higher
 * quality, so half of what is left is ruled out at each step.
 * @param {number} target bytes
 * @param {(quality: number) => Promise<number>} measure bytes at a quality
 * @returns {Promise<{ quality: number, bytes: number, fits: boolean }>} not `fits`: even the lowest
 *   quality, which this then is, costs more
 */
export async function qualityFor(target, measure) {
  let [low, high] = [LOWEST, HIGHEST];
  const lowest = await measure(LOWEST);
  if (lowest > target) return { quality: LOWEST, bytes: lowest, fits: false };
  let bytes = lowest;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    const size = await measure(middle);
    if (size <= target) {
      low = middle;
      bytes = size;
    } else {
      high = middle - 1;
    }
  }
  return { quality: low, bytes, fits: true };
}

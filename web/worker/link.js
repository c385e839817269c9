// The rate of a link from what a radio engineer knows of it.

/**
 * What a channel can carry at most (Shannon): width times log2(1 + signal over noise).
 * @param {number} snrDb signal to noise, in decibels
 * @param {number} widthKhz of the channel, in kilohertz
 * @returns {number} kilobits a second
 */
export function shannonKbps(snrDb, widthKhz) {
  return widthKhz * Math.log2(1 + 10 ** (snrDb / 10));
}

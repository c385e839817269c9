// The last few measurements of a kind.

export class Recent {
  /** @type {number[]} */ values = [];
  /** @type {number[]} */ #times = [];

  /** @param {number} capacity */
  constructor(capacity) {
    this.capacity = capacity;
  }

  /** @param {number} value */
  add(value) {
    this.values.push(value);
    this.#times.push(performance.now());
    if (this.values.length > this.capacity) {
      this.values.shift();
      this.#times.shift();
    }
  }

  /** How often something was added, over the kept ones; 0 while there are fewer than two. */
  perSecond() {
    const times = this.#times;
    if (times.length < 2) return 0;
    return ((times.length - 1) * 1000) / (times[times.length - 1] - times[0]);
  }

  clear() {
    this.values = [];
    this.#times = [];
  }
}

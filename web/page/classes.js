// The class of a picture, from the name of its folder.

/** Class numbers by what may stand for a class in a folder's name. */
export class ClassNames {
  /** @type {Map<string, number>} */ #classes = new Map();

  /**
   * Names are WordNet ids (`n01440764`), class names (`tench`, `great_white_shark`) and numbers.
   * @param {string[]} labels by class @param {string[]} wordnetIds by class, where the classes are ImageNet's
   */
  constructor(labels, wordnetIds) {
    const seen = new Set();
    for (const [index, label] of labels.entries()) {
      // Two classes are called “crane” and “maillot”: such a name stands for neither.
      const name = normalise(label);
      if (seen.has(name)) this.#classes.delete(name);
      else this.#classes.set(name, index);
      seen.add(name);
    }
    for (const index of labels.keys()) this.#classes.set(String(index), index);
    if (wordnetIds.length === labels.length) {
      for (const [index, id] of wordnetIds.entries()) this.#classes.set(id, index);
    }
  }

  /** @param {string} folder @returns {number | null} */
  ofFolder(folder) {
    return this.#classes.get(folder) ?? this.#classes.get(normalise(folder)) ?? null;
  }

  /**
   * The class that the innermost folder which is one stands for.
   * @param {string} path such as `set/n01440764/a.jpg`
   */
  ofPath(path) {
    for (const folder of path.split('/').slice(0, -1).reverse()) {
      const found = this.ofFolder(folder);
      if (found !== null) return found;
    }
    return null;
  }
}

/** @param {string} name */
function normalise(name) {
  return name.toLowerCase().replaceAll(/[_-]/g, ' ');
}

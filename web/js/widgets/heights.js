// How high each item of a long list is, and so where each begins and which are to be in the
// document.

const BLOCK = 512;

// Viewports beyond the view in which rows are drawn at once, drawn a few a frame, and kept.
const MUST = 0.25;
const WANT = 1;
const KEEP = 1.5;

/**
 * Sums are kept by block, so that asking and correcting look at hundreds of numbers and not at a
 * hundred thousand.
 */
export class Heights {
  #values = new Float64Array(BLOCK);
  #sums = []; // of each block
  #length = 0;
  #total = 0;

  get length() {
    return this.#length;
  }

  /** All heights together, px. */
  get total() {
    return this.#total;
  }

  get(index) {
    return this.#values[index];
  }

  set(index, height) {
    const grown = height - this.#values[index];
    this.#values[index] = height;
    this.#sums[Math.floor(index / BLOCK)] += grown;
    this.#total += grown;
  }

  /** As Array's: takes `removed` items out at `at` and puts the heights of `added` there. */
  splice(at, removed, added) {
    const length = this.#length - removed + added.length;
    if (length > this.#values.length) {
      const wider = new Float64Array(Math.max(length, this.#values.length * 2));
      wider.set(this.#values.subarray(0, this.#length));
      this.#values = wider;
    }
    this.#values.copyWithin(at + added.length, at + removed, this.#length);
    this.#values.set(added, at);
    this.#length = length;
    this.#sum(Math.floor(at / BLOCK));
  }

  /** Where the item begins, px from the start; of `length`: the end. */
  offset(index) {
    const block = Math.floor(index / BLOCK);
    let y = 0;
    for (let b = 0; b < block; b++) y += this.#sums[b];
    for (let i = block * BLOCK; i < index; i++) y += this.#values[i];
    return y;
  }

  /** The last item that begins at or before `y`; the first where none does, -1 in an empty list. */
  indexAt(y) {
    const last = this.#length - 1;
    let block = 0;
    while (block < this.#sums.length - 1 && y >= this.#sums[block]) y -= this.#sums[block++];
    let index = Math.min(block * BLOCK, last);
    while (index < last && y >= this.#values[index]) y -= this.#values[index++];
    return index;
  }

  #sum(block) {
    this.#sums.length = Math.ceil(this.#length / BLOCK);
    for (; block < this.#sums.length; block++) {
      const end = Math.min((block + 1) * BLOCK, this.#length);
      let sum = 0;
      for (let i = block * BLOCK; i < end; i++) sum += this.#values[i];
      this.#sums[block] = sum;
    }
    this.#total = this.#sums.reduce((all, sum) => all + sum, 0);
  }
}

/**
 * Which rows are to be in the document.
 *
 * @param {Heights} heights
 * @param {{ y: number, height: number }} view px from the first item, px
 * @param {{ first: number, last: number }} now the rows that are there; `last` is past them
 * @param {number} spare how many rows may be drawn ahead of need
 * @param {boolean} isUpward whether those above come first
 * @returns {{ first: number, last: number, spare: number }} and what is left of `spare`
 */
export function spanFor(heights, { y, height }, now, spare, isUpward) {
  if (!heights.length) return { first: 0, last: 0, spare };
  const around = (viewports) => [
    heights.indexAt(y - viewports * height),
    heights.indexAt(y + (1 + viewports) * height) + 1,
  ];
  let [first, last] = around(MUST);
  const isNear = now.first < last && now.last > first;
  if (isNear) {
    const [start, end] = around(KEEP);
    first = Math.min(first, Math.max(now.first, start));
    last = Math.max(last, Math.min(now.last, end));
  }
  const [start, end] = around(WANT);
  for (; spare && (first > start || last < end); spare--) {
    if (first > start && (isUpward || last >= end)) first--;
    else last++;
  }
  return { first, last, spare };
}

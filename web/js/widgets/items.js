// The items of a long list, in order, with what each is known by and how high it is.

import { edits } from "./edits.js";
import { Heights } from "./heights.js";

export class Items {
  #key;
  #estimate;
  #measured = new Map(); // key → px
  all = [];
  keys = [];
  heights = new Heights();

  constructor(key, estimate) {
    this.#key = key;
    this.#estimate = estimate;
  }

  get length() {
    return this.all.length;
  }

  /** Holds these instead, and gives the steps that led there. None: forgets what was measured. */
  set(items) {
    if (!items.length) this.#measured.clear();
    const key = this.#key;
    const { all, keys } = this;
    const isSame = (old, now) => items[now] === all[old] || key(items[now]) === keys[old];
    const steps = edits(all.length, items.length, isSame);
    for (const { at, removed, added } of steps) {
      const news = items.slice(at, at + added);
      const newKeys = news.map((item) => key(item));
      const height = (item, i) => this.#measured.get(newKeys[i]) ?? this.#estimate(item);
      this.heights.splice(at, removed, news.map(height));
      this.keys = spliced(this.keys, at, removed, newKeys);
      this.all = spliced(this.all, at, removed, news);
    }
    const own = this.all;
    for (let i = 0; i < items.length; i++) own[i] = items[i]; // new objects of the same keys
    return steps;
  }

  /** Takes in how high an item is, px. Gives whether that is news. */
  measure(index, height) {
    if (this.heights.get(index) === height) return false;
    this.heights.set(index, height);
    this.#measured.set(this.keys[index], height);
    return true;
  }

  /** Px from where one item begins to where the other does. */
  between(one, other) {
    return this.heights.offset(other) - this.heights.offset(one);
  }

  /** The key of the item at so many px from the start; null in an empty list. */
  keyAt(y) {
    return this.keys[this.heights.indexAt(y)] ?? null;
  }
}

/** Array's splice, of any number of items. */
function spliced(array, at, removed, added) {
  if (added.length < 10_000) {
    array.splice(at, removed, ...added);
    return array;
  }
  return array.slice(0, at).concat(added, array.slice(at + removed));
}

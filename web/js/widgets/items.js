// The items of a long list, in order, with what each is known by and how high it is; and what has
// changed between two versions of it.

import { Heights } from "./heights.js";

const REACH = 1000; // items that are looked at ahead for where both go on alike

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

/**
 * It is meant for a log, where pages come in before, messages behind, and little happens between:
 * then it takes one look at each item.
 *
 * The steps that make `before` into `after`: in this order, each gives what is to be taken out and
 * put in at the index `at` of the list as the steps before have left it.
 * @param {number} before how many items there were
 * @param {number} after how many there are
 * @param {(old: number, now: number) => boolean} isSame whether these two are the same item
 * @returns {{ at: number, removed: number, added: number }[]}
 */
export function edits(before, after, isSame) {
  let old = 0;
  let now = 0;
  while (old < before && now < after && isSame(old, now)) old++, now++;
  while (before > old && after > now && isSame(before - 1, after - 1)) before--, after--;
  const found = [];
  while (old < before || now < after) {
    const [removed, added] = apart(old, now);
    found.push({ at: now, removed, added });
    old += removed;
    now += added;
    while (old < before && now < after && isSame(old, now)) old++, now++;
  }
  return found;

  /** How many items to take out and put in until both go on alike; if not near, all the rest. */
  function apart(old, now) {
    const isBoth = old < before && now < after;
    for (let d = 1; isBoth && d <= REACH; d++) {
      if (now + d < after && isSame(old, now + d)) return [0, d];
      if (old + d < before && isSame(old + d, now)) return [d, 0];
    }
    return [before - old, after - now];
  }
}

/** Where the item at `index` is after these steps; -1: it is gone. */
export function moved(index, steps) {
  for (const { at, removed, added } of steps) {
    if (index >= at + removed) index += added - removed;
    else if (index >= at) return -1;
  }
  return index;
}

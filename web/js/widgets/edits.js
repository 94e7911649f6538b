// What has changed between two versions of a long list. It is meant for a log, where pages come in
// before, messages behind, and little happens between: then it takes one look at each item.

const REACH = 1000; // items that are looked at ahead for where both go on alike

/**
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

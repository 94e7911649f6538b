// A part of one conversation's log: seqs `low` … `high` without a hole, and what came early, from
// behind a hole.

import { applyAct } from "./acts.js";

export class Timeline {
  #early = new Map();

  /** `live`: it ends where the conversation ends. */
  constructor(live = true) {
    this.live = live;
    this.clear(null);
  }

  /** Holds nothing, and takes the log to be known up to `high`; null: wherever it begins next. */
  clear(high) {
    this.entries = [];
    this.high = high;
    this.low = high === null ? null : high + 1;
    this.complete = high === 0; // nothing lies before `low`
    this.#early.clear();
  }

  /** Whether entries are waiting behind a hole. */
  get hasHole() {
    return this.#early.size > 0;
  }

  has(seq) {
    return this.low !== null && this.low <= seq && seq <= this.high;
  }

  /** Takes in an entry with a seq. Gives those that are now without a hole: none, one or more. */
  add(entry) {
    if (this.high === null) this.clear(entry.seq - 1);
    if (entry.seq > this.high) this.#early.set(entry.seq, entry);
    return this.#close();
  }

  /** Gives up on the hole: what is missing before the next early entry, or up to `seq`, is void. */
  skip(seq) {
    const next = this.hasHole ? Math.min(...this.#early.keys()) - 1 : seq;
    this.high = Math.max(this.high, next);
    return this.#close();
  }

  /** Older entries, ascending, right before `low`; `more`: there are even older ones. */
  prepend(entries, more) {
    if (this.high === null) this.clear(entries.at(-1)?.seq ?? 0);
    const isNext = !entries.length || entries.at(-1).seq >= this.low - 1;
    if (!isNext) return; // trimmed meanwhile
    const older = entries.filter((entry) => entry.seq < this.low);
    this.entries.unshift(...older);
    if (older.length) this.low = older[0].seq;
    this.complete ||= !more || this.low <= 1;
  }

  /** Newer entries, ascending, right behind `high`. */
  append(entries) {
    const newer = entries.filter((entry) => entry.seq > this.high);
    this.entries.push(...newer);
    if (newer.length) this.high = newer.at(-1).seq;
  }

  /** Takes the place of the live timeline, which begins at or before this one's end. */
  absorb(live) {
    this.append(live.entries);
    this.high = Math.max(this.high, live.high);
    this.#early = live.#early;
    live.#early = new Map();
    live.live = false;
    this.live = true;
  }

  /** Does what a recall, an edit or a reaction says. */
  apply(act) {
    applyAct(this.entries, act);
  }

  /** Lets go of all but the newest entries. */
  trim(count) {
    if (this.entries.length <= count) return;
    this.entries.splice(0, this.entries.length - count);
    this.low = this.entries[0].seq;
    this.complete = false;
  }

  /** Its end as plain data, `count` entries at most. */
  saved(count) {
    const entries = this.entries.slice(-count);
    const isCut = entries.length < this.entries.length;
    const low = isCut ? entries[0].seq : this.low;
    return { low, high: this.high, complete: this.complete && !isCut, entries };
  }

  restore({ low, high, complete, entries }) {
    this.clear(high);
    Object.assign(this, { low, complete, entries });
  }

  #close() {
    const closed = [];
    for (;;) {
      const entry = this.#early.get(this.high + 1);
      if (!entry) break;
      this.#early.delete(entry.seq);
      this.high = entry.seq;
      closed.push(entry);
    }
    this.entries.push(...closed);
    return closed;
  }
}

// The part of one conversation's log that is here: seqs `low` … `high` without a hole, and what
// came early, from behind a hole.

export class Timeline {
  #early = new Map();

  constructor() {
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

  /** Entries to show, in order of seq; holes are skipped over. */
  get visible() {
    const early = [...this.#early.values()].sort((one, other) => one.seq - other.seq);
    return [...this.entries, ...early];
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

  /** Older entries, ascending; `more`: there are even older ones. */
  prepend(entries, more) {
    if (this.high === null) this.clear(entries.at(-1)?.seq ?? 0);
    const older = entries.filter((entry) => entry.seq < this.low);
    this.entries.unshift(...older);
    if (older.length) this.low = older[0].seq;
    this.complete = !more || this.low <= 1;
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

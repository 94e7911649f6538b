// A part of one conversation's log: seqs `low` … `high` without a hole, and what came early, from
// behind a hole; and what recalls, edits and reactions do to the messages in it.

import { EDIT, REACTION, RECALL, isMessage, pick } from "./protocol.js";

/** What a recall leaves of a message. */
const LEFT = ["id", "userid", "cmd", "dstid", "cid", "seq", "ts"];

function without(entry, name) {
  const { [name]: _, ...rest } = entry;
  return rest;
}

function reacted(reactions = {}, { userid, content }) {
  const left = {};
  for (const [text, users] of Object.entries(reactions)) {
    const others = users.filter((user) => user !== userid);
    if (others.length) left[text] = others;
  }
  if (content) left[content] = [...(left[content] ?? []), userid];
  return left;
}

/**
 * `entry` after `act`, a recall, an edit or a reaction: another object, so that whoever draws it
 * sees by `===` whether to draw it anew; itself, if the act does nothing to it.
 * Again is no change.
 */
export function changed(entry, act) {
  if (entry.cmd === EDIT && act.cmd === RECALL && entry.ref === act.ref) {
    return without(entry, "content");
  }
  if (entry.id !== act.ref || !isMessage(entry) || entry.recalled) return entry;
  if (act.cmd === RECALL) return { ...pick(entry, LEFT), recalled: true };
  if (act.cmd === EDIT) {
    const edited = { ...entry, content: act.content, edited: act.ts };
    return act.content ? edited : without(edited, "content");
  }
  if (act.cmd !== REACTION) return entry;
  const reactions = reacted(entry.reactions, act);
  if (Object.keys(reactions).length) return { ...entry, reactions };
  return without(entry, "reactions");
}

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
    const { entries } = this;
    for (let place = entries.length - 1; place >= 0; place--) {
      if (entries[place].id < act.ref) return; // ids grow with seqs
      entries[place] = changed(entries[place], act);
    }
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

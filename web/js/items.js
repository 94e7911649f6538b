// What the thread shows, in order: days, messages, the place where unread ones begin.

import { isMessage } from "../sdk/tandem.js";
import { startOfDay } from "./format.js";

const RUN_MS = 5 * 60_000; // messages of one sender that belong together

/**
 * Items: `{kind: "edge" | "day" | "unread" | "message", key, …}`; a message's has `message`, `isFirst`
 * (it begins a run of one sender's) and `state`: `stored`, or as pending ones have it.
 *
 * Built on as entries come at the end, and anew only where older ones came.
 */
export class Items {
  #own;
  #timeline = null;
  #taken = 0;
  #first = null;
  #stored = [];
  #last = null;
  #byId = new Map();

  constructor(own) {
    this.#own = own;
  }

  /** A message that is here, by its id. */
  find(id) {
    return this.#byId.get(id);
  }

  /** `unreadFrom`: the first unread seq, or Infinity. `pending`: the client's, of this conversation. */
  build(timeline, pending, unreadFrom) {
    const { entries } = timeline;
    const isSame = timeline === this.#timeline && entries[0] === this.#first;
    if (!isSame || entries.length < this.#taken) this.#reset(timeline);
    for (; this.#taken < entries.length; this.#taken++) {
      const entry = entries[this.#taken];
      if (isMessage(entry)) this.#add(entry, unreadFrom);
    }
    const items = [{ kind: "edge", key: "edge" }, ...this.#stored];
    if (timeline.live) this.#addPending(items, pending);
    return items;
  }

  #reset(timeline) {
    this.#timeline = timeline;
    this.#taken = 0;
    this.#first = timeline.entries[0];
    this.#stored = [];
    this.#last = null;
    this.#byId.clear();
  }

  #add(message, unreadFrom) {
    this.#byId.set(message.id, message);
    if (message.seq >= unreadFrom && (this.#last?.seq ?? 0) < unreadFrom && this.#last) {
      this.#stored.push({ kind: "unread", key: "unread" });
    }
    this.#push(this.#stored, message, this.#last, "stored");
    this.#last = message;
  }

  #addPending(items, pending) {
    let before = this.#last;
    for (const message of pending) {
      if (!isMessage(message)) continue;
      this.#push(items, message, before, message.state);
      before = message;
    }
  }

  #push(items, message, before, state) {
    const { ts, userid, cid, seq } = message;
    const isNewDay = !before || startOfDay(before.ts) !== startOfDay(ts);
    if (isNewDay) items.push({ kind: "day", key: `day ${startOfDay(ts)} ${seq ?? cid}`, ts });
    const isFirst = isNewDay || before.userid !== userid || ts - before.ts > RUN_MS;
    // The same key while it is on its way and when it is stored: its row stays.
    const key = userid === this.#own && cid ? `own ${cid}` : `seq ${seq}`;
    items.push({ kind: "message", key, message, isFirst, state });
  }
}

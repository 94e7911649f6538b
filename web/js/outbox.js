// What this user has sent and the server has not acked: in order, and kept over a reload.

import { holdLock, ifUnlocked } from "./locks.js";

/** 32 characters nobody makes twice: a message's cid, a tab's name. */
export function freshId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/**
 * `items`: `{cid, chat, dstid, content, ts, state, reason}`, oldest first; `state` is `queued`,
 * `sent` (on this connection, no answer yet) or `failed` (refused for `reason`, an error slug).
 *
 * Each tab has a list of its own and sends only that; what a closed tab left is taken over.
 */
export class Outbox {
  #storage;
  #prefix;
  #tab = freshId();
  #held;

  constructor(storage, userid) {
    this.#storage = storage;
    this.#prefix = `tandem:${userid}:outbox:`;
    this.#held = holdLock(this.#prefix + this.#tab);
    this.items = [];
  }

  find(cid) {
    return this.items.find((item) => item.cid === cid);
  }

  of(chat, dstid) {
    return this.items.filter((item) => item.chat === chat && item.dstid === dstid);
  }

  add(item) {
    this.items.push(item);
    this.save();
  }

  remove(cid) {
    const place = this.items.findIndex((item) => item.cid === cid);
    if (place < 0) return null;
    const [item] = this.items.splice(place, 1);
    this.save();
    return item;
  }

  /** What was sent on a connection that is gone has to be sent again. */
  requeue() {
    for (const item of this.items) if (item.state === "sent") item.state = "queued";
  }

  /** Takes over the lists of tabs that are gone. Gives whether there was anything. */
  async adopt() {
    await this.#held;
    let found = false;
    for (const key of this.#keys()) {
      if (key === this.#prefix + this.#tab) continue;
      await ifUnlocked(key, () => {
        const left = this.#read(key).filter((item) => !this.find(item.cid));
        for (const item of left) if (item.state === "sent") item.state = "queued";
        this.items.unshift(...left);
        this.save();
        this.#storage.removeItem(key);
        found ||= left.length > 0;
      });
    }
    return found;
  }

  /** Forgets everything of this user, other tabs' too. */
  clear() {
    this.items = [];
    for (const key of this.#keys()) this.#storage.removeItem(key);
  }

  save() {
    const key = this.#prefix + this.#tab;
    try {
      if (this.items.length) this.#storage.setItem(key, JSON.stringify(this.items));
      else this.#storage.removeItem(key);
    } catch {
      // Storage is full: the messages are still sent, they only do not survive a reload.
    }
  }

  #keys() {
    const keys = Array.from({ length: this.#storage.length }, (_, i) => this.#storage.key(i));
    return keys.filter((key) => key.startsWith(this.#prefix));
  }

  #read(key) {
    try {
      return JSON.parse(this.#storage.getItem(key)) ?? [];
    } catch {
      return [];
    }
  }
}

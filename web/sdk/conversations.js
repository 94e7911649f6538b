// The list of conversations: what the server's rows say of each, kept up by what comes in.

import { GROUP, RECALL, isMessage, keyOf } from "./protocol.js";
import { Timeline } from "./timeline.js";

const SET = ["pinned", "muted", "archived", "draft"];
const PLACE = ["chat", "dstid", "name", "avatar"];
/** So long after the user has set something here, what it was before may yet be told. */
const OLD_MS = 5000;
/** What is kept of a conversation over a reload. */
const KEPT = [...PLACE, "seq", "read", "unread", "mentioned", "last", ...SET];

/** What tandem.d.ts says, and what the other parts need to know: */
class Conversation {
  timeline = new Timeline();
  receipts = new Map();
  typing = new Set();
  /** Other parts of the log that are looked at. */
  windows = [];
  /** What the user has set: name → `now`; what it was `before`, not believed `until` then. */
  settings = {};
  /** Up to this seq `unread`, `mentioned` and `last` say what is so. */
  counted = 0;
  /** The read pointer that the server has. */
  told = 0;
  /** `unread` is right only when the server has been told and asked again. */
  isGuess = false;

  constructor(chat, dstid, name = "") {
    this.key = keyOf(chat, dstid);
    Object.assign(this, { chat, dstid, name, avatar: "", seq: 0, read: 0, unread: 0 });
    Object.assign(this, { mentioned: false, pinned: false, muted: false, archived: false });
    Object.assign(this, { draft: "", last: null });
  }
}

export class Conversations {
  #me;
  #emit;
  #byKey = new Map();

  /** `me`: the user's id. */
  constructor({ me, emit }) {
    this.#me = me;
    this.#emit = emit;
    this.list = [];
  }

  find(key) {
    return this.#byKey.get(key);
  }

  open(chat, dstid, name) {
    const known = this.find(keyOf(chat, dstid));
    if (known) return known;
    const conversation = new Conversation(chat, dstid, name);
    this.#byKey.set(conversation.key, conversation);
    this.list.unshift(conversation);
    this.sort();
    return conversation;
  }

  remove(key) {
    if (!this.#byKey.delete(key)) return;
    this.list = this.list.filter((one) => one.key !== key);
    this.#emit("conversations");
  }

  /** Groups that are not among these keys are not one's own any more. */
  keepGroups(keys) {
    for (const { chat, key } of this.list) if (chat === GROUP && !keys.has(key)) this.remove(key);
  }

  /** Takes in a row of cmd 30. `isFollowed`: what is between here and the row will be read. */
  update(row, isFollowed) {
    const conversation = this.open(row.chat, row.dstid);
    const { name, avatar, seq, unread, mentioned = false, last = null } = row;
    Object.assign(conversation, { name, avatar, seq: Math.max(seq, conversation.seq) });
    this.set(conversation, row);
    // Where it counts nothing as unread there is nothing to be told.
    conversation.told = unread ? row.read : Math.max(row.read, conversation.read);
    if (seq < conversation.counted) return conversation; // older than what came live
    const isAhead = conversation.read > row.read; // and the server has not heard of it
    if (isAhead && isFollowed) return conversation; // to be counted here
    Object.assign(conversation, { unread, mentioned, last, counted: seq, isGuess: false });
    if (isAhead) this.#guess(conversation, Math.min(unread, seq - conversation.read));
    else conversation.read = row.read;
    return conversation;
  }

  /** Takes in what the user has set (cmd 24, or a row), unless it was set here since. */
  set(conversation, what) {
    for (const name of SET) {
      if (what[name] === undefined) continue;
      const setting = this.#setting(conversation, name);
      if (Date.now() < setting.until && setting.before.has(what[name])) continue;
      conversation[name] = setting.now = what[name];
    }
  }

  /** Has the server told what the user sets, and takes in its answer. Throws as `tell` does. */
  async change(conversation, what, tell) {
    const settings = Object.keys(what).map((name) => {
      const setting = this.#setting(conversation, name);
      if (Date.now() >= setting.until) setting.before.clear();
      const was = setting.now;
      setting.before.add(was).delete(what[name]);
      Object.assign(setting, { now: what[name], until: Infinity });
      return { setting, was };
    });
    try {
      this.set(conversation, await tell());
      for (const { setting } of settings) setting.until = Date.now() + OLD_MS;
    } catch (error) {
      for (const { setting, was } of settings) Object.assign(setting, { now: was, until: 0 });
      throw error;
    }
    this.sort();
    this.#emit("conversations");
  }

  #setting(conversation, name) {
    const first = { now: conversation[name], before: new Set(), until: 0 };
    return (conversation.settings[name] ??= first);
  }

  /** Everything up to `seq` has been read, here or elsewhere. */
  read(conversation, seq) {
    if (seq <= conversation.read) return;
    conversation.read = seq;
    const { timeline, counted, unread } = conversation;
    if (timeline.low !== null && timeline.low <= seq + 1 && timeline.high >= counted) {
      const isLeft = (entry) => entry.seq > seq && entry.seq <= counted && this.#counts(entry);
      const rest = timeline.entries.filter(isLeft);
      conversation.unread = rest.length;
      conversation.mentioned &&= rest.some((entry) => this.#isMentioned(entry));
    } else {
      this.#guess(conversation, Math.min(unread, counted - seq));
    }
    this.#emit("conversations");
  }

  #guess(conversation, unread) {
    conversation.unread = Math.max(0, unread);
    conversation.isGuess = unread > 0;
    if (!conversation.unread) conversation.mentioned = false;
  }

  /**
   * Counts an entry that follows on what was here, before it is done to the messages. Gives
   * whether it is news: not in the server's row already. Null: only the server can count it.
   */
  count(conversation, entry) {
    if (entry.seq <= conversation.counted) return false;
    conversation.counted = entry.seq;
    if (entry.cmd === RECALL) return this.#countRecall(conversation, entry) ? true : null;
    if (!isMessage(entry)) return true;
    conversation.last = entry;
    if (!conversation.muted) conversation.archived = false;
    if (entry.userid === this.#me) {
      const isTold = !conversation.unread && conversation.told >= conversation.read;
      if (isTold) conversation.told = Math.max(conversation.told, entry.seq);
      this.read(conversation, entry.seq);
    } else if (entry.seq > conversation.read && !entry.recalled) {
      conversation.unread++;
      conversation.mentioned ||= this.#isMentioned(entry);
    }
    return true;
  }

  /** Pinned ones first, then newest first; those without a message stay above older ones. */
  sort() {
    let above = Infinity;
    const order = new Map();
    for (const one of this.list) order.set(one, (above = one.last?.ts ?? above));
    this.list.sort((one, other) => {
      if (one.pinned !== other.pinned) return one.pinned ? -1 : 1;
      return (order.get(one) < order.get(other)) - (order.get(one) > order.get(other));
    });
  }

  /** The first rows as plain data. */
  saved(count) {
    const pick = (one) => Object.fromEntries(KEPT.map((name) => [name, one[name]]));
    return this.list.slice(0, count).map(pick);
  }

  restore(rows) {
    for (const row of rows) {
      const conversation = this.open(row.chat, row.dstid);
      Object.assign(conversation, row, { counted: row.seq });
    }
    this.sort();
  }

  #counts(entry) {
    return isMessage(entry) && entry.userid !== this.#me && !entry.recalled;
  }

  #isMentioned({ at = [] }) {
    return at.includes(this.#me) || at.includes(0);
  }

  /** False: what was recalled is not here, and may have been an unread one. */
  #countRecall(conversation, { ref }) {
    if (!conversation.unread) return true;
    const { timeline, windows, last, read } = conversation;
    const places = [timeline.entries, ...windows.map((window) => window.entries), [last]];
    for (const entries of places) {
      const entry = entries.find((one) => one?.id === ref);
      if (!entry) continue;
      if (entry.seq <= read || !this.#counts(entry)) return true;
      conversation.unread--;
      if (!conversation.unread) conversation.mentioned = false;
      return !(conversation.mentioned && this.#isMentioned(entry));
    }
    return false;
  }
}

// The JSON chat client: sends what is queued in order until it is acked, keeps every conversation
// without holes, and after a reconnect fetches what it missed. Works without a page too.

import { Connection, Refusal } from "./connection.js";
import { Outbox, freshId } from "./outbox.js";
import { Timeline } from "./timeline.js";

export const SINGLE = 10;
export const GROUP = 11;
export const CONTENT_CHARS = 20_000; // code points in one message

const LOG_ENTRIES = new Set([9, SINGLE, GROUP, 14, 15, 16]); // what has a seq of its own
const IN_FLIGHT = 32; // sends without an answer; the server reads no further at 64
const PAGE = 50;
const SYNC_PAGE = 200;
const SYNC_MOST = 1000; // entries; whoever missed more reads them when scrolling back
const HOLE_MS = [500, 2500, 9000]; // a hole older than 10 s becomes a void

export const keyOf = (chat, dstid) => `${chat}/${dstid}`;
export const isMessage = (entry) => entry.cmd === SINGLE || entry.cmd === GROUP;

/** `text` as the server takes it: LF line ends, nothing that XML cannot carry. */
export function cleanText(text) {
  return text
    .replace(/\r\n?/g, "\n")
    .replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g, "")
    .replace(/\p{Surrogate}/gu, "\ufffd");
}

/**
 * Events: `state`; `conversations` (the list changed); `messages` (detail: a conversation's key);
 * `message` (detail: {conversation, message}, one of somebody else's, live); `group` (detail: a
 * cmd 22 frame). The session's own `ended` says that one is logged out.
 *
 * A conversation: `{key, chat, dstid, name, avatar, seq, last, unread, timeline}`; `seq` is the
 * newest that the server told of.
 */
export class TandemClient extends Connection {
  #storage;
  #inFlight = new Set();
  #held = false; // no sending until what is in flight is answered and a pause is over
  #pauseOver = true;
  #refusals = 0;
  #seen;

  constructor({ session, storage, WebSocket, random }) {
    super({ session, WebSocket, random });
    this.#storage = storage;
    this.synced = false;
    this.conversations = [];
    this.outbox = new Outbox(storage, this.userid);
    this.readSeen();
  }

  // Frames

  onFrame(frame) {
    if (frame.cmd === 1) this.#acked(frame);
    else if (frame.cmd === 2 && frame.cid) this.#refused(frame);
    else if (frame.cmd === 22) this.#groupChanged(frame);
    else if (LOG_ENTRIES.has(frame.cmd)) this.#take(this.#conversationOf(frame), frame, true);
  }

  #conversationOf({ cmd, chat, userid, dstid }) {
    const kind = isMessage({ cmd }) ? cmd : chat;
    const other = kind === SINGLE && dstid === this.userid && userid ? userid : dstid;
    const known = this.conversation(keyOf(kind, other));
    if (!known) this.#refreshSoon(); // for its name
    return known ?? this.openConversation(kind, other, "");
  }

  // Sync

  async onOpen() {
    await this.#refresh();
    await this.outbox.adopt();
  }

  onOnline() {
    for (const conversation of this.conversations) {
      this.emit("messages", conversation.key);
      this.#catchUp(conversation);
    }
    this.#pump();
  }

  /** What was not answered counts as not sent. */
  onLost() {
    this.#inFlight.clear();
    this.#held = false;
    this.outbox.requeue();
    for (const { key } of this.conversations) this.emit("messages", key);
  }

  /** Reads the list of conversations anew. */
  async #refresh() {
    const { conversations, more } = await this.ask({ cmd: 30 });
    const listed = conversations.map((row) => this.#update(row));
    const kept = this.conversations.filter(
      (one) => !listed.includes(one) && (more || one.chat === SINGLE),
    );
    this.conversations = [...kept, ...listed];
    if (more || kept.some((one) => one.last)) this.#sort();
    this.synced = true;
    this.emit("conversations");
    if (this.state === "online") for (const one of this.conversations) this.#catchUp(one);
  }

  #refreshSoon() {
    this.after("refresh", 200, () => this.#refresh().catch(() => {}));
  }

  #update({ chat, dstid, name, avatar, seq, read, unread, last }) {
    const key = keyOf(chat, dstid);
    const old = this.conversation(key);
    const conversation = old ?? this.#newConversation(chat, dstid);
    Object.assign(conversation, { name, avatar, seq: Math.max(seq, conversation.seq) });
    if (last && last.seq >= (conversation.last?.seq ?? 0)) conversation.last = last;
    const { timeline } = conversation;
    if (timeline.high === null || seq - timeline.high > SYNC_MOST) {
      timeline.clear(seq);
      const seen = Math.max(this.#seen[key] ?? 0, read);
      if (last?.userid === this.userid) conversation.unread = 0;
      else conversation.unread = seen ? Math.max(0, seq - seen) : unread;
      this.emit("messages", key);
    }
    return conversation;
  }

  /** Fetches what the server has beyond what is here, and what is missing in between. */
  async #catchUp(conversation) {
    const { chat, dstid, timeline } = conversation;
    if (conversation.catchingUp) return;
    conversation.catchingUp = true;
    let tries = 0;
    try {
      while (timeline.hasHole || timeline.high < conversation.seq) {
        const after = timeline.high;
        const page = await this.ask({ cmd: 31, chat, dstid, after, limit: SYNC_PAGE });
        for (const entry of page.messages) this.#take(conversation, entry, false);
        if (timeline.high > after) {
          tries = 0;
        } else if (tries < HOLE_MS.length) {
          // It may be on its way into the history. (Or it was before we came into the group.)
          await new Promise((done) => setTimeout(done, HOLE_MS[tries++]));
        } else {
          this.#closed(conversation, timeline.skip(conversation.seq));
        }
      }
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      if (error.passes) setTimeout(() => this.#catchUp(conversation), 3000);
    } finally {
      conversation.catchingUp = false;
    }
  }

  /** Loads the page before what is here; false: it could not be had now. */
  async loadOlder(key) {
    const { chat, dstid, timeline } = this.conversation(key);
    if (timeline.complete) return true;
    const edge = timeline.low === null ? {} : { before: timeline.low };
    try {
      const page = await this.ask({ cmd: 31, chat, dstid, ...edge, limit: PAGE });
      timeline.prepend(page.messages, page.more);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      return false;
    }
    this.emit("messages", key);
    return true;
  }

  /** One entry of the log, live or from history. */
  #take(conversation, entry, live) {
    const { timeline } = conversation;
    const isNews = timeline.high === null || entry.seq > timeline.high;
    if (entry.userid === this.userid && entry.cid) this.#settle(entry.cid);
    if (!isNews) return;
    this.#closed(conversation, timeline.add(entry));
    if (live && isMessage(entry) && entry.userid !== this.userid) {
      this.emit("message", { conversation, message: entry });
    }
    if (timeline.hasHole) this.#catchUp(conversation);
  }

  /** Entries that follow, without a hole, on what was here. */
  #closed(conversation, entries) {
    const { key } = conversation;
    for (const entry of entries.filter(isMessage)) {
      conversation.last = entry;
      conversation.unread = entry.userid === this.userid ? 0 : conversation.unread + 1;
      if (entry.userid === this.userid) this.#writeSeen(key, entry.seq);
    }
    this.emit("messages", key);
    if (!entries.length) return;
    this.#sort();
    this.emit("conversations");
  }

  // Conversations

  conversation(key) {
    return this.conversations.find((one) => one.key === key);
  }

  /** The conversation, a new empty one if need be. */
  openConversation(chat, dstid, name) {
    let conversation = this.conversation(keyOf(chat, dstid));
    if (!conversation) {
      conversation = this.#newConversation(chat, dstid);
      conversation.name = name;
      this.conversations.unshift(conversation);
      this.emit("conversations");
    }
    return conversation;
  }

  /** Everything here has been read. */
  markSeen(key) {
    const conversation = this.conversation(key);
    if (!conversation) return;
    this.#writeSeen(key, conversation.timeline.high ?? 0);
    if (!conversation.unread) return;
    conversation.unread = 0;
    this.emit("conversations");
  }

  /** Another tab has read something. */
  readSeen() {
    try {
      this.#seen = JSON.parse(this.#storage.getItem(this.seenKey)) ?? {};
    } catch {
      this.#seen = {};
    }
    for (const conversation of this.conversations) {
      if (this.#seen[conversation.key] >= conversation.timeline.high) conversation.unread = 0;
    }
    this.emit("conversations");
  }

  get seenKey() {
    return `tandem:${this.userid}:seen`;
  }

  #writeSeen(key, seq) {
    if ((this.#seen[key] ?? 0) >= seq) return;
    this.#seen[key] = seq;
    try {
      this.#storage.setItem(this.seenKey, JSON.stringify(this.#seen));
    } catch {
      // Storage is full: the count is right until the next reload.
    }
  }

  #newConversation(chat, dstid) {
    const timeline = new Timeline();
    return { key: keyOf(chat, dstid), chat, dstid, name: "", seq: 0, unread: 0, timeline };
  }

  /** Newest first; those without a message stay where they are, on top of older ones. */
  #sort() {
    let above = Infinity;
    for (const one of this.conversations) above = one.order = one.last?.ts ?? above;
    this.conversations.sort(({ order: one }, { order: other }) => (one < other) - (one > other));
  }

  #groupChanged(frame) {
    const key = keyOf(GROUP, frame.dstid);
    const gone = frame.event === "left" || frame.event === "removed";
    if (frame.event === "dissolved" || (gone && frame.userid === this.userid)) {
      this.conversations = this.conversations.filter((one) => one.key !== key);
      for (const { cid } of this.outbox.of(GROUP, frame.dstid)) this.outbox.remove(cid);
      this.emit("conversations");
    } else {
      this.#refreshSoon();
    }
    this.emit("group", frame);
  }

  // Sending

  /** Queues a message; gives its cid. It is sent, again if need be, until the server answers. */
  sendText(chat, dstid, text) {
    const item = { cid: freshId(), chat, dstid, content: cleanText(text), ts: Date.now() };
    this.outbox.add({ ...item, state: "queued" });
    this.#pump();
    this.emit("messages", keyOf(chat, dstid));
    return item.cid;
  }

  /** Sends a refused message once more, behind all others. */
  resend(cid) {
    const item = this.outbox.remove(cid);
    if (!item) return;
    const newCid = item.reason === "cid-reused" ? freshId() : cid;
    this.outbox.add({ ...item, cid: newCid, state: "queued", reason: undefined });
    this.#pump();
    this.emit("messages", keyOf(item.chat, item.dstid));
  }

  /** Forgets a refused message. */
  discard(cid) {
    const item = this.outbox.find(cid);
    if (item?.state !== "failed") return;
    this.outbox.remove(cid);
    this.emit("messages", keyOf(item.chat, item.dstid));
  }

  #pump() {
    if (this.state !== "online" || this.#held) return;
    for (const item of this.outbox.items) {
      if (this.#inFlight.size >= IN_FLIGHT) return;
      if (item.state !== "queued") continue;
      item.state = "sent";
      this.#inFlight.add(item.cid);
      this.send({ cmd: item.chat, dstid: item.dstid, content: item.content, cid: item.cid });
    }
  }

  #acked({ cid, id, seq, ts }) {
    this.#refusals = 0;
    const item = this.outbox.find(cid);
    if (item) {
      const { chat, dstid, content } = item;
      const entry = { id, userid: this.userid, cmd: chat, dstid, content, cid, seq, ts };
      this.#take(this.#conversationOf(entry), entry, true);
    }
    this.#settle(cid);
  }

  /** The message with this cid is in the history. */
  #settle(cid) {
    this.#inFlight.delete(cid);
    const item = this.outbox.remove(cid);
    if (item) this.emit("messages", keyOf(item.chat, item.dstid));
    this.#goOn();
  }

  #refused(frame) {
    this.#inFlight.delete(frame.cid);
    const item = this.outbox.find(frame.cid);
    const refusal = new Refusal(frame);
    if (item && refusal.passes) {
      item.state = "queued";
      this.#pause(refusal);
    } else if (item) {
      item.state = "failed";
      item.reason = frame.reason;
      this.outbox.save();
      this.emit("messages", keyOf(item.chat, item.dstid));
    }
    this.#goOn();
  }

  /** Stops sending for a while: what comes behind a message that was put off must not pass it. */
  #pause({ retryAfter }) {
    if (this.#held) return;
    this.#held = true;
    this.#pauseOver = false;
    const backOff = Math.min(15_000, 1000 * 2 ** this.#refusals++) * (0.5 + 0.5 * this.random());
    this.after("pause", (retryAfter ?? 0) * 1000 + backOff, () => {
      this.#pauseOver = true;
      this.#goOn();
    });
  }

  #goOn() {
    if (this.#held && this.#pauseOver && !this.#inFlight.size) this.#held = false;
    this.#pump();
  }
}

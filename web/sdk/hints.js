// What is not kept for those who are away: receipts, typing, presence.

import { keyOf } from "./protocol.js";

const RECEIPT_MS = 200; // receipts of one conversation are merged for so long
const COMPOSING_MS = 4000; // between two hints that one is writing
const TYPING_MS = 8000; // after the last hint somebody is taken to have stopped

export class Hints {
  #me;
  #session;
  #link;
  #conversations;
  #emit;
  #receipts = new Map(); // `state key` → what is to be sent
  #delivered = new Map(); // key → seq that the server was told
  #composing = new Map(); // key → when that was said last
  #typing = new Map(); // `userid key` → timer
  #presence = null;
  #timer = null;
  #askAgain;

  /** `askAgain()`: an unread count is known only to the server. */
  constructor({ me, session, link, conversations, emit, askAgain }) {
    this.#askAgain = askAgain;
    this.#me = me;
    this.#session = session;
    this.#link = link;
    this.#conversations = conversations;
    this.#emit = emit;
  }

  /** Says again what the server forgets with a connection, and what it could not be told. */
  online() {
    if (this.#presence && this.#link.leads) this.#link.send(this.#presence);
    for (const conversation of this.#conversations.list) this.tellRead(conversation);
  }

  lost() {
    for (const place of [...this.#typing.keys()]) this.#stopped(place);
    this.#composing.clear();
  }

  stop() {
    clearTimeout(this.#timer);
    this.#timer = null;
    this.#receipts.clear();
    this.lost();
  }

  // Receipts

  /** Everything that is here has been read. */
  markRead(conversation) {
    const seq = conversation.timeline.high ?? 0;
    if (seq <= conversation.read) return;
    this.#conversations.read(conversation, seq);
    this.#link.post({ read: conversation.key, seq });
    this.#receipt(conversation, "read", seq);
  }

  /** Tells the server what it does not know to be read. */
  tellRead(conversation) {
    const { read, told } = conversation;
    if (this.#link.leads && read > told) this.#receipt(conversation, "read", read);
  }

  /** Messages of others up to `seq` have come to this device. */
  delivered(conversation, seq) {
    const { key, read, told } = conversation;
    if (!this.#link.leads || seq <= Math.max(read, told, this.#delivered.get(key) ?? 0)) return;
    this.#receipt(conversation, "delivered", seq);
  }

  #receipt({ key, chat, dstid }, state, seq) {
    this.#receipts.set(`${state} ${key}`, { cmd: 12, chat, dstid, seq, state });
    this.#timer ??= setTimeout(() => {
      this.#timer = null;
      this.#sendReceipts();
    }, RECEIPT_MS);
  }

  #sendReceipts() {
    for (const [name, frame] of [...this.#receipts]) {
      this.#receipts.delete(name);
      const key = keyOf(frame.chat, frame.dstid);
      const conversation = this.#conversations.find(key);
      if (!conversation) continue;
      const isRead = frame.state === "read";
      // What is read is delivered.
      const other = !isRead && this.#receipts.get(`read ${key}`);
      const known = isRead ? conversation.told : Math.max(conversation.told, other?.seq ?? 0);
      if (frame.seq <= known || !this.#link.send(frame)) continue;
      if (isRead) this.#toldRead(conversation, frame.seq);
      else this.#delivered.set(key, frame.seq);
    }
  }

  #toldRead(conversation, seq) {
    conversation.told = seq;
    if (conversation.isGuess) this.#askAgain();
    conversation.isGuess = false;
  }

  /** Reads the others' pointers. Throws `ApiError`. */
  async load(conversation) {
    const { key, chat, dstid } = conversation;
    const path = `/api/receipts?chat=${chat}&dstid=${dstid}`;
    const { receipts } = await this.#session.request("GET", path);
    for (const { userid, delivered, read } of receipts) {
      this.#move(conversation, userid, { delivered, read });
    }
    this.#emit("messages", { key });
  }

  #move({ receipts }, userid, { delivered = 0, read = 0 }) {
    const known = receipts.get(userid) ?? { delivered: 0, read: 0 };
    const reached = Math.max(known.read, read);
    receipts.set(userid, { delivered: Math.max(known.delivered, delivered, read), read: reached });
  }

  // Frames

  /** cmd 12. */
  receipt(conversation, { userid, state, seq }) {
    if (userid === this.#me) return;
    this.#move(conversation, userid, { [state]: seq });
    this.#emit("messages", { key: conversation.key });
  }

  /** cmd 23, or the like from another tab. */
  readElsewhere(conversation, seq) {
    conversation.told = Math.max(conversation.told, seq);
    this.#conversations.read(conversation, seq);
  }

  /** cmd 13. */
  typed({ key, typing }, { userid, state }) {
    if (userid === this.#me) return;
    const place = `${userid} ${key}`;
    if (state !== "composing") {
      this.#stopped(place);
      return;
    }
    clearTimeout(this.#typing.get(place));
    this.#typing.set(place, setTimeout(() => this.#stopped(place), TYPING_MS));
    if (typing.has(userid)) return;
    typing.add(userid);
    this.#emit("typing", { key });
  }

  /** Somebody's message is here: they do not write it any more. */
  said({ key }, userid) {
    this.#stopped(`${userid} ${key}`);
  }

  #stopped(place) {
    if (!this.#typing.has(place)) return;
    clearTimeout(this.#typing.get(place));
    this.#typing.delete(place);
    const [userid, key] = place.split(" ");
    this.#conversations.find(key)?.typing.delete(Number(userid));
    this.#emit("typing", { key });
  }

  // Saying

  typing({ chat, dstid }, isComposing) {
    const key = keyOf(chat, dstid);
    const last = this.#composing.get(key);
    if (isComposing ? Date.now() < (last ?? 0) + COMPOSING_MS : last === undefined) return;
    const state = isComposing ? "composing" : "paused";
    const isSent = this.#link.send({ cmd: 13, chat, dstid, state });
    if (isComposing && isSent) this.#composing.set(key, Date.now());
    else this.#composing.delete(key);
  }

  /** One's own message ends what was said of writing it. */
  sent(key) {
    this.#composing.delete(key);
  }

  setPresence(state, memo) {
    const frame = memo ? { cmd: 20, state, memo } : { cmd: 20, state };
    this.#presence = frame;
    this.#link.post({ presence: frame });
    this.#link.send(frame);
  }

  /** Another tab has said it: whichever leads says it again after a reconnect. */
  presenceElsewhere(frame) {
    this.#presence = frame;
  }
}

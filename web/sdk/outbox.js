// What this user has sent and the server has not acked: in order, and kept over a reload. All tabs
// have the same list; only the leader sends it.

import { Refusal } from "./connection.js";
import { CONTENT, freshId, isMessage, keyOf, pick } from "./protocol.js";

const IN_FLIGHT = 32; // sends without an answer; the server reads no further at 64
const PAUSE_CAP_MS = 15_000;

/** `items`: see `Pending` in tandem.d.ts. */
export class Outbox {
  #userid;
  #store;
  #prefix;
  #link;
  #random;
  #emit;
  #places = new Map(); // cid → key in the store; their order is the items'
  #dropped = new Set();
  #acked = new Set(); // shown until their entries are
  #inFlight = new Set();
  #held = false; // no sending until what is in flight is answered and a pause is over
  #pause = null;
  #refusals = 0;
  #lastOrder = 0;

  constructor({ userid, store, prefix, link, random, emit }) {
    this.#userid = userid;
    this.#store = store;
    this.#prefix = `${prefix}outbox:`;
    this.#link = link;
    this.#random = random;
    this.#emit = emit;
    this.items = [];
    this.canSend = false;
  }

  /** Takes in what is stored and not here yet. */
  async load() {
    for (const [place, item] of await this.#store.entries(this.#prefix)) {
      if (!this.#dropped.has(item.cid) && !this.find(item.cid)) this.#insert(place, item);
    }
  }

  find(cid) {
    return this.items.find((item) => item.cid === cid);
  }

  of(key) {
    return this.items.filter(({ chat, dstid }) => keyOf(chat, dstid) === key);
  }

  /** `what`: a `Content` with `chat`, `dstid` and `cmd`. Gives the cid. */
  add(what) {
    const mine = { cid: freshId(), userid: this.#userid, ts: Date.now(), state: "queued" };
    const item = { ...what, ...mine };
    this.#put(this.#nextPlace(), item);
    return item.cid;
  }

  /** Sends a refused one once more, behind all others. */
  resend(cid) {
    const item = this.find(cid);
    if (item?.state !== "failed") return;
    const { reason, ...rest } = item;
    this.#withdraw(cid);
    const isNew = reason === "cid-reused";
    this.#put(this.#nextPlace(), { ...rest, cid: isNew ? freshId() : cid, state: "queued" });
  }

  /** Forgets a refused one. */
  discard(cid) {
    if (this.find(cid)?.state === "failed") this.#withdraw(cid);
  }

  /** Forgets all of one conversation. */
  discardAll(key) {
    for (const { cid } of this.of(key)) this.#remove(cid);
  }

  /** The entry of the log that an ack is of; undefined for an unknown one. */
  entryOf({ cid, id, seq, ts }) {
    const item = this.find(cid);
    if (!item) return undefined;
    const { userid, cmd, chat, dstid } = item;
    const kind = isMessage({ cmd }) ? { media: 1 } : { chat };
    return { id, userid, cmd, dstid, ...kind, ...pick(item, CONTENT), cid, seq, ts };
  }

  /** The server has it for good. It stays in the list until `shown`. */
  acked(cid) {
    this.#refusals = 0;
    this.#inFlight.delete(cid);
    if (this.find(cid)) this.#acked.add(cid);
    this.#forget(cid);
    this.#goOn();
  }

  /** Their entries are shown, so the items are not any more. Gives whether there were any. */
  shown(cids) {
    const found = cids.filter((cid) => this.#take(cid));
    for (const cid of cids) this.#inFlight.delete(cid);
    this.#goOn();
    return found.length > 0;
  }

  /** What was acked in a conversation whose entries are not shown one by one. */
  passed(key) {
    for (const { cid } of this.of(key)) if (this.#acked.has(cid)) this.#remove(cid);
  }

  refused(frame) {
    this.#inFlight.delete(frame.cid);
    const item = this.find(frame.cid);
    if (!item) return;
    const refusal = new Refusal(frame);
    if (refusal.passes) {
      item.state = "queued";
      this.#holdBack(refusal);
    } else {
      item.state = "failed";
      item.reason = frame.reason;
      if (this.#link.leads) this.#store.set(this.#places.get(item.cid), { ...item });
    }
    this.#changed(item);
    this.#goOn();
  }

  /** The connection is lost: what was not answered counts as not sent. */
  requeue() {
    this.canSend = false;
    this.#inFlight.clear();
    clearTimeout(this.#pause);
    this.#pause = null;
    this.#held = false;
    for (const item of this.items) {
      if (item.state !== "sent" || this.#acked.has(item.cid)) continue;
      item.state = "queued";
      this.#changed(item);
    }
  }

  /** Sends what can be sent now. */
  pump() {
    if (!this.canSend || !this.#link.leads || this.#held) return;
    const room = IN_FLIGHT - this.#inFlight.size;
    for (const item of this.items.filter(({ state }) => state === "queued").slice(0, room)) {
      item.state = "sent";
      this.#inFlight.add(item.cid);
      this.#link.post({ sent: item.cid });
      const { cmd, chat, dstid, cid } = item;
      const kind = isMessage(item) ? { cmd } : { cmd, chat };
      this.#link.send({ ...kind, dstid, ...pick(item, CONTENT), cid });
      this.#changed(item);
    }
  }

  /** What another tab told. */
  heard({ put, place, removed, sent, gone }) {
    if (put && !this.find(put.cid)) {
      this.#dropped.delete(put.cid);
      this.#insert(place, put);
      this.#changed(put);
      this.pump();
    }
    if (removed) this.#remove(removed);
    const item = sent && this.find(sent);
    if (item && item.state === "queued") {
      item.state = "sent";
      this.#changed(item);
    }
    for (const cid of gone ?? []) this.#remove(cid);
  }

  /** Those of these cids that are not here. */
  missing(cids) {
    return cids.filter((cid) => !this.find(cid));
  }

  /** Larger than all before, in whichever tab. */
  #nextPlace() {
    this.#lastOrder = Math.max(this.#lastOrder + 1, Date.now() * 1000);
    return `${this.#prefix}${String(this.#lastOrder).padStart(17, "0")}:${freshId()}`;
  }

  #put(place, item) {
    this.#dropped.delete(item.cid);
    this.#insert(place, item);
    this.#store.set(place, { ...item });
    this.#link.post({ put: { ...item }, place });
    this.#changed(item);
    this.pump();
  }

  #insert(place, item) {
    const order = parseInt(place.slice(this.#prefix.length), 10);
    this.#lastOrder = Math.max(this.#lastOrder, order);
    this.#places.set(item.cid, place);
    let index = this.items.length;
    while (index && this.#places.get(this.items[index - 1].cid) > place) index--;
    this.items.splice(index, 0, item);
  }

  /** Removes an item everywhere. */
  #withdraw(cid) {
    this.#link.post({ removed: cid });
    this.#store.delete(this.#places.get(cid));
    this.#remove(cid);
  }

  #remove(cid) {
    const item = this.#take(cid);
    if (item) this.#changed(item);
  }

  /** Takes an item out of the list, and of the store. */
  #take(cid) {
    const index = this.items.findIndex((item) => item.cid === cid);
    if (index < 0) return null;
    this.#forget(cid);
    this.#places.delete(cid);
    this.#acked.delete(cid);
    this.#dropped.add(cid);
    return this.items.splice(index, 1)[0];
  }

  #forget(cid) {
    if (this.#link.leads && this.#places.has(cid)) this.#store.delete(this.#places.get(cid));
  }

  #changed({ chat, dstid }) {
    this.#emit("messages", { key: keyOf(chat, dstid) });
  }

  /** Stops sending for a while: what comes behind a message that was put off must not pass it. */
  #holdBack({ retryAfter }) {
    if (this.#held) return;
    this.#held = true;
    const cap = Math.min(PAUSE_CAP_MS, 1000 * 2 ** this.#refusals++);
    const delay = (retryAfter ?? 0) * 1000 + cap * (0.5 + 0.5 * this.#random());
    this.#pause = setTimeout(() => {
      this.#pause = null;
      this.#goOn();
    }, delay);
  }

  #goOn() {
    if (this.#held && !this.#pause && !this.#inFlight.size) this.#held = false;
    this.pump();
  }
}

// Tandem's SDK: one person's chat in a browser or under Node. What it does is told in docs/sdk.md,
// its types and what each member means in tandem.d.ts.

import { Refusal } from "./connection.js";
import { Conversations } from "./conversations.js";
import { Hints } from "./hints.js";
import { History } from "./history.js";
import { Outbox } from "./outbox.js";
import { People } from "./people.js";
import { EDIT, REACTION, RECALL, cleanText, isEntry, keyOf, placeOf } from "./protocol.js";
import { Session } from "./session.js";
import { Shelf } from "./shelf.js";
import { defaultStore, defaultTokens } from "./store.js";
import { Link } from "./tabs.js";

export { Refusal } from "./connection.js";
export { CONTENT_CHARS, GROUP, SINGLE, cleanText, isMessage, keyOf } from "./protocol.js";
export { ApiError } from "./session.js";

const AGAIN_CAP_MS = 15_000;

export class Tandem extends EventTarget {
  #options;
  #session;
  #store;
  #random;
  #prefix;
  #link;
  #outbox;
  #conversations;
  #history;
  #hints;
  #people;
  #shelf;
  #isStarted = false;
  #isOnline = false;
  #epoch = "";
  #again = null;

  constructor(options = {}) {
    super();
    const { base = globalThis.location?.origin, tokens = defaultTokens(), fetch } = options;
    this.#options = options;
    this.#store = options.store ?? defaultStore();
    this.#random = options.random ?? Math.random;
    this.#session = new Session({ base, tokens, fetch, onEnd: (wished) => this.#ended(wished) });
    this.#build();
    globalThis.addEventListener?.("storage", () => {
      if (this.#session.isOutdated()) this.#emit("outdated");
    });
  }

  /** The parts, for whoever is logged in now. */
  #build() {
    const session = this.#session;
    const me = session.user?.id ?? 0;
    const emit = (type, detail) => this.#emit(type, detail);
    const store = this.#store;
    const prefix = (this.#prefix = `tandem:${me}:`);
    const random = this.#random;
    const { WebSocket, shared = globalThis.isSecureContext } = this.#options;
    const canShare = globalThis.navigator?.locks && globalThis.BroadcastChannel;
    const link = (this.#link = new Link({
      ...{ session, WebSocket, random, shared: Boolean(shared && canShare) },
      on: {
        state: () => this.#linkChanged(),
        frame: (frame) => this.#received(frame),
        completed: (frame) => this.#completed(frame),
        post: (message) => this.#heard(message),
        lead: () => this.#outbox.load(),
        asked: (cids) => this.#outbox.missing(cids),
      },
    }));
    const conversations = (this.#conversations = new Conversations({ me, emit }));
    const outbox = (this.#outbox = new Outbox({ userid: me, store, prefix, link, random, emit }));
    const received = (conversation, entry) => this.#told(conversation, entry);
    this.#history = new History({ me, link, conversations, outbox, emit, received });
    const askAgain = () => this.#history.refreshSoon();
    this.#hints = new Hints({ me, session, link, conversations, emit, askAgain });
    const people = (this.#people = new People({ session, emit }));
    this.#shelf = new Shelf({ store, prefix, link, conversations, people });
  }

  // Login

  get user() {
    return this.#session.user;
  }

  async register(account) {
    await this.#session.register(account);
    this.#enter();
  }

  async login(who, password) {
    await this.#session.login(who, password);
    this.#enter();
  }

  #enter() {
    this.stop();
    this.#build();
  }

  async logout(all = false) {
    this.#shelf.drop();
    await this.#session.logout(all);
  }

  request(method, path, body) {
    return this.#session.request(method, path, body);
  }

  #ended(wished) {
    this.#link.post({ ended: true, wished });
    this.#shelf.drop();
    this.stop();
    if (wished) this.#store.clear(this.#prefix);
    this.#build();
    this.#emit("ended", { wished });
  }

  // Connection

  get state() {
    const { state } = this.#link;
    return state !== "open" ? state : this.#isOnline ? "online" : "syncing";
  }

  get retryAt() {
    return this.#link.retryAt;
  }

  async start() {
    if (!this.user) throw new Error("nobody is logged in");
    if (this.#isStarted) return;
    this.#isStarted = true;
    const link = this.#link;
    link.join();
    await Promise.all([this.#outbox.load(), this.#shelf.restore()]);
    if (link !== this.#link || !this.#isStarted) return;
    this.#emit("conversations");
    this.#shelf.start();
    link.start(this.#outbox.items.map(({ cid }) => cid));
  }

  stop() {
    if (!this.#isStarted) return;
    this.#isStarted = false;
    this.#shelf.stop();
    this.#hints.stop();
    this.#history.stop();
    this.#link.stop();
  }

  retryNow() {
    this.#link.retryNow();
  }

  takeOver() {
    this.#link.takeOver();
  }

  #linkChanged() {
    const { epoch } = this.#link;
    if (epoch !== this.#epoch) {
      clearTimeout(this.#again);
      this.#epoch = epoch;
      this.#isOnline = false;
      this.#outbox.requeue();
      this.#hints.lost();
      if (epoch) this.#sync(epoch, 0);
    }
    this.#emit("state");
  }

  async #sync(epoch, tries) {
    try {
      await this.#history.sync();
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      if (epoch !== this.#epoch) return;
      const cap = Math.min(AGAIN_CAP_MS, 1000 * 2 ** tries);
      const delay = (error.retryAfter ?? 0) * 1000 + this.#random() * cap;
      this.#again = setTimeout(() => this.#sync(epoch, tries + 1), delay);
      return;
    }
    if (epoch !== this.#epoch) return;
    this.#isOnline = true;
    this.#outbox.canSend = true;
    this.#emit("state");
    this.#outbox.pump();
    this.#hints.online();
    this.#people.loadContacts();
    await this.#history.catchUpAll();
  }

  // Frames

  /** The leader gives an ack the entry that it is of, which the server does not send back. */
  #completed(frame) {
    return frame.cmd === 1 ? { ...frame, entry: this.#outbox.entryOf(frame) } : frame;
  }

  #received(frame) {
    if (frame.cmd === 1) {
      this.#outbox.acked(frame.cid);
      if (frame.entry) this.#history.received(frame.entry);
    } else if (frame.cmd === 2) {
      if (frame.cid) this.#outbox.refused(frame);
    } else if (isEntry(frame)) {
      this.#history.received(frame);
    } else if (frame.cmd === 20) {
      const { userid, state, memo } = frame;
      this.#emit("presence", { userid, state, memo });
    } else if (frame.cmd === 21) {
      this.#people.loadContacts();
      this.#emit("contact", { event: frame.event, userid: frame.userid });
    } else if (frame.cmd === 22) {
      this.#groupChanged(frame);
    } else {
      this.#hinted(frame);
    }
  }

  /** Hints about a conversation, if it is one that is known. */
  #hinted(frame) {
    if (!frame.dstid) return;
    const { chat, dstid } = placeOf(frame, this.user?.id);
    const conversation = this.conversation(keyOf(chat, dstid));
    if (!conversation) return;
    if (frame.cmd === 12) this.#hints.receipt(conversation, frame);
    else if (frame.cmd === 13) this.#hints.typed(conversation, frame);
    else if (frame.cmd === 23) this.#hints.readElsewhere(conversation, frame.seq);
    else if (frame.cmd === 24) this.#set(conversation, frame);
  }

  #groupChanged({ event, dstid, userid }) {
    const isGone = event === "left" || event === "removed";
    if (event === "dissolved" || (isGone && userid === this.user?.id)) {
      this.#history.groupGone(dstid);
    } else {
      this.#history.refreshSoon();
    }
    this.#emit("group", { event, dstid, userid });
  }

  /** A message is new here; `entry` null: messages of others, as the server's list says. */
  #told(conversation, entry) {
    if (entry) this.#hints.said(conversation, entry.userid);
    if (entry?.userid === this.user?.id) this.#hints.tellRead(conversation);
    else this.#hints.delivered(conversation, entry?.seq ?? conversation.seq);
  }

  /** What another tab told. */
  #heard(message) {
    if (message.ended) {
      this.#session.end(message.wished);
    } else if (message.presence) {
      this.#hints.presenceElsewhere(message.presence);
    } else if (message.read) {
      const conversation = this.conversation(message.read);
      if (conversation) this.#conversations.read(conversation, message.seq);
    } else {
      this.#outbox.heard(message);
    }
  }

  // Conversations

  get synced() {
    return this.#history.synced;
  }

  get conversations() {
    return this.#conversations.list;
  }

  conversation(key) {
    return this.#conversations.find(key);
  }

  open(chat, dstid, name = "") {
    const conversation = this.#at(chat, dstid, name);
    this.#history.look(conversation.key);
    return conversation;
  }

  #at(chat, dstid, name) {
    const known = this.conversation(keyOf(chat, dstid));
    if (known) return known;
    const conversation = this.#conversations.open(chat, dstid, name);
    this.#emit("conversations");
    return conversation;
  }

  async change({ chat, dstid }, what) {
    const tell = () => this.request("PATCH", "/api/conversations", { chat, dstid, ...what });
    const conversation = this.conversation(keyOf(chat, dstid));
    if (conversation) await this.#conversations.change(conversation, what, tell);
    else await tell();
  }

  #set(conversation, what) {
    this.#conversations.set(conversation, what);
    this.#conversations.sort();
    this.#emit("conversations");
  }

  markRead(key) {
    const conversation = this.conversation(key);
    if (!conversation) return;
    this.#history.look(key);
    this.#hints.markRead(conversation);
  }

  loadReceipts({ chat, dstid }) {
    return this.#hints.load(this.#at(chat, dstid));
  }

  // History

  loadOlder(key, timeline) {
    return this.#history.loadOlder(key, timeline);
  }

  loadNewer(key, timeline) {
    return this.#history.loadNewer(key, timeline);
  }

  around(key, seq) {
    return this.#history.around(key, seq);
  }

  search(q, options = {}) {
    const given = Object.entries(options).filter(([, value]) => value !== undefined);
    const query = new URLSearchParams([["q", q], ...given]);
    return this.request("GET", `/api/search?${query}`);
  }

  // Sending

  pending(key) {
    return key === undefined ? this.#outbox.items : this.#outbox.of(key);
  }

  send({ chat, dstid }, what) {
    const content = typeof what === "string" ? { content: what } : { ...what };
    if (content.content !== undefined) content.content = cleanText(content.content);
    this.#hints.sent(this.#at(chat, dstid).key);
    return this.#outbox.add({ ...content, chat, dstid, cmd: chat });
  }

  edit(place, id, content) {
    return this.#act(place, { cmd: EDIT, ref: id, content: cleanText(content) });
  }

  recall(place, id) {
    return this.#act(place, { cmd: RECALL, ref: id });
  }

  react(place, id, content) {
    return this.#act(place, { cmd: REACTION, ref: id, content });
  }

  #act({ chat, dstid }, what) {
    return this.#outbox.add({ ...what, chat, dstid });
  }

  resend(cid) {
    this.#outbox.resend(cid);
  }

  discard(cid) {
    this.#outbox.discard(cid);
  }

  typing(place, isComposing = true) {
    this.#hints.typing(place, isComposing);
  }

  setPresence(state, memo = "") {
    this.#hints.setPresence(state, memo);
  }

  async upload(file, options) {
    const { upload } = await import("./upload.js");
    return upload(this.#session, file, options);
  }

  // People

  person(id) {
    return this.#people.get(id);
  }

  nameOf(id) {
    return this.#people.name(id);
  }

  forget(id) {
    this.#people.forget(id);
  }

  // Events

  on(type, act) {
    const listener = ({ detail }) => act(detail);
    this.addEventListener(type, listener);
    return () => this.removeEventListener(type, listener);
  }

  #emit(type, detail) {
    if (type === "conversations") this.#shelf?.changed();
    if (type === "messages") this.#shelf?.changed(detail.key);
    if (type === "people") this.#shelf?.peopleChanged();
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

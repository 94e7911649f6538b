// Keeps every conversation's log without holes: sync by cmd 30 and 31, gaps, and pages on demand.

import { Refusal } from "./connection.js";
import { GROUP, isAct, isMessage, keyOf, placeOf } from "./protocol.js";
import { Timeline, changed } from "./timeline.js";

const PAGE = 50;
const SYNC_PAGE = 200;
const SYNC_MOST = 1000; // entries; whoever missed more reads them when scrolling back
const AT_ONCE = 4; // conversations that are read at the same time after a reconnect
const HOLE_MS = [500, 2500, 9000]; // a hole older than 10 s becomes a void
const AGAIN_MS = 3000;
const REFRESH_MS = 200;
const WINDOWS = 4; // of one conversation
const KEPT = 200; // entries of a conversation that is not looked at

const notThere = () => new Refusal({ code: 404, reason: "no-such-message" });
const sleep = (delay) => new Promise((done) => setTimeout(done, delay));

export class History {
  #me;
  #link;
  #conversations;
  #outbox;
  #emit;
  #received;
  #catching = new Set();
  #looked = "";
  #refreshing = null;
  #readings = new Set(); // for each list that is being read: keys of groups that are gone since

  /** `received(conversation, entry)`: a message is new here; null: others', by the list. */
  constructor({ me, link, conversations, outbox, emit, received }) {
    this.#me = me;
    this.#link = link;
    this.#conversations = conversations;
    this.#outbox = outbox;
    this.#emit = emit;
    this.#received = received;
    this.synced = false;
  }

  stop() {
    clearTimeout(this.#refreshing);
  }

  // Sync

  /** Reads the whole list of conversations. Throws `Refusal`. */
  async sync() {
    const listed = new Set();
    let before;
    do {
      const page = await this.#readList(before);
      for (const { chat, dstid } of page.conversations) listed.add(keyOf(chat, dstid));
      before = page.more ? page.next : undefined;
    } while (before);
    this.#conversations.keepGroups(listed);
  }

  /** Reads the list's beginning, soon: something about it has changed. */
  refreshSoon() {
    this.#refreshing ??= setTimeout(async () => {
      this.#refreshing = null;
      try {
        await this.#readList();
        await this.catchUpAll();
      } catch (error) {
        if (!(error instanceof Refusal)) throw error;
      }
    }, REFRESH_MS);
  }

  /** Fetches what the server has beyond what is here, in all conversations. */
  async catchUpAll() {
    const behind = this.#conversations.list.filter((one) => this.#isBehind(one));
    const work = async () => {
      for (let next = behind.shift(); next; next = behind.shift()) await this.#catchUp(next);
    };
    await Promise.all(Array.from({ length: AT_ONCE }, work));
  }

  async #readList(before) {
    const gone = new Set();
    this.#readings.add(gone);
    const asked = this.#link.ask(before ? { cmd: 30, before } : { cmd: 30 });
    const page = await asked.finally(() => this.#readings.delete(gone));
    for (const row of page.conversations) {
      if (!gone.has(keyOf(row.chat, row.dstid))) this.#adopt(row);
    }
    this.#conversations.sort();
    this.synced = true;
    this.#emit("conversations");
    return page;
  }

  #adopt(row) {
    const conversation = this.#conversations.open(row.chat, row.dstid);
    const { key, timeline, windows } = conversation;
    const isNews = row.seq > conversation.seq;
    const { entries, complete, hasHole, high } = timeline;
    const isBare = !entries.length && !complete && !hasHole && !windows.length;
    const isFollowed = high !== null && row.seq - high <= (isBare ? 0 : SYNC_MOST);
    this.#conversations.update(row, isFollowed);
    if (isNews && row.unread) this.#received(conversation, null);
    if (isFollowed) return;
    timeline.clear(row.seq);
    // What was done to their messages is not known: they are read anew.
    for (const window of windows) window.clear(window.high);
    this.#outbox.passed(key);
    this.#emit("messages", { key });
  }

  #isBehind({ timeline, seq }) {
    return timeline.high !== null && (timeline.hasHole || timeline.high < seq);
  }

  /** Fetches what is missing up to the newest entry that the server told of. */
  async #catchUp(conversation) {
    const { key, chat, dstid } = conversation;
    if (this.#catching.has(key)) return;
    this.#catching.add(key);
    let tries = 0;
    try {
      while (this.#isBehind(conversation)) {
        const after = conversation.timeline.high;
        const page = await this.#link.ask({ cmd: 31, chat, dstid, after, limit: SYNC_PAGE });
        this.take(conversation, page.messages);
        if (conversation.timeline.high > after) {
          tries = 0;
        } else if (tries < HOLE_MS.length) {
          // It may be on its way into the history. (Or it was before we came into the group.)
          await sleep(HOLE_MS[tries++]);
        } else {
          this.#closed(conversation, conversation.timeline.skip(conversation.seq));
        }
      }
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      if (error.passes) setTimeout(() => this.#catchUp(conversation), AGAIN_MS);
    } finally {
      this.#catching.delete(key);
    }
  }

  // Entries

  /** An entry that came live, or with an ack. */
  received(entry) {
    const { chat, dstid } = placeOf(entry, this.#me);
    const known = this.#conversations.find(keyOf(chat, dstid));
    if (!known) this.refreshSoon(); // for its name
    this.take(known ?? this.#conversations.open(chat, dstid), [entry]);
  }

  /** Entries of the log, live or from a page behind what is here. */
  take(conversation, entries) {
    const { timeline } = conversation;
    if (timeline.high === null && entries.length) {
      timeline.clear(entries[0].seq - 1);
      conversation.counted = Math.max(conversation.counted, timeline.high);
    }
    const closed = [];
    for (const entry of entries) {
      conversation.seq = Math.max(conversation.seq, entry.seq);
      closed.push(...timeline.add(entry));
    }
    const isSettled = this.#settle(entries.filter(({ seq }) => seq <= timeline.high));
    if (isSettled && !closed.length) this.#emit("messages", { key: conversation.key });
    this.#closed(conversation, closed);
    if (timeline.hasHole) this.#catchUp(conversation);
  }

  /** What is shown as an entry is not pending any more. */
  #settle(entries) {
    const mine = entries.filter(({ userid, cid }) => userid === this.#me && cid);
    return mine.length > 0 && this.#outbox.shown(mine.map(({ cid }) => cid));
  }

  /** Entries that follow, without a hole, on what was here. */
  #closed(conversation, entries) {
    const { key, timeline } = conversation;
    if (!entries.length) return;
    this.#settle(entries);
    const news = [];
    for (const entry of entries) {
      const isNews = this.#conversations.count(conversation, entry);
      if (isNews === null) this.refreshSoon();
      if (isAct(entry)) this.#apply(conversation, entry);
      if (isMessage(entry)) news.push({ entry, isNews });
    }
    this.#trim(conversation);
    this.#conversations.sort();
    this.#emit("messages", { key });
    this.#emit("conversations");
    for (const { entry, isNews } of news) {
      this.#received(conversation, entry);
      const message = timeline.entries.findLast((one) => one.seq === entry.seq) ?? entry;
      if (isNews && entry.userid !== this.#me) this.#emit("message", { conversation, message });
    }
  }

  #apply(conversation, act) {
    conversation.timeline.apply(act);
    for (const window of conversation.windows) window.apply(act);
    if (conversation.last) conversation.last = changed(conversation.last, act);
  }

  // Pages

  /** See tandem.d.ts, as for all that follow. */
  async loadOlder(key, timeline) {
    const conversation = this.look(key);
    if (!conversation) return false;
    const part = timeline ?? conversation.timeline;
    if (part.complete) return true;
    const edge = part.low === null ? {} : { before: part.low };
    try {
      await this.#page(conversation, edge, ({ messages, more }) => {
        if (part.high === null) {
          conversation.counted = Math.max(conversation.counted, messages.at(-1)?.seq ?? 0);
        }
        part.prepend(messages, more);
        this.#settle(messages);
      });
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      return false;
    }
    this.#emit("messages", { key });
    return true;
  }

  async loadNewer(key, timeline) {
    const conversation = this.look(key);
    if (timeline.live) return true;
    try {
      await this.#page(conversation, { after: timeline.high }, ({ messages }) => {
        this.#extend(conversation, timeline, messages);
      });
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      return false;
    }
    this.#emit("messages", { key });
    return true;
  }

  async around(key, seq) {
    const conversation = this.look(key);
    if (!conversation) throw notThere();
    if (conversation.timeline.high === null) await this.loadOlder(key);
    if (conversation.timeline.has(seq)) return conversation.timeline;
    const window = new Timeline(false);
    await this.#page(conversation, { before: seq + PAGE / 2 }, ({ messages, more }) => {
      const { high } = conversation.timeline;
      window.prepend(messages.filter((entry) => entry.seq <= high), more);
      this.#keep(conversation, window);
      this.take(conversation, messages.filter((entry) => entry.seq > high));
    });
    while (window.low > seq && !window.complete) {
      if (!(await this.loadOlder(key, window))) throw new Refusal();
    }
    const { timeline } = conversation;
    if (timeline.has(seq)) return timeline;
    if (!window.has(seq)) throw notThere();
    if (window.high < timeline.low - 1) return window;
    timeline.prepend(window.entries, !window.complete);
    return timeline;
  }

  /**
   * Reads a page and has it inserted in the state that its messages have at that very moment: what
   * was done to them while it was on its way came live, when they were not here yet.
   */
  async #page(conversation, edge, insert) {
    const { chat, dstid, timeline } = conversation;
    const { high } = timeline;
    const page = await this.#link.ask({ cmd: 31, chat, dstid, ...edge, limit: PAGE });
    for (const act of conversation.timeline.entries) {
      if (!isAct(act) || act.seq <= high) continue;
      page.messages = page.messages.map((entry) => changed(entry, act));
    }
    insert(page);
  }

  /** Adds entries behind a window; when it has come to the live timeline, it takes its place. */
  #extend(conversation, window, messages) {
    const { timeline } = conversation;
    window.append(messages.filter(({ seq }) => seq <= timeline.high));
    if (window.high < timeline.low - 1) {
      window.append(messages);
      return;
    }
    window.absorb(timeline);
    conversation.timeline = window;
    conversation.windows = conversation.windows.filter((one) => one !== window);
    this.#keep(conversation, timeline);
    this.take(conversation, messages);
  }

  /** What is done to messages is done to those of the latest windows too. */
  #keep({ windows }, window) {
    windows.push(window);
    if (windows.length > WINDOWS) windows.shift();
  }

  // Groups that one is not in any more

  groupGone(dstid) {
    const key = keyOf(GROUP, dstid);
    for (const gone of this.#readings) gone.add(key);
    this.#outbox.discardAll(key);
    this.#conversations.remove(key);
  }

  /** This conversation is looked at now, and no other. */
  look(key) {
    const conversation = this.#conversations.find(key);
    const before = this.#conversations.find(this.#looked);
    this.#looked = key;
    if (before && before !== conversation) this.#trim(before);
    return conversation;
  }

  #trim({ key, timeline }) {
    if (key !== this.#looked && timeline.entries.length > 2 * KEPT) timeline.trim(KEPT);
  }
}

// Tabs of one browser: one connection, one outbox, one truth, whichever tab dies or freezes.

import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";
import { MemoryStore } from "../../web/sdk/store.js";
import { Tandem } from "../../web/sdk/tandem.js";
import { KEY, TO_ANN, fakeClock, loggedIn, settle } from "./support.mjs";
import { Server } from "./server.mjs";

/** What the browser does for its tabs: locks and channels, and freezing and closing of tabs. */
class Browser {
  tokens = loggedIn();
  store = new MemoryStore();
  tabs = [];
  #holder = null;
  #queue = [];

  constructor(server) {
    this.server = server;
  }

  async open({ frozen = false } = {}) {
    const tab = { isFrozen: false, isDead: false, channels: [], late: [] };
    this.tabs.push(tab);
    const locks = { request: (_, options, task) => this.#request(tab, options, task) };
    globalThis.BroadcastChannel = this.#channelOf(tab);
    Object.defineProperty(globalThis, "navigator", { value: { locks }, configurable: true });
    tab.client = new Tandem({
      ...{ base: "http://host", tokens: this.tokens, store: this.store, shared: true },
      ...{ fetch: this.server.http.fetch, WebSocket: this.#socketOf(tab), random: () => 0.5 },
    });
    await tab.client.start();
    tab.isFrozen = frozen;
    await turns();
    return tab;
  }

  /** Gone without a word. */
  close(tab) {
    tab.isDead = true;
    for (const socket of tab.sockets) socket.close();
    this.#queue = this.#queue.filter((wish) => wish.tab !== tab);
    if (this.#holder?.tab === tab) this.#release(this.#holder);
  }

  thaw(tab) {
    tab.isFrozen = false;
    for (const task of tab.late.splice(0)) task();
  }

  /** Runs a task of a tab as soon as that runs at all. */
  #run(tab, task) {
    if (tab.isDead) return;
    if (tab.isFrozen) tab.late.push(task);
    else queueMicrotask(() => (tab.isFrozen ? tab.late.push(task) : tab.isDead || task()));
  }

  #channelOf(tab) {
    const browser = this;
    return class {
      constructor() {
        tab.channels.push(this);
      }
      postMessage(data) {
        if (tab.isDead) return;
        const copy = structuredClone(data);
        for (const other of browser.tabs) {
          if (other === tab) continue;
          for (const channel of other.channels) {
            browser.#run(other, () => channel.onmessage?.({ data: copy }));
          }
        }
      }
      close() {
        tab.channels = tab.channels.filter((channel) => channel !== this);
      }
    };
  }

  #socketOf(tab) {
    const browser = this;
    tab.sockets = [];
    return class extends this.server.WebSocket {
      constructor(url) {
        super(url);
        tab.sockets.push(this);
      }
      give(frame) {
        browser.#run(tab, () => super.give(frame));
      }
    };
  }

  #request(tab, { steal, signal }, task) {
    return new Promise((resolve, reject) => {
      const abort = () => Object.assign(new Error("aborted"), { name: "AbortError" });
      const wish = { tab, task, resolve, lost: () => this.#run(tab, () => reject(abort())) };
      signal?.addEventListener("abort", () => {
        if (!this.#queue.includes(wish)) return;
        this.#queue = this.#queue.filter((one) => one !== wish);
        wish.lost();
      });
      if (steal) {
        this.#holder?.lost();
        this.#grant(wish);
      } else {
        this.#queue.push(wish);
        if (!this.#holder) this.#grant(this.#queue.shift());
      }
    });
  }

  #grant(wish) {
    this.#holder = wish;
    this.#run(wish.tab, async () => {
      const value = await wish.task({});
      wish.resolve(value);
      this.#release(wish);
    });
  }

  #release(wish) {
    if (this.#holder !== wish) return;
    this.#holder = null;
    if (this.#queue.length) this.#grant(this.#queue.shift());
  }
}

async function turns(count = 20) {
  for (let i = 0; i < count; i++) await settle();
}

async function pass(ms) {
  for (let left = ms; left > 0; left -= 500) {
    mock.timers.tick(Math.min(left, 500));
    await turns(4);
  }
}

const texts = ({ client }) => client.conversation(KEY)?.timeline.entries.map((one) => one.content);
const said = (server) => server.log(KEY).map(({ content }) => content);

const RealChannel = globalThis.BroadcastChannel;
const realNavigator = Object.getOwnPropertyDescriptor(globalThis, "navigator");
let server;
let browser;

beforeEach(() => {
  fakeClock();
  server = new Server();
  browser = new Browser(server);
});

afterEach(() => {
  for (const tab of browser.tabs) tab.client.stop();
  globalThis.BroadcastChannel = RealChannel;
  if (realNavigator) Object.defineProperty(globalThis, "navigator", realNavigator);
  else delete globalThis.navigator;
});

test("three_tabs_have_one_connection_and_the_same_messages", async () => {
  server.say(KEY, { content: "before" });
  const tabs = [await browser.open(), await browser.open(), await browser.open()];
  assert.deepEqual(tabs.map(({ client }) => client.state), ["online", "online", "online"]);
  assert.equal(server.sockets.size, 1);
  server.say(KEY, { content: "live" });
  await turns();
  for (const tab of tabs) {
    assert.deepEqual(texts(tab), ["live"]);
    assert.equal(tab.client.conversation(KEY).unread, 2);
    assert.equal(await tab.client.loadOlder(KEY), true);
    assert.deepEqual(texts(tab), ["before", "live"]);
  }
});

test("message_of_a_follower_is_in_every_tab_pending_and_then_acked", async () => {
  const [one, two] = [await browser.open(), await browser.open()];
  server.isSlow = true;
  two.client.send(TO_ANN, "from the second");
  await turns();
  for (const { client } of [one, two]) {
    assert.deepEqual(client.pending(KEY).map(({ state }) => state), ["sent"]);
  }
  server.isSlow = false;
  server.flush();
  await turns();
  for (const tab of [one, two]) {
    assert.deepEqual(tab.client.pending(), []);
    assert.deepEqual(texts(tab), ["from the second"]);
    assert.equal(tab.client.conversation(KEY).unread, 0);
  }
  assert.deepEqual(await browser.store.entries("tandem:10001:outbox:"), []);
});

test("two_tabs_that_send_at_once_send_everything_once_and_in_order", async () => {
  const tabs = [await browser.open(), await browser.open()];
  for (let i = 0; i < 40; i++) {
    for (const [n, { client }] of tabs.entries()) client.send(TO_ANN, `${n}-${i}`);
    if (i % 7 === 0) await turns(1);
  }
  await turns();
  assert.equal(said(server).length, 80);
  for (const n of [0, 1]) {
    const own = said(server).filter((text) => text.startsWith(`${n}-`));
    assert.deepEqual(own, Array.from({ length: 40 }, (_, i) => `${n}-${i}`));
  }
  for (const tab of tabs) assert.deepEqual(texts(tab), said(server));
});

test("leader_that_is_closed_is_followed_by_another_tab_with_all_it_had", async () => {
  const [one, two] = [await browser.open(), await browser.open()];
  server.say(KEY, { content: "a" });
  await turns();
  server.isSlow = true;
  one.client.send(TO_ANN, "b");
  await turns();
  two.client.send(TO_ANN, "c");
  await turns();
  browser.close(one);
  server.say(KEY, { content: "meanwhile" });
  server.isSlow = false;
  await pass(1000);
  assert.equal(two.client.state, "online");
  assert.equal(server.sockets.size, 1);
  assert.deepEqual(said(server), ["a", "meanwhile", "b", "c"]);
  assert.deepEqual(texts(two), said(server));
  assert.deepEqual(two.client.pending(), []);
});

test("frozen_leader_is_robbed_and_follows_when_it_thaws", async () => {
  const [one, two] = [await browser.open(), await browser.open()];
  server.say(KEY, { content: "a" });
  await turns();
  one.isFrozen = true;
  two.client.send(TO_ANN, "b");
  const page = two.client.loadOlder(KEY, { complete: false, low: 1, prepend() {} });
  await pass(3000);
  assert.deepEqual(said(server), ["a"], "waits for the leader first");
  await pass(3000);
  assert.equal(await page, false, "a question to the frozen one is not answered");
  assert.equal(two.client.state, "online");
  assert.deepEqual(said(server), ["a", "b"]);
  browser.thaw(one);
  await pass(1000);
  assert.equal(one.client.state, "online");
  assert.equal(server.sockets.size, 1);
  server.say(KEY, { content: "c" });
  one.client.send(TO_ANN, "d");
  await pass(500);
  for (const tab of [one, two]) {
    assert.deepEqual(texts(tab), ["a", "b", "c", "d"]);
    assert.deepEqual(tab.client.pending(), []);
  }
});

test("idle_follower_finds_out_that_the_leader_is_frozen", async () => {
  const [one, two] = [await browser.open(), await browser.open()];
  one.isFrozen = true;
  await pass(30_000);
  server.say(KEY, { content: "news" });
  await turns();
  assert.deepEqual(texts(two), ["news"]);
});

test("leader_that_answers_is_never_robbed", async () => {
  const [one] = [await browser.open(), await browser.open()];
  const [socket] = one.sockets;
  await pass(120_000);
  assert.equal(one.sockets.length, 1);
  assert.ok(server.sockets.has(socket));
});

test("connection_that_is_lost_comes_back_for_every_tab_with_what_was_missed", async () => {
  const tabs = [await browser.open(), await browser.open()];
  server.say(KEY, { content: "a" });
  await turns();
  server.cut();
  await turns();
  for (const { client } of tabs) assert.equal(client.state, "waiting");
  server.say(KEY, { content: "b" });
  tabs[1].client.retryNow();
  await pass(500);
  for (const tab of tabs) {
    assert.equal(tab.client.state, "online");
    assert.deepEqual(texts(tab), ["a", "b"]);
  }
});

test("reading_in_one_tab_is_reading_in_all", async () => {
  const tabs = [await browser.open(), await browser.open()];
  server.say(KEY, { content: "a" });
  await turns();
  tabs[1].client.markRead(KEY);
  await pass(500);
  for (const { client } of tabs) assert.equal(client.conversation(KEY).unread, 0);
  assert.equal(server.read.get(KEY), 1);
});

test("tab_that_opens_while_something_is_under_way_does_not_keep_what_was_acked", async () => {
  const one = await browser.open();
  server.isSlow = true;
  one.client.send(TO_ANN, "a");
  await turns();
  const slowStore = browser.store.entries.bind(browser.store);
  browser.store.entries = async (prefix) => {
    const found = await slowStore(prefix);
    server.isSlow = false;
    server.flush();
    await turns();
    return found; // older than the ack
  };
  const two = await browser.open();
  browser.store.entries = slowStore;
  await pass(500);
  assert.deepEqual(two.client.pending(), []);
  assert.deepEqual(said(server), ["a"]);
});

test("refusal_is_seen_in_every_tab_and_discarding_it_too", async () => {
  const tabs = [await browser.open(), await browser.open()];
  server.refuse = () => ({ code: 403, reason: "blocked", detail: "" });
  const cid = tabs[1].client.send(TO_ANN, "a");
  await turns();
  for (const { client } of tabs) assert.equal(client.pending(KEY)[0].reason, "blocked");
  server.refuse = () => null;
  tabs[0].client.resend(cid);
  await turns();
  for (const tab of tabs) assert.deepEqual(texts(tab), ["a"]);
  server.refuse = () => ({ code: 403, reason: "blocked", detail: "" });
  const other = tabs[0].client.send(TO_ANN, "b");
  await turns();
  tabs[1].client.discard(other);
  await turns();
  for (const { client } of tabs) assert.deepEqual(client.pending(), []);
  assert.deepEqual(await browser.store.entries("tandem:10001:outbox:"), []);
});

test("place_given_up_to_another_device_is_not_taken_back_by_a_new_leader", async () => {
  const [one, two] = [await browser.open(), await browser.open()];
  server.cut(4409);
  await turns();
  assert.deepEqual([one, two].map(({ client }) => client.state), ["replaced", "replaced"]);
  browser.close(one);
  await pass(60_000);
  assert.equal(two.client.state, "replaced");
  assert.equal(server.sockets.size, 0);
  two.client.takeOver();
  await turns();
  assert.equal(two.client.state, "online");
});

test("logout_in_one_tab_ends_all_and_forgets_what_was_kept", async () => {
  const tabs = [await browser.open(), await browser.open()];
  server.say(KEY, { content: "a" });
  await pass(2000);
  assert.ok((await browser.store.entries("tandem:10001:")).length);
  const ended = tabs.map(({ client }) => new Promise((done) => client.on("ended", done)));
  await tabs[1].client.logout();
  assert.deepEqual(await Promise.all(ended), [{ wished: true }, { wished: true }]);
  await pass(2000);
  assert.equal(server.sockets.size, 0);
  assert.deepEqual(await browser.store.entries("tandem:10001:"), []);
  assert.equal(browser.tokens.items.size, 0);
});

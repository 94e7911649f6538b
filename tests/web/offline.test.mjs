// What is kept in the store: shown before there is a connection, and right after there was one.

import assert from "node:assert/strict";
import { beforeEach, mock, test } from "node:test";
import { MemoryStore } from "../../web/sdk/store.js";
import {
  ANN, KEY, Socket, TO_ANN, answerPage, answerSync, fakeClock, http, newClient, online, row,
  settle, shown, text,
} from "./support.mjs";

let store;

beforeEach(() => {
  fakeClock();
  store = new MemoryStore();
});

const conversationWith = (dstid, seq) =>
  row(seq, { dstid, name: `user ${dstid}`, last: text(seq, { userid: dstid }) });

/** A client that had `count` messages of Ann's when it was closed. */
async function before(count) {
  const { client, socket } = await online([row(0, { last: undefined })], { store });
  for (let seq = 1; seq <= count; seq++) {
    socket.receive(text(seq));
    mock.timers.tick(1000);
    await settle();
  }
  client.stop();
}

test("last_conversations_are_there_without_a_connection", async () => {
  await before(3);
  const away = { fetch: async () => Promise.reject(new TypeError("no network")) };
  const client = newClient({ store, ...away });
  await client.start();
  await settle();
  assert.equal(client.state, "waiting");
  assert.equal(client.synced, false);
  const { name, unread, last } = client.conversation(KEY);
  assert.deepEqual([name, unread, last.content], ["Ann", 3, "m3"]);
  assert.deepEqual(shown(client), [1, 2, 3]);
});

test("stored_entries_are_brought_up_to_date_by_the_gap", async () => {
  await before(3);
  const client = newClient({ store });
  await client.start();
  const socket = await answerSync([row(5, { unread: 5 })]);
  assert.equal(socket.of(31)[0].after, 3);
  const edit = { ...text(5), cmd: 15, chat: 10, ref: 5002, content: "changed" };
  await answerPage(socket, [text(4), edit]);
  assert.deepEqual(shown(client), [1, 2, 3, 4, 5]);
  assert.equal(client.conversation(KEY).timeline.entries[1].content, "changed");
  assert.equal(client.conversation(KEY).unread, 5);
});

test("stored_entries_that_are_far_behind_are_dropped", async () => {
  await before(3);
  const client = newClient({ store });
  await client.start();
  const socket = await answerSync([row(1004, { unread: 9 })]);
  assert.equal(socket.of(31).length, 0);
  assert.deepEqual(shown(client), []);
  client.loadOlder(KEY);
  assert.equal(socket.of(31)[0].before, 1005);
});

test("fifty_entries_of_thirty_conversations_are_kept", async () => {
  const rows = Array.from({ length: 40 }, (_, i) => conversationWith(20_000 + i, 0));
  const { client, socket } = await online(rows, { store });
  for (let i = 0; i < 40; i++) {
    const userid = 20_000 + i;
    for (let seq = 1; seq <= 60; seq++) socket.receive(text(seq, { userid, ts: 1000 * i + seq }));
  }
  mock.timers.tick(1000);
  await settle();
  const logs = await store.entries("tandem:10001:log:");
  assert.equal(logs.length, 30);
  for (const [, { low, high, complete, entries }] of logs) {
    assert.deepEqual([low, high, complete, entries.length], [11, 60, false, 50]);
  }
  assert.ok(logs.some(([key]) => key.endsWith("10/20039")), "the newest ones");
  assert.ok(!logs.some(([key]) => key.endsWith("10/20000")), "not the oldest");
  socket.receive(text(61, { userid: 20_000, ts: 10 ** 6 }));
  mock.timers.tick(1000);
  await settle();
  const later = await store.entries("tandem:10001:log:");
  assert.equal(later.length, 30);
  assert.ok(later.some(([key]) => key.endsWith("10/20000")));
  client.stop();
});

test("many_changes_are_written_once_a_second", async () => {
  let writes = 0;
  const set = store.set.bind(store);
  store.set = (key, value) => {
    if (key.endsWith(":inbox")) writes++;
    return set(key, value);
  };
  const { socket } = await online([row(0, { last: undefined })], { store });
  mock.timers.tick(1000);
  writes = 0;
  for (let seq = 1; seq <= 40; seq++) {
    socket.receive(text(seq));
    mock.timers.tick(50);
  }
  assert.equal(writes, 2);
});

test("logout_forgets_all_that_was_kept_of_this_user_only", async () => {
  await before(2);
  await store.set("tandem:10009:inbox", []);
  const { fetch } = http({ "POST /api/logout": {} });
  const { client } = await online([row(2)], { store, fetch });
  client.send(TO_ANN, "not acked");
  await client.logout();
  await settle();
  mock.timers.tick(5000);
  await settle();
  assert.deepEqual((await store.entries("")).map(([key]) => key), ["tandem:10009:inbox"]);
  assert.deepEqual([client.user, client.conversations.length], [null, 0]);
});

test("refused_message_is_still_refused_after_a_reload", async () => {
  const { client, socket } = await online([row(2)], { store });
  const cid = client.send(TO_ANN, "no");
  socket.receive({ cmd: 2, code: 403, reason: "not-allowed", detail: "", cid });
  client.stop();
  const { client: later, socket: next } = await online([row(2)], { store });
  const [{ state, reason }] = later.pending(KEY);
  assert.deepEqual([state, reason], ["failed", "not-allowed"]);
  assert.equal(next.of(10).length, 0);
});

test("message_said_before_the_list_was_ever_read_is_sent", async () => {
  const client = newClient({ store });
  client.send({ chat: 10, dstid: ANN }, { media: 4, url: "https://example.org/a.png" });
  await client.start();
  await settle();
  assert.equal(Socket.all.length, 1);
  const socket = await answerSync();
  const [{ media, url }] = socket.of(10);
  assert.deepEqual([media, url], [4, "https://example.org/a.png"]);
});

// Receipts, typing, presence, and what is counted as unread.

import assert from "node:assert/strict";
import { beforeEach, mock, test } from "node:test";
import {
  ANN, KEY, ME, TO_ANN, ack, answer, answerPage, answerSync, fakeClock, http, online, row, settle,
  text,
} from "./support.mjs";

beforeEach(fakeClock);

const BEN = 10003;
const GROUP = 20000;
const group = (seq, more) => row(seq, { chat: 11, dstid: GROUP, last: undefined, ...more });
const inGroup = (seq, more) => text(seq, { cmd: 11, dstid: GROUP, ...more });
const receipts = (socket) => socket.of(12).map(({ dstid, seq, state }) => [dstid, seq, state]);

test("read_is_told_once_for_all_that_was_read_within_a_moment", async () => {
  const { client, socket } = await online([row(4, { read: 4 })]);
  for (const seq of [5, 6, 7]) {
    socket.receive(text(seq));
    client.markRead(KEY);
  }
  const { unread, read } = client.conversation(KEY);
  assert.deepEqual([unread, read], [0, 7]);
  mock.timers.tick(199);
  assert.deepEqual(receipts(socket), []);
  mock.timers.tick(1);
  assert.deepEqual(receipts(socket), [[ANN, 7, "read"]]);
  client.markRead(KEY);
  mock.timers.tick(1000);
  assert.equal(socket.of(12).length, 1);
});

test("what_comes_in_is_told_as_delivered_and_one_s_own_is_not", async () => {
  const { socket } = await online([row(4, { read: 4 })]);
  socket.receive(text(5));
  socket.receive(text(6));
  socket.receive(text(7, { userid: ME, dstid: BEN }));
  mock.timers.tick(200);
  assert.deepEqual(receipts(socket), [[ANN, 6, "delivered"]]);
});

test("what_was_missed_is_told_as_delivered_after_the_sync", async () => {
  const { client, socket } = await online([row(4, { unread: 2 })]);
  mock.timers.tick(200);
  assert.deepEqual(receipts(socket), [[ANN, 4, "delivered"]]);
  socket.onclose({ code: 1006 });
  client.retryNow();
  const next = await answerSync([row(6, { unread: 4 })]);
  mock.timers.tick(200);
  assert.deepEqual(receipts(next), [[ANN, 6, "delivered"]]);
});

test("reading_while_offline_is_told_after_the_sync_and_counts_until_then", async () => {
  const { client, socket } = await online([row(4, { read: 1, unread: 3 })]);
  socket.receive(text(5));
  socket.onclose({ code: 1006 });
  client.markRead(KEY);
  mock.timers.tick(500);
  client.retryNow();
  const next = await answerSync([row(5, { read: 1, unread: 4 })]);
  assert.equal(client.conversation(KEY).unread, 0);
  mock.timers.tick(200);
  assert.deepEqual(receipts(next), [[ANN, 5, "read"]]);
});

test("reading_on_another_device_leaves_what_came_later", async () => {
  const { client, socket } = await online([row(4, { read: 4 })]);
  for (const seq of [5, 6, 7]) socket.receive(text(seq));
  assert.equal(client.conversation(KEY).unread, 3);
  socket.receive({ cmd: 23, chat: 10, dstid: ANN, seq: 6 });
  assert.equal(client.conversation(KEY).unread, 1);
  socket.receive({ cmd: 23, chat: 10, dstid: ANN, seq: 7 });
  assert.equal(client.conversation(KEY).unread, 0);
  mock.timers.tick(200);
  assert.deepEqual(receipts(socket), [], "the server knows");
});

test("own_message_reads_everything", async () => {
  const { client, socket } = await online([row(4, { read: 1, unread: 3, mentioned: true })]);
  socket.receive(ack(client.send(TO_ANN, "I saw it"), 5));
  const { unread, mentioned, read } = client.conversation(KEY);
  assert.deepEqual([unread, mentioned, read], [0, false, 5]);
  mock.timers.tick(200);
  assert.deepEqual(receipts(socket), [[ANN, 5, "read"]]);
  socket.receive(ack(client.send(TO_ANN, "more"), 6));
  mock.timers.tick(200);
  assert.equal(socket.of(12).length, 1, "where nothing was unread nothing is told");
});

test("mention_of_oneself_or_of_everybody_is_marked_until_read", async () => {
  const key = `11/${GROUP}`;
  const { client, socket } = await online([group(4, { read: 4 })]);
  const { mentioned } = client.conversation(key);
  socket.receive(inGroup(5, { at: [BEN] }));
  assert.equal(client.conversation(key).mentioned, false);
  socket.receive(inGroup(6, { at: [BEN, ME] }));
  assert.equal(client.conversation(key).mentioned, true);
  client.markRead(key);
  assert.equal(client.conversation(key).mentioned, false);
  socket.receive(inGroup(7, { at: [0] }));
  assert.equal(client.conversation(key).mentioned, true);
  assert.equal(mentioned, false);
});

test("recall_of_an_unread_message_takes_it_off", async () => {
  const { client, socket } = await online([row(4, { read: 4 })]);
  socket.receive(text(5));
  socket.receive(text(6));
  const recall = (seq, ref) => ({ ...text(seq), cmd: 14, chat: 10, ref, content: undefined });
  socket.receive(recall(7, 5005));
  assert.equal(client.conversation(KEY).unread, 1);
  socket.receive(recall(8, 5005));
  assert.equal(client.conversation(KEY).unread, 1, "once");
  client.markRead(KEY);
  socket.receive(text(9));
  socket.receive(recall(10, 5006));
  assert.equal(client.conversation(KEY).unread, 1, "it was read");
});

test("recall_of_what_is_not_here_has_the_server_count", async () => {
  const { client, socket } = await online([row(4, { read: 0, unread: 4 })]);
  socket.receive({ ...text(5), cmd: 14, chat: 10, ref: 5002, content: undefined });
  mock.timers.tick(200);
  const { rid } = socket.of(30)[1];
  const conversations = [row(5, { read: 0, unread: 3 })];
  socket.receive({ cmd: 30, rid, conversations, more: false });
  await settle();
  assert.equal(client.conversation(KEY).unread, 3);
});

test("archived_conversation_comes_back_with_a_message_unless_muted", async () => {
  const muted = row(4, { chat: 10, dstid: BEN, archived: true, muted: true });
  const { client, socket } = await online([row(4, { archived: true }), muted]);
  socket.receive(text(5));
  socket.receive(text(5, { userid: BEN }));
  assert.equal(client.conversation(KEY).archived, false);
  assert.equal(client.conversation(`10/${BEN}`).archived, true);
});

test("settings_from_another_device_are_taken_over_and_pinned_ones_come_first", async () => {
  const { client, socket } = await online([row(9), row(4, { dstid: BEN, last: text(4) })]);
  const order = () => client.conversations.map(({ dstid }) => dstid);
  assert.deepEqual(order(), [ANN, BEN]);
  const set = { pinned: true, muted: true, archived: false, draft: "half" };
  socket.receive({ cmd: 24, chat: 10, dstid: BEN, ...set });
  assert.deepEqual(order(), [BEN, ANN]);
  const { pinned, muted, draft } = client.conversation(`10/${BEN}`);
  assert.deepEqual([pinned, muted, draft], [true, true, "half"]);
});

test("pointers_of_others_only_move_forward_and_reading_is_getting", async () => {
  const { client, socket } = await online([row(9)]);
  const frame = { cmd: 12, chat: 10, dstid: ME, userid: ANN };
  const tell = (state, seq) => socket.receive({ ...frame, state, seq });
  const pointers = () => client.conversation(KEY).receipts.get(ANN);
  tell("delivered", 7);
  assert.deepEqual(pointers(), { delivered: 7, read: 0 });
  tell("read", 8);
  assert.deepEqual(pointers(), { delivered: 8, read: 8 });
  tell("read", 5);
  tell("delivered", 6);
  assert.deepEqual(pointers(), { delivered: 8, read: 8 });
});

test("others_type_until_they_stop_or_say_it_or_are_not_heard_of", async () => {
  const { client, socket } = await online([row(4)]);
  const type = (state) => socket.receive({ cmd: 13, chat: 10, dstid: ME, userid: ANN, state });
  const typing = () => [...client.conversation(KEY).typing];
  type("composing");
  assert.deepEqual(typing(), [ANN]);
  type("paused");
  assert.deepEqual(typing(), []);
  type("composing");
  socket.receive(text(5));
  assert.deepEqual(typing(), []);
  type("composing");
  mock.timers.tick(7000);
  type("composing");
  mock.timers.tick(7000);
  assert.deepEqual(typing(), [ANN]);
  mock.timers.tick(1000);
  assert.deepEqual(typing(), []);
});

test("typing_is_said_every_four_seconds_at_most_and_stopping_only_after_it", async () => {
  const { client, socket } = await online([row(4)]);
  const states = () => socket.of(13).map(({ state }) => state);
  client.typing(TO_ANN, false);
  assert.deepEqual(states(), []);
  for (let i = 0; i < 9; i++) {
    client.typing(TO_ANN);
    mock.timers.tick(500);
  }
  assert.deepEqual(states(), ["composing", "composing"]);
  client.typing(TO_ANN, false);
  client.typing(TO_ANN, false);
  assert.deepEqual(states(), ["composing", "composing", "paused"]);
  client.typing(TO_ANN);
  client.send(TO_ANN, "said");
  client.typing(TO_ANN);
  assert.deepEqual(states().slice(3), ["composing", "composing"], "a message ends it");
});

test("typing_without_a_connection_is_forgotten", async () => {
  const { client, socket } = await online([row(4)]);
  socket.onclose({ code: 1006 });
  client.typing(TO_ANN);
  client.retryNow();
  const next = await answerSync([row(4)]);
  mock.timers.tick(10_000);
  assert.equal(next.of(13).length, 0);
});

test("presence_is_said_again_on_each_connection", async () => {
  const { client, socket } = await online();
  client.setPresence("dnd", "in a meeting");
  assert.deepEqual(socket.of(20), [{ cmd: 20, state: "dnd", memo: "in a meeting" }]);
  socket.onclose({ code: 1006 });
  client.retryNow();
  const next = await answerSync();
  assert.deepEqual(next.of(20), socket.of(20));
});

test("presence_contacts_and_groups_are_told_as_they_come", async () => {
  const { client, socket } = await online();
  const told = [];
  for (const type of ["presence", "contact", "group"]) {
    client.on(type, (detail) => told.push([type, detail]));
  }
  socket.receive({ cmd: 20, userid: ANN, state: "away", memo: "tea" });
  socket.receive({ cmd: 21, event: "request", userid: ANN });
  socket.receive({ cmd: 22, event: "changed", dstid: GROUP, userid: ANN });
  assert.deepEqual(told, [
    ["presence", { userid: ANN, state: "away", memo: "tea" }],
    ["contact", { event: "request", userid: ANN }],
    ["group", { event: "changed", dstid: GROUP, userid: ANN }],
  ]);
});

test("names_are_one_s_own_then_the_nickname_then_the_username_then_the_id", async () => {
  const contacts = [{ id: BEN, memo: "Benny" }, { id: ANN, memo: "" }];
  const { calls, fetch } = http({
    "GET /api/contacts": { contacts, more: false },
    [`GET /api/users/${ANN}`]: { id: ANN, username: "ann", nickname: "Ann of Verona" },
    "GET /api/users/7": { id: 7, username: "seven", nickname: "" },
  });
  const { client } = await online([], { fetch });
  await settle();
  assert.deepEqual([ANN, BEN, 7, 8].map((id) => client.nameOf(id)), [`${ANN}`, "Benny", "7", "8"]);
  await settle();
  await settle();
  const names = [ANN, BEN, 7, 8].map((id) => client.nameOf(id));
  assert.deepEqual(names, ["Ann of Verona", "Benny", "seven", "8"]);
  assert.equal(client.person(ANN).nickname, "Ann of Verona");
  const asked = () => calls.filter(({ name }) => name === `GET /api/users/${ANN}`).length;
  assert.equal(asked(), 1);
  client.forget(ANN);
  client.person(ANN);
  await settle();
  assert.equal(asked(), 2);
  contacts[0].memo = "Big Ben"; // set by oneself, elsewhere in the page
  client.forget(BEN);
  await settle();
  assert.equal(client.nameOf(BEN), "Big Ben");
});

test("user_who_could_not_be_asked_for_is_asked_for_again_and_nobody_is_not", async () => {
  let isAway = true;
  const away = () => (isAway ? answer(503, {}) : answer(200, { id: ANN, username: "ann" }));
  const { calls, fetch } = http({ [`GET /api/users/${ANN}`]: away });
  const { client } = await online([], { fetch });
  for (const id of [ANN, 8]) client.person(id);
  await settle();
  isAway = false;
  for (const id of [ANN, 8]) client.person(id);
  await settle();
  assert.equal(client.person(ANN).username, "ann");
  assert.equal(calls.filter(({ name }) => name === "GET /api/users/8").length, 1);
});

test("live_timeline_that_is_not_looked_at_is_trimmed_and_read_again", async () => {
  const empty = { last: undefined };
  const { client, socket } = await online([row(0, empty), row(0, { ...empty, dstid: BEN })]);
  client.open(10, ANN);
  for (let seq = 1; seq <= 500; seq++) socket.receive(text(seq));
  const { timeline } = client.conversation(KEY);
  assert.equal(timeline.entries.length, 500);
  client.open(10, BEN);
  assert.deepEqual([timeline.entries.length, timeline.low, timeline.complete], [200, 301, false]);
  const older = client.loadOlder(KEY);
  assert.equal(socket.of(31)[0].before, 301);
  await answerPage(socket, Array.from({ length: 50 }, (_, i) => text(251 + i)), true);
  assert.equal(await older, true);
  assert.equal(timeline.low, 251);
});

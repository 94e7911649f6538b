// Parts of logs: gaps, windows, and what becomes of them when much was missed.

import assert from "node:assert/strict";
import { beforeEach, mock, test } from "node:test";
import { Timeline } from "../../web/sdk/timeline.js";
import {
  ANN, KEY, Socket, TO_ANN, ack, answerPage, answerSync, fakeClock, online, row, settle, shown,
  text,
} from "./support.mjs";

beforeEach(fakeClock);

const run = (low, high) => Array.from({ length: high - low + 1 }, (_, i) => text(low + i));

/** Lost and found again. */
async function reconnect(client, socket, rows) {
  socket.onclose({ code: 1006 });
  client.retryNow();
  return answerSync(rows);
}

test("acked_message_behind_a_hole_stays_pending_until_it_is_shown", async () => {
  const { client, socket } = await online([row(4)]);
  socket.receive(ack(client.send(TO_ANN, "mine"), 6));
  assert.deepEqual([shown(client), client.pending().length], [[], 1]);
  await answerPage(socket, [text(5)]);
  assert.deepEqual([shown(client), client.pending().length], [[5, 6], 0]);
  assert.equal(socket.of(10).length, 1);
});

test("acked_message_is_not_pending_when_its_part_of_the_log_is_dropped", async () => {
  const { client, socket } = await online([row(4)]);
  socket.receive(ack(client.send(TO_ANN, "mine"), 6));
  const next = await reconnect(client, socket, [row(2000)]);
  assert.deepEqual([shown(client), client.pending()], [[], []]);
  assert.equal(next.of(10).length, 0);
});

test("window_of_a_log_of_which_much_was_missed_is_read_anew", async () => {
  const { client, socket } = await online([row(400)]);
  const jump = client.around(KEY, 100);
  assert.equal(socket.of(31)[0].before, 125);
  await answerPage(socket, run(75, 124), true);
  const window = await jump;
  assert.deepEqual([window.live, window.low, window.high], [false, 75, 124]);
  const next = await reconnect(client, socket, [row(2000)]);
  assert.deepEqual([window.entries.length, window.complete], [0, false]);
  client.loadOlder(KEY, window);
  assert.equal(next.of(31)[0].before, 125);
});

test("window_that_reaches_the_end_takes_the_live_timeline_s_place", async () => {
  const { client, socket } = await online([row(160)]);
  const jump = client.around(KEY, 100);
  await answerPage(socket, run(75, 124), true);
  const window = await jump;
  const first = client.conversation(KEY).timeline;
  const newer = client.loadNewer(KEY, window);
  assert.equal(socket.of(31)[1].after, 124);
  socket.receive(text(161));
  await answerPage(socket, run(125, 162));
  assert.equal(await newer, true);
  assert.equal(client.conversation(KEY).timeline, window);
  assert.deepEqual([window.live, first.live, window.high], [true, false, 162]);
  assert.equal(client.conversation(KEY).unread, 2);
  socket.receive(text(163));
  assert.equal(shown(client).at(-1), 163);
});

test("place_that_the_live_timeline_has_is_found_there", async () => {
  const { client, socket } = await online([row(0, { last: undefined })]);
  for (const entry of run(1, 9)) socket.receive(entry);
  assert.equal(await client.around(KEY, 5), client.conversation(KEY).timeline);
  assert.equal(socket.of(31).length, 0);
});

test("place_close_to_the_live_timeline_is_joined_to_it", async () => {
  const { client, socket } = await online([row(60)]);
  socket.receive(text(61));
  const jump = client.around(KEY, 50);
  await answerPage(socket, run(25, 61), true);
  const { timeline } = client.conversation(KEY);
  assert.equal(await jump, timeline);
  assert.deepEqual([timeline.low, timeline.high], [25, 61]);
});

test("place_that_is_not_there_is_refused", async () => {
  const { client, socket } = await online([row(60)]);
  const told = { code: 404, reason: "no-such-message" };
  const refused = assert.rejects(client.around(KEY, 100), told);
  await answerPage(socket, run(11, 60), true);
  await refused;
});

test("refused_sync_of_a_conversation_is_tried_again", async () => {
  const { client, socket } = await online([row(4)]);
  socket.receive(text(5));
  const next = await reconnect(client, socket, [row(7)]);
  const [{ rid }] = next.of(31);
  next.receive({ cmd: 2, code: 503, reason: "storage-away", detail: "", rid });
  await settle();
  mock.timers.tick(3000);
  await answerPage(next, [text(6), text(7)]);
  assert.deepEqual(shown(client), [5, 6, 7]);
});

test("conversation_that_was_known_from_its_beginning_stays_whole", async () => {
  const { client, socket } = await online([row(0, { last: undefined })]);
  const next = await reconnect(client, socket, [row(3)]);
  await answerPage(next, run(1, 3));
  const { complete } = client.conversation(KEY).timeline;
  assert.deepEqual([shown(client), complete], [[1, 2, 3], true]);
});

test("list_in_several_pages_is_read_to_its_end_and_groups_that_are_gone_go", async () => {
  const group = row(1, { chat: 11, dstid: 20000 });
  const { client, socket } = await online([row(4), group]);
  socket.onclose({ code: 1006 });
  client.retryNow();
  await settle();
  const next = Socket.last;
  next.onopen();
  const page = (conversations, more) => ({ cmd: 30, conversations, ...more });
  next.receive({ ...page([row(4)], { more: true, next: "9.x" }), rid: next.of(30)[0].rid });
  await settle();
  assert.equal(next.of(30)[1].before, "9.x");
  assert.equal(client.conversations.length, 2);
  next.receive({ ...page([row(1, { dstid: 7 })], { more: false }), rid: next.of(30)[1].rid });
  await settle();
  assert.deepEqual(client.conversations.map(({ dstid }) => dstid), [ANN, 7]);
  assert.equal(client.state, "online");
});

test("page_that_does_not_follow_any_more_is_left_out", () => {
  const timeline = new Timeline();
  for (const entry of run(1, 300)) timeline.add(entry);
  timeline.trim(100);
  timeline.prepend(run(1, 50), false);
  assert.deepEqual([timeline.low, timeline.complete, timeline.entries.length], [201, false, 100]);
});

test("changed_message_is_another_object_and_the_others_are_the_same", async () => {
  const { client, socket } = await online([row(0, { last: undefined })]);
  for (const entry of run(1, 3)) socket.receive(entry);
  const before = [...client.conversation(KEY).timeline.entries];
  socket.receive({ ...text(4), cmd: 16, chat: 10, ref: 5002, content: "👍" });
  const after = client.conversation(KEY).timeline.entries;
  assert.deepEqual([0, 1, 2].map((place) => before[place] === after[place]), [true, false, true]);
  assert.deepEqual(after[1].reactions, { "👍": [ANN] });
});

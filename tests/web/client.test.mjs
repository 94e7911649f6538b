// What one client does on one connection: `node --test tests/web/`.

import assert from "node:assert/strict";
import { beforeEach, mock, test } from "node:test";
import { MemoryStore } from "../../web/sdk/store.js";
import { cleanText } from "../../web/sdk/tandem.js";
import {
  ANN, KEY, ME, Socket, TO_ANN, ack, answer, answerPage, answerSync, fakeClock, http, loggedIn,
  newClient, online, row, settle, shown, text,
} from "./support.mjs";

beforeEach(fakeClock);

test("connect_with_ticket_opens_chat_of_own_id", async () => {
  const { socket } = await online();
  assert.equal(socket.url, "ws://host:1/chat?id=10001&token=t1");
});

test("outbox_before_connection_is_sent_in_order_after_sync", async () => {
  const client = newClient();
  const cids = ["a", "b", "c"].map((content) => client.send(TO_ANN, content));
  await client.start();
  const socket = await answerSync();
  assert.deepEqual(socket.of(10).map((frame) => frame.cid), cids);
  assert.deepEqual(socket.of(10)[0], { cmd: 10, dstid: ANN, content: "a", cid: cids[0] });
});

test("outbox_with_many_has_at_most_32_unanswered", async () => {
  const { client, socket } = await online();
  const cids = Array.from({ length: 40 }, (_, i) => client.send(TO_ANN, `${i}`));
  assert.equal(socket.of(10).length, 32);
  socket.receive(ack(cids[0], 1));
  assert.equal(socket.of(10).length, 33);
  assert.equal(socket.of(10)[32].cid, cids[32]);
});

test("connection_lost_with_unacked_sends_resends_the_same_cids_in_order", async () => {
  const { calls, fetch } = http();
  const { client, socket } = await online([], { fetch });
  const cids = ["a", "b", "c"].map((content) => client.send(TO_ANN, content));
  socket.receive(ack(cids[0], 1));
  socket.onclose({ code: 1006 });
  assert.equal(client.state, "waiting");
  assert.deepEqual(client.pending().map((item) => item.state), ["queued", "queued"]);
  mock.timers.tick(30_000);
  const next = await answerSync([row(1)]);
  assert.notEqual(next, socket);
  assert.deepEqual(next.of(10).map((frame) => frame.cid), cids.slice(1));
  assert.equal(calls.filter(({ name }) => name === "POST /api/ticket").length, 2);
});

test("outbox_after_reload_is_taken_over_and_sent", async () => {
  const store = new MemoryStore();
  const cid = newClient({ store }).send(TO_ANN, "still here");
  const { client, socket } = await online([], { store });
  assert.deepEqual(socket.of(10).map((frame) => frame.cid), [cid]);
  socket.receive(ack(cid, 1));
  assert.equal(client.pending().length, 0);
  assert.deepEqual(await store.entries("tandem:10001:outbox:"), []);
});

test("ack_of_own_message_moves_it_from_outbox_to_timeline", async () => {
  const { client, socket } = await online([row(4)]);
  const cid = client.send(TO_ANN, "hello");
  socket.receive(ack(cid, 5));
  assert.equal(client.pending().length, 0);
  const [entry] = client.conversation(KEY).timeline.entries;
  assert.deepEqual([entry.seq, entry.content, entry.userid, entry.cid], [5, "hello", ME, cid]);
});

test("storage_away_for_a_send_retries_it_before_later_ones", async () => {
  const { client, socket } = await online();
  const [one, two, three] = ["1", "2", "3"].map((content) => client.send(TO_ANN, content));
  socket.receive({ cmd: 2, code: 503, reason: "storage-away", detail: "", cid: one });
  const four = client.send(TO_ANN, "4");
  socket.receive({ cmd: 2, code: 503, reason: "storage-away", detail: "", cid: two });
  mock.timers.tick(20_000);
  assert.equal(socket.of(10).length, 3, "waits until the third has an answer");
  socket.receive({ cmd: 2, code: 503, reason: "storage-away", detail: "", cid: three });
  const again = socket.of(10).slice(3).map((frame) => frame.cid);
  assert.deepEqual(again, [one, two, three, four]);
});

test("slow_down_for_a_send_waits_at_least_retry_after", async () => {
  const { client, socket } = await online();
  const cid = client.send(TO_ANN, "x");
  socket.receive({ cmd: 2, code: 429, reason: "slow-down", detail: "", cid, retry_after: 3 });
  mock.timers.tick(2999);
  assert.equal(socket.of(10).length, 1);
  mock.timers.tick(2000);
  assert.deepEqual(socket.of(10).map((frame) => frame.cid), [cid, cid]);
});

test("refused_send_is_marked_failed_and_can_be_sent_again", async () => {
  const { client, socket } = await online();
  const cid = client.send(TO_ANN, "x");
  const next = client.send(TO_ANN, "y");
  socket.receive({ cmd: 2, code: 403, reason: "blocked", detail: "", cid });
  const { state, reason } = client.pending().find((item) => item.cid === cid);
  assert.deepEqual([state, reason], ["failed", "blocked"]);
  socket.receive(ack(next, 1));
  client.resend(cid);
  assert.deepEqual(socket.of(10).map((frame) => frame.cid), [cid, next, cid]);
});

test("cid_reused_when_sent_again_gets_a_new_cid", async () => {
  const { client, socket } = await online();
  const cid = client.send(TO_ANN, "x");
  socket.receive({ cmd: 2, code: 409, reason: "cid-reused", detail: "", cid });
  client.resend(cid);
  assert.notEqual(socket.of(10)[1].cid, cid);
});

test("live_message_behind_a_hole_fetches_what_is_missing", async () => {
  const { client, socket } = await online([row(4)]);
  socket.receive(text(7));
  const [query] = socket.of(31);
  assert.deepEqual([query.chat, query.dstid, query.after], [10, ANN, 4]);
  assert.deepEqual(shown(client), []);
  socket.receive({ cmd: 31, rid: query.rid, messages: [text(5), text(6), text(7)], more: false });
  await settle();
  assert.deepEqual(shown(client), [5, 6, 7]);
  assert.equal(client.conversation(KEY).unread, 3);
  assert.equal(socket.of(31).length, 1);
});

test("void_entry_closes_its_hole", async () => {
  const { client, socket } = await online([row(4)]);
  socket.receive({ cmd: 9, chat: 10, dstid: ANN, seq: 5 });
  socket.receive(text(6));
  assert.deepEqual(shown(client), [5, 6]);
  assert.equal(socket.of(31).length, 0);
  assert.equal(client.conversation(KEY).unread, 1);
});

test("hole_that_stays_is_given_up_after_ten_seconds", async () => {
  const { client, socket } = await online([row(4)]);
  socket.receive(text(6));
  for (let tries = 0; tries < 4; tries++) {
    socket.receive({ cmd: 31, rid: socket.of(31).at(-1).rid, messages: [text(6)], more: false });
    await settle();
    assert.deepEqual(shown(client), tries < 3 ? [] : [6]);
    mock.timers.tick(9000);
    await settle();
  }
  assert.equal(client.conversation(KEY).timeline.high, 6);
});

test("repeated_message_is_shown_once", async () => {
  const { client, socket } = await online([row(4)]);
  let live = 0;
  client.addEventListener("message", () => live++);
  socket.receive(text(5));
  socket.receive(text(5));
  socket.receive(text(4));
  assert.deepEqual(shown(client), [5]);
  assert.equal(live, 1);
});

test("sync_after_reconnect_pages_through_what_was_missed", async () => {
  const { client, socket } = await online([row(4)]);
  socket.receive(text(5));
  socket.onclose({ code: 1012 });
  mock.timers.tick(5000);
  const next = await answerSync([row(9)]);
  next.receive({ cmd: 31, rid: next.of(31)[0].rid, messages: [text(6), text(7)], more: true });
  await settle();
  assert.deepEqual(next.of(31).map((frame) => frame.after), [5, 7]);
  next.receive({ cmd: 31, rid: next.of(31)[1].rid, messages: [text(8), text(9)], more: false });
  await settle();
  assert.deepEqual(shown(client), [5, 6, 7, 8, 9]);
  assert.equal(next.of(31).length, 2);
});

test("own_unacked_message_found_by_sync_counts_as_acked", async () => {
  const { client, socket } = await online([row(3)]);
  socket.receive(text(4));
  const cid = client.send(TO_ANN, "did it arrive?");
  socket.onclose({ code: 1006 });
  mock.timers.tick(30_000);
  const mine = text(5, { userid: ME, dstid: ANN, content: "did it arrive?", cid });
  const next = await answerSync([row(5, { last: mine })]);
  next.receive({ cmd: 31, rid: next.of(31)[0].rid, messages: [mine], more: false });
  await settle();
  assert.equal(client.pending().length, 0);
  next.receive(ack(cid, 5, { dup: true }));
  assert.deepEqual(shown(client), [4, 5]);
});

test("older_messages_are_asked_before_the_lowest_and_end", async () => {
  const { client, socket } = await online([row(4)]);
  const loading = client.loadOlder(KEY);
  assert.equal(socket.of(31)[0].before, 5);
  socket.receive({ cmd: 31, rid: socket.of(31)[0].rid, messages: [text(3), text(4)], more: true });
  await loading;
  const rest = client.loadOlder(KEY);
  assert.equal(socket.of(31)[1].before, 3);
  socket.receive({ cmd: 31, rid: socket.of(31)[1].rid, messages: [text(2)], more: false });
  await rest;
  assert.deepEqual(shown(client), [2, 3, 4]);
  assert.equal(client.conversation(KEY).timeline.complete, true);
});

test("heartbeat_is_sent_only_after_own_silence", async () => {
  const { client, socket } = await online();
  mock.timers.tick(20_000);
  client.send(TO_ANN, "x");
  mock.timers.tick(29_000);
  assert.equal(socket.of(0).length, 0);
  mock.timers.tick(1000);
  assert.deepEqual(socket.of(0), [{ cmd: 0 }]);
});

test("heartbeat_without_answer_reconnects", async () => {
  const { client, socket } = await online();
  mock.timers.tick(30_000);
  mock.timers.tick(15_000);
  assert.equal(client.state, "waiting");
  assert.equal(socket.closedWith, 1000);
});

test("back_off_grows_to_its_cap_with_full_jitter", async () => {
  const fetch = async () => Promise.reject(new TypeError("no network"));
  const client = newClient({ random: () => 1, fetch });
  await client.start();
  const waits = [];
  for (let i = 0; i < 7; i++) {
    await settle();
    waits.push(client.retryAt - Date.now());
    mock.timers.tick(waits.at(-1));
  }
  assert.deepEqual(waits, [1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]);
});

test("restart_of_the_server_is_waited_for_five_seconds_at_most_and_at_random", async () => {
  const { client, socket } = await online([], { random: () => 0.9 });
  socket.onclose({ code: 1012 });
  assert.equal(client.retryAt - Date.now(), 4500);
});

test("close_4409_stops_until_taken_over", async () => {
  const { client, socket } = await online();
  socket.onclose({ code: 4409 });
  mock.timers.tick(120_000);
  await settle();
  assert.equal(client.state, "replaced");
  assert.equal(Socket.all.length, 1);
  client.takeOver();
  await answerSync();
  assert.equal(client.state, "online");
});

for (const code of [4401, 4403]) {
  test(`close_${code}_ends_the_session`, async () => {
    const { client, socket } = await online();
    const ended = [];
    client.on("ended", (detail) => ended.push(detail));
    socket.onclose({ code });
    assert.equal(client.state, "stopped");
    assert.equal(client.user, null);
    assert.deepEqual(ended, [{ wished: false }]);
  });
}

test("group_event_refreshes_the_list_and_leaving_removes_the_group", async () => {
  const group = { chat: 11, dstid: 20000, name: "G", avatar: "", seq: 0, read: 0, unread: 0 };
  const { client, socket } = await online();
  socket.receive({ cmd: 22, event: "created", dstid: 20000, userid: ANN });
  mock.timers.tick(200);
  const { rid } = socket.of(30)[1];
  socket.receive({ cmd: 30, rid, conversations: [group], more: false });
  await settle();
  assert.deepEqual(client.conversations.map((one) => one.name), ["G"]);
  socket.receive({ cmd: 22, event: "removed", dstid: 20000, userid: ME });
  assert.deepEqual(client.conversations, []);
});

test("clean_text_drops_what_xml_cannot_carry", () => {
  assert.equal(cleanText("a\r\nb\rc\u0000\u001f\ufffe\td\ud800😀"), "a\nb\nc\td\ufffd😀");
});

test("what_was_set_here_is_not_undone_by_what_it_was_before", async () => {
  let answerLater;
  const { fetch } = http({
    "PATCH /api/conversations": ({ body }) =>
      new Promise((done) => (answerLater = () => done(answer(200, { draft: body.draft })))),
  });
  const { client, socket } = await online([row(1)], { fetch });
  const set = async (draft, whileTelling = () => {}) => {
    const change = client.change(TO_ANN, { draft });
    await settle();
    whileTelling();
    answerLater();
    await change;
  };
  const told = (draft) => socket.receive({ cmd: 24, chat: 10, dstid: ANN, draft });
  const draft = () => client.conversation(KEY).draft;
  await set("begun", () => told(""));
  assert.equal(draft(), "begun");
  await set("", () => told("begun"));
  assert.equal(draft(), "");
  told("begun");
  assert.equal(draft(), "");
  told("of another device");
  assert.equal(draft(), "of another device");

  await set("");
  socket.onclose({ code: 1006 });
  mock.timers.tick(3000);
  await answerSync([row(1, { draft: "begun", pinned: true })]);
  assert.equal(draft(), "");
  assert.equal(client.conversation(KEY).pinned, true);
  mock.timers.tick(5000);
  Socket.last.receive({ cmd: 24, chat: 10, dstid: ANN, draft: "begun" });
  assert.equal(draft(), "begun", "that is long ago");
});

test("change_that_succeeds_at_last_is_not_undone_by_what_it_was_before", async () => {
  const answers = [answer(503, {}), answer(200, { draft: "begun" })];
  const { fetch } = http({ "PATCH /api/conversations": () => answers.shift() });
  const { client, socket } = await online([row(1)], { fetch });
  await assert.rejects(client.change(TO_ANN, { draft: "begun" }), { status: 503 });
  await client.change(TO_ANN, { draft: "begun" });
  socket.receive({ cmd: 24, chat: 10, dstid: ANN, draft: "" });
  assert.equal(client.conversation(KEY).draft, "begun");
});

test("change_that_fails_leaves_what_is_told", async () => {
  const { fetch } = http({ "PATCH /api/conversations": () => answer(503, {}) });
  const { client, socket } = await online([row(1, { pinned: false })], { fetch });
  await assert.rejects(client.change(TO_ANN, { pinned: true }), { status: 503 });
  for (const pinned of [true, false]) socket.receive({ cmd: 24, chat: 10, dstid: ANN, pinned });
  assert.equal(client.conversation(KEY).pinned, false);
});

test("group_that_was_left_while_the_list_was_read_stays_away", async () => {
  const group = row(1, { chat: 11, dstid: 20000, name: "G" });
  const { client, socket } = await online([group]);
  socket.receive({ cmd: 22, event: "owner", dstid: 20000, userid: ANN });
  mock.timers.tick(5000);
  const { rid } = socket.of(30).at(-1);
  socket.receive({ cmd: 22, event: "left", dstid: 20000, userid: ME });
  socket.receive({ cmd: 30, rid, conversations: [group, row(1)], more: false });
  await settle();
  assert.deepEqual(client.conversations.map(({ key }) => key), [KEY]);
});

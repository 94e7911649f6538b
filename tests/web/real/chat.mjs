// The SDK under Node against a real server, whose address is in TANDEM_URL.

import assert from "node:assert/strict";
import { test } from "node:test";
import { GROUP, SINGLE, Tandem, isMessage, keyOf } from "../../../web/sdk/tandem.js";
import { PASSWORD, WebSocket, base, device, newcomer, textsOf, until } from "./people.mjs";

/** Ann and Bob, and what each calls their conversation. */
async function pair(t) {
  const [ann, bob] = [await newcomer(t), await newcomer(t)];
  const toBob = { chat: SINGLE, dstid: bob.user.id };
  const toAnn = { chat: SINGLE, dstid: ann.user.id };
  const keys = { ann: keyOf(SINGLE, bob.user.id), bob: keyOf(SINGLE, ann.user.id) };
  return { ann, bob, toBob, toAnn, keys };
}

test("two_people_chat_in_order", async (t) => {
  const { ann, bob, toBob, toAnn, keys } = await pair(t);
  const said = Array.from({ length: 60 }, (_, i) => `line ${i}`);
  for (const line of said) ann.send(toBob, line);
  await until(bob, () => textsOf(bob, keys.bob).length === said.length);
  assert.deepEqual(textsOf(bob, keys.bob), said);
  await until(ann, () => !ann.pending().length);
  assert.deepEqual(textsOf(ann, keys.ann), said);
  const conversation = bob.conversation(keys.bob);
  assert.equal(conversation.unread, said.length);
  bob.send(toAnn, "enough");
  await until(ann, () => textsOf(ann, keys.ann).at(-1) === "enough");
  await until(bob, () => conversation.unread === 0);
});

test("edit_reaction_and_recall_end_alike_for_all", async (t) => {
  const { ann, bob, toBob, toAnn, keys } = await pair(t);
  for (const line of ["one", "two", "three"]) ann.send(toBob, line);
  await until(bob, () => textsOf(bob, keys.bob).length === 3);
  const [one, two, three] = bob.conversation(keys.bob).timeline.entries;
  ann.edit(toBob, one.id, "first");
  bob.react(toAnn, two.id, "👍");
  bob.react(toAnn, two.id, "❤️");
  ann.recall(toBob, three.id);
  for (const [client, key] of [[ann, keys.ann], [bob, keys.bob]]) {
    await until(client, () => client.conversation(key).timeline.high === 7);
    const [first, second, third] = client.conversation(key).timeline.entries.filter(isMessage);
    assert.equal(first.content, "first");
    assert.ok(first.edited);
    assert.deepEqual(second.reactions, { "❤️": [bob.user.id] });
    assert.deepEqual([third.recalled, third.content], [true, undefined]);
  }
  assert.equal(bob.conversation(keys.bob).unread, 2);
  const fresh = await device(t, bob);
  await fresh.loadOlder(keys.bob);
  const shownBy = (client) =>
    client.conversation(keys.bob).timeline.entries.map((entry) => ({ ...entry }));
  assert.deepEqual(shownBy(fresh), shownBy(bob));
  assert.equal(fresh.conversation(keys.bob).unread, 2);
});

test("refused_act_is_kept_with_its_reason_until_discarded", async (t) => {
  const { ann, bob, toBob, toAnn, keys } = await pair(t);
  ann.send(toBob, "mine");
  await until(bob, () => textsOf(bob, keys.bob).length);
  const cid = bob.edit(toAnn, bob.conversation(keys.bob).timeline.entries[0].id, "yours");
  await until(bob, () => bob.pending()[0]?.state === "failed");
  assert.equal(bob.pending()[0].reason, "not-allowed");
  bob.discard(cid);
  assert.deepEqual(bob.pending(), []);
});

test("receipts_and_typing_reach_the_other_and_reading_one_s_other_device", async (t) => {
  const { ann, bob, toBob, toAnn, keys } = await pair(t);
  const phone = await device(t, bob);
  ann.send(toBob, "read me");
  const { receipts } = ann.open(SINGLE, bob.user.id);
  await until(ann, () => receipts.get(bob.user.id)?.delivered === 1);
  await until(phone, () => phone.conversation(keys.bob)?.unread === 1);
  bob.typing(toAnn);
  await until(ann, () => ann.conversation(keys.ann).typing.has(bob.user.id));
  bob.markRead(keys.bob);
  await until(ann, () => receipts.get(bob.user.id)?.read === 1);
  await until(phone, () => phone.conversation(keys.bob).unread === 0);
  const later = await device(t, ann);
  await later.loadReceipts(toBob);
  const { receipts: read } = later.conversation(keys.ann);
  assert.deepEqual(read.get(bob.user.id), { delivered: 1, read: 1 });
});

test("long_history_is_paged_both_ways_and_jumped_into", async (t) => {
  const { ann, bob, toBob, keys } = await pair(t);
  for (let i = 1; i <= 230; i++) ann.send(toBob, `line ${i}`);
  await until(ann, () => !ann.pending().length);
  const fresh = await device(t, bob);
  await fresh.loadOlder(keys.bob);
  const { timeline } = fresh.conversation(keys.bob);
  assert.deepEqual([timeline.low, timeline.high], [181, 230]);
  const part = await fresh.around(keys.bob, 60);
  assert.equal(part.live, false);
  assert.ok(part.low <= 60 && part.high >= 60);
  while (!part.live) await fresh.loadNewer(keys.bob, part);
  assert.equal(fresh.conversation(keys.bob).timeline, part);
  while (!part.complete) await fresh.loadOlder(keys.bob, part);
  const said = Array.from({ length: 230 }, (_, i) => `line ${i + 1}`);
  assert.deepEqual(textsOf(fresh, keys.bob), said);
  await assert.rejects(fresh.around(keys.bob, 999), { code: 404, reason: "no-such-message" });
});

test("group_mentions_names_and_settings", async (t) => {
  const { ann, bob } = await pair(t);
  const body = { name: "Friends", members: [bob.user.id] };
  const { id } = await ann.request("POST", "/api/groups", body);
  const key = keyOf(GROUP, id);
  await until(bob, () => bob.conversation(key)?.name === "Friends");
  ann.send({ chat: GROUP, dstid: id }, { content: "hi @bob", at: [bob.user.id] });
  await until(bob, () => bob.conversation(key).mentioned);
  await ann.request("POST", "/api/contacts", { id: bob.user.id, memo: "Bobby" });
  await bob.request("POST", `/api/contacts/${ann.user.id}/accept`);
  await until(ann, () => ann.nameOf(bob.user.id) === "Bobby");
  await until(bob, () => bob.nameOf(ann.user.id) === ann.user.username);
  const phone = await device(t, bob);
  await bob.change({ chat: GROUP, dstid: id }, { pinned: true, draft: "half a" });
  await until(phone, () => phone.conversation(key).draft === "half a");
  assert.equal(phone.conversation(key).pinned, true);
});

test("file_goes_up_and_comes_down", async (t) => {
  const ann = await newcomer(t);
  const parts = [];
  const file = new Blob(["hello"], { type: "text/plain" });
  const onProgress = (part) => parts.push(part);
  const address = await ann.upload(file, { name: "a.txt", onProgress });
  assert.equal(await (await fetch(address)).text(), "hello");
  assert.equal(parts.at(-1), 1);
  const gone = AbortSignal.abort(new Error("changed my mind"));
  await assert.rejects(ann.upload(file, { signal: gone }), { message: "changed my mind" });
  const large = { size: 1e12, type: "" };
  await assert.rejects(ann.upload(large), { status: 413, reason: "too-long" });
});

test("search_finds_and_the_place_can_be_opened", async (t) => {
  const { ann, toBob, keys } = await pair(t);
  ann.send(toBob, "a needle in the hay");
  await until(ann, () => !ann.pending().length);
  const { messages } = await ann.search("needle", toBob);
  assert.deepEqual(messages.map(({ content }) => content), ["a needle in the hay"]);
  const part = await ann.around(keys.ann, messages[0].seq);
  assert.ok(part.entries.some(({ id }) => id === messages[0].id));
});

test("expired_access_token_is_renewed_unseen", async (t) => {
  const items = new Map();
  const tokens = {
    getItem: (key) => items.get(key) ?? null,
    setItem: (key, value) => items.set(key, value),
    removeItem: (key) => items.delete(key),
  };
  const ann = await newcomer(t, { tokens });
  ann.stop();
  const [[key, value]] = items;
  items.set(key, JSON.stringify({ ...JSON.parse(value), token: "spoilt" }));
  const again = new Tandem({ base, WebSocket, tokens });
  t.after(() => again.stop());
  await again.start();
  await until(again, () => again.state === "online");
  assert.notEqual(JSON.parse(items.get(key)).token, "spoilt");
  assert.notEqual(JSON.parse(items.get(key)).refresh_token, JSON.parse(value).refresh_token);
});

test("logout_everywhere_ends_the_other_device", async (t) => {
  const ann = await newcomer(t);
  const phone = await device(t, ann);
  const ended = new Promise((resolve) => phone.on("ended", resolve));
  await ann.logout(true);
  assert.deepEqual(await ended, { wished: false });
  assert.deepEqual([ann.user, phone.user, phone.state], [null, null, "stopped"]);
  await assert.rejects(ann.login("nobody-at-all", PASSWORD), { status: 401 });
});

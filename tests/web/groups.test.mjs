// The cache of groups: what is asked for once, and what events do to it.

import assert from "node:assert/strict";
import { mock, test } from "node:test";

import { FOR_GOOD, Groups } from "../../web/js/groups.js";
import { FakeClient, failure, next } from "./fake_client.mjs";

const GID = 20_000;
const OWN = 10_000;

function service({ role = "member", muted_all = false, count = 3 } = {}) {
  const group = { id: GID, name: "friends", owner: 10_001, role, count, muted_all };
  const members = Array.from({ length: count }, (_, at) => ({
    id: OWN + at,
    nickname: `user${at}`,
    nick: "",
    role: "member",
    muted_until: 0,
  }));
  const answer = (method, path) => {
    const url = new URL(path, "http://chat.test");
    if (!url.pathname.endsWith("/members")) return { ...group };
    const after = Number(url.searchParams.get("after"));
    const limit = Math.min(Number(url.searchParams.get("limit")), 500);
    const page = members.filter(({ id }) => id > after);
    return { members: structuredClone(page.slice(0, limit)), more: page.length > limit };
  };
  return { group, members, client: new FakeClient(answer) };
}

test("A group is asked for once, and told of when it is here", async () => {
  const { client } = service();
  const groups = new Groups(client);
  assert.equal(groups.get(GID), null);
  assert.equal(groups.get(GID), null);
  assert.deepEqual(await next(groups, "change"), { gid: GID });
  assert.equal(groups.get(GID).name, "friends");
  assert.equal(client.calls.length, 2); // the group, and oneself in it
  assert.ok(client.calls.includes(`GET /api/groups/${GID}/members?after=9999&limit=1`));
});

test("Members are read in pages, once for all who ask", async () => {
  const { client } = service({ count: 1201 });
  const groups = new Groups(client);
  assert.equal(groups.known(GID), null);
  const [members, again] = await Promise.all([groups.members(GID), groups.members(GID)]);
  assert.equal(members.length, 1201);
  assert.equal(again, members);
  assert.equal(client.calls.length, 3);
  assert.equal(groups.known(GID), members);
});

test("An event makes the next look a new one; many events in a row make one", async (context) => {
  mock.timers.enable({ apis: ["setTimeout"] });
  context.after(() => mock.timers.reset());
  const { client, group } = service();
  const groups = new Groups(client, { random: () => 0 });
  await groups.load(GID);
  await groups.members(GID);
  const before = client.calls.length;
  let changes = 0;
  groups.addEventListener("change", () => changes++);
  group.name = "good friends";
  for (let n = 0; n < 20; n++) client.hear("group", { event: "changed", dstid: GID, userid: 5 });
  assert.equal(groups.get(GID).name, "friends");
  assert.equal(client.calls.length, before);
  mock.timers.tick(200);
  assert.equal(changes, 1);
  groups.get(GID);
  await groups.load(GID);
  assert.equal(groups.get(GID).name, "good friends");
  assert.equal(client.calls.length, before + 2);
  assert.equal(groups.known(GID).length, 3); // what was known is shown until it is read again
  await groups.members(GID);
  assert.equal(client.calls.length, before + 3);
});

test("A change that comes while the group is being read is not missed", async (context) => {
  mock.timers.enable({ apis: ["setTimeout"] });
  context.after(() => mock.timers.reset());
  const { client, group } = service();
  const groups = new Groups(client, { random: () => 0 });
  groups.addEventListener("change", () => groups.get(GID));
  const first = groups.load(GID);
  group.name = "later";
  client.hear("group", { event: "changed", dstid: GID, userid: 5 });
  mock.timers.tick(200);
  assert.equal((await first).name, "friends");
  await groups.load(GID);
  assert.equal(groups.get(GID).name, "later");
});

test("Who may not speak is told why, and that it is over", async (context) => {
  const { client, members } = service();
  const groups = new Groups(client);
  members[0].muted_until = Date.now() + 50;
  await groups.load(GID);
  assert.deepEqual(groups.speakingBar(GID), { kind: "muted", until: members[0].muted_until });
  await next(groups, "change");
  assert.equal(groups.speakingBar(GID), null);
  members[0].muted_until = FOR_GOOD;
  await groups.load(GID);
  assert.deepEqual(groups.speakingBar(GID), { kind: "muted", until: FOR_GOOD });
});

test("Muting all bars members, not admins", async () => {
  for (const [role, bar] of [
    ["member", "mutedAll"],
    ["admin", null],
    ["owner", null],
  ]) {
    const groups = new Groups(service({ role, muted_all: true }).client);
    await groups.load(GID);
    assert.equal(groups.speakingBar(GID)?.kind ?? null, bar);
    assert.equal(groups.isAdmin(GID), role !== "member");
  }
});

test("Who was removed knows nothing of the group any more, and does not ask", async () => {
  const { client } = service();
  const groups = new Groups(client);
  await groups.load(GID);
  const before = client.calls.length;
  client.hear("group", { event: "removed", dstid: GID, userid: OWN });
  assert.equal(groups.get(GID), null);
  assert.equal(client.calls.length, before);
});

test("What one is no member of is asked for once; what failed for now, again", async () => {
  const { client } = service();
  const groups = new Groups(client);
  const { answer } = client;
  client.answer = () => {
    throw failure(403, "not-a-member");
  };
  await assert.rejects(groups.load(GID), { reason: "not-a-member" });
  const before = client.calls.length;
  groups.get(GID);
  assert.equal(client.calls.length, before);
  client.answer = () => {
    throw failure(0);
  };
  client.become("online");
  await assert.rejects(groups.load(GID), { status: 0 });
  await assert.rejects(groups.members(GID), { status: 0 });
  client.answer = answer;
  groups.get(GID);
  await next(groups, "change");
  assert.equal(groups.get(GID).name, "friends");
  assert.equal((await groups.members(GID)).length, 3);
});

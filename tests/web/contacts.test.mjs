// The cache of contacts: what it reads, and how events, actions and a slow list come together.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Contacts } from "../../web/js/contacts.js";
import { FakeClient, failure, next } from "./fake_client.mjs";

const person = (id, state, more = {}) => ({
  id,
  username: `user${id}`,
  nickname: "",
  memo: "",
  state,
  ...(state === "both" && { presence: "offline", status: "" }),
  ...more,
});

/** A service with these entries, which the test may change. */
function service(list, blocks = []) {
  const entries = new Map(list.map((entry) => [entry.id, entry]));
  const answer = (method, path, body) => {
    const url = new URL(path, "http://chat.test");
    const id = Number(url.pathname.split("/")[3] ?? body?.id);
    if (url.pathname === "/api/blocks") return { users: blocks, more: false };
    if (method === "GET") {
      const after = Number(url.searchParams.get("after"));
      const limit = Math.min(2, Number(url.searchParams.get("limit")));
      const page = [...entries.values()].filter((entry) => entry.id > after);
      return { contacts: structuredClone(page.slice(0, limit)), more: page.length > limit };
    }
    if (method === "DELETE") return entries.delete(id), undefined;
    const entry = { ...(entries.get(id) ?? person(id, "requested")), ...(body ?? {}) };
    if (path.endsWith("/accept")) Object.assign(entry, { state: "both", presence: "online" });
    entries.set(id, entry);
    return entry;
  };
  return { entries, client: new FakeClient(answer) };
}

const ids = (list) => list.map(({ id }) => id);

test("All pages are read, and sorted by what one calls them", async () => {
  const { client } = service([
    person(1, "both", { nickname: "Zoe" }),
    person(2, "both", { nickname: "Yan", memo: "auntie" }),
    person(3, "pending"),
    person(4, "both", { nickname: "Émile" }),
    person(5, "requested"),
    person(6, "both", { nickname: "Fay" }),
  ]);
  const contacts = new Contacts(client);
  await contacts.load();
  assert.deepEqual(ids(contacts.all), [2, 4, 6, 1]);
  assert.deepEqual(ids(contacts.pending), [3]);
  assert.deepEqual(ids(contacts.requested), [5]);
});

test("Each new connection reads the list and the blocks anew", async () => {
  const blocks = [];
  const { client, entries } = service([person(1, "both")], blocks);
  const contacts = new Contacts(client);
  client.become("online");
  await next(contacts, "change");
  entries.set(2, person(2, "both"));
  blocks.push({ id: 7, username: "seven" });
  client.become("waiting");
  client.become("online"); // while the first list may still be on its way
  while (contacts.all.length < 2 || !contacts.isBlocked(7)) await next(contacts, "change");
  assert.deepEqual(ids(contacts.blocked), [7]);
});

test("Presence that comes while the list is on its way is newer than the list", async () => {
  const { client } = service([person(1, "both")]);
  const contacts = new Contacts(client);
  const loaded = contacts.load();
  client.hear("presence", { userid: 1, state: "dnd", memo: "in a meeting" });
  await loaded;
  assert.equal(contacts.presenceOf(1), "dnd");
  assert.equal(contacts.get(1).status, "in a meeting");
  client.hear("presence", { userid: 1, state: "offline" });
  assert.equal(contacts.presenceOf(1), "offline");
  assert.equal(contacts.presenceOf(99), "offline");
});

test("A request that comes in is there at once, and gone when it is withdrawn", async () => {
  const { client, entries } = service([]);
  const contacts = new Contacts(client);
  await contacts.load();
  entries.set(5, person(5, "pending"));
  client.hear("contact", { event: "request", userid: 5 });
  await next(contacts, "change");
  assert.deepEqual(ids(contacts.pending), [5]);
  assert.equal(client.calls.at(-1), "GET /api/contacts?after=4&limit=1");
  entries.delete(5);
  client.hear("contact", { event: "removed", userid: 5 });
  await next(contacts, "change");
  assert.equal(contacts.get(5), undefined);
});

test("What was accepted is not undone by a list that was asked for before", async () => {
  const { client } = service([person(5, "pending")]);
  const contacts = new Contacts(client);
  let release;
  const { answer } = client;
  client.answer = (...call) => {
    const page = answer(...call);
    if (call[0] !== "GET") return page;
    return new Promise((done) => (release = () => done(page)));
  };
  const loaded = contacts.load();
  const accepted = contacts.accept(5);
  release();
  await Promise.all([loaded, accepted]);
  assert.equal(contacts.get(5).state, "both");
  assert.equal(contacts.presenceOf(5), "online");
});

test("An own name is set, and the client asks for the person's name again", async () => {
  const { client } = service([person(1, "both", { nickname: "Bob" })]);
  const contacts = new Contacts(client);
  await contacts.load();
  await contacts.rename(1, "Bobby");
  assert.equal(contacts.get(1).memo, "Bobby");
  assert.deepEqual(client.forgotten, [1]);
});

test("A failed call in the background is no end, a failed action is the caller's", async () => {
  const { client } = service([person(1, "both")]);
  const contacts = new Contacts(client);
  const { answer } = client;
  client.answer = () => {
    throw failure(503, "storage-away");
  };
  client.become("online");
  client.hear("contact", { event: "accepted", userid: 1 });
  await assert.rejects(contacts.ask(2), { reason: "storage-away" });
  assert.equal(contacts.isLoaded, false);
  client.answer = answer;
  client.become("online");
  await next(contacts, "change");
  await contacts.load();
  assert.deepEqual(ids(contacts.all), [1]);
});

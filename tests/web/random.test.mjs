// Whatever happens on the way, in the end everything is as the server has it. Failures name a seed.

import assert from "node:assert/strict";
import { beforeEach, mock, test } from "node:test";
import { MemoryStore } from "../../web/sdk/store.js";
import { ANN, KEY, ME, TO_ANN, fakeClock, newClient, settle } from "./support.mjs";
import { GROUP_ID, Server, dice } from "./server.mjs";

const SEEDS = Number(process.env.SEEDS ?? 10);
const BEN = 10003;
const GROUP_KEY = `11/${GROUP_ID}`;

beforeEach(fakeClock);

async function turns(count = 6) {
  for (let i = 0; i < count; i++) await settle();
}

function toggle(server) {
  server.isSlow = !server.isSlow;
  if (!server.isSlow) server.flush();
}

/** Until nothing is waiting any more. */
async function quiet(server) {
  server.isSlow = false;
  server.mangle = (entry) => [entry];
  server.refuse = () => null;
  for (let i = 0; i < 30; i++) {
    server.flush();
    await turns(10);
    mock.timers.tick(3000);
    await turns(4);
  }
}

const isMessage = ({ cmd }) => cmd === 10 || cmd === 11;
const sorted = (entry) => {
  if (!entry?.reactions) return entry;
  const pairs = Object.entries(entry.reactions).map(([text, users]) => [text, users.toSorted()]);
  return { ...entry, reactions: Object.fromEntries(pairs.toSorted()) };
};

/** One thing that somebody says or does in a conversation. */
function happening(server, key, roll) {
  const userid = [ANN, ANN, key === KEY ? ANN : BEN, ME][roll(4)];
  const messages = server.log(key).filter(isMessage);
  const target = messages[Math.max(0, messages.length - 1 - roll(roll(3) ? 8 : 200))];
  const kind = target ? roll(10) : 0;
  const isGone = target && server.log(key).some(({ cmd, ref }) => cmd === 14 && ref === target.id);
  if (kind < 6 || isGone) server.say(key, { userid, content: `text ${roll(1000)}` });
  else if (kind === 6) server.say(key, { userid: target.userid, cmd: 14, ref: target.id });
  else if (kind < 8) {
    const content = `edited ${roll(1000)}`;
    server.say(key, { userid: target.userid, cmd: 15, ref: target.id, content });
  } else {
    const content = ["👍", "❤", ""][roll(3)];
    const act = { cmd: 16, ref: target.id, ...(content && { content }) };
    server.say(key, { userid, ...act });
  }
}

function assertSame(client, server, key, parts, seed) {
  const all = server.state(key);
  const conversation = client.conversation(key);
  const { timeline } = conversation;
  const where = `seed ${seed}, ${key}`;
  assert.equal(timeline.high, all.length, `${where}: reaches the end`);
  for (const part of [timeline, ...parts]) {
    if (part.low === null) continue;
    const expected = all.slice(part.low - 1, part.high).map(sorted);
    assert.deepEqual(part.entries.map(sorted), expected, `${where}: ${part.low} to ${part.high}`);
  }
  const last = all.findLast(isMessage);
  assert.deepEqual(sorted(conversation.last), sorted(last), `${where}: last`);
  assert.equal(conversation.unread, server.unread(key), `${where}: unread`);
}

test("history_after_losses_repeats_and_reorderings_is_the_server_s", async () => {
  for (let seed = 1; seed <= SEEDS; seed++) {
    fakeClock();
    const roll = dice(seed);
    const server = new Server();
    const keys = [KEY, GROUP_KEY];
    for (let i = roll(150); i > 0; i--) happening(server, keys[roll(2)], roll);
    let held = [];
    server.mangle = (entry) => {
      const luck = roll(10);
      if (luck === 0) return [];
      if (luck === 1) return [entry, entry];
      if (luck === 2) held.push(entry);
      if (luck > 2 && held.length && roll(2)) return [entry, ...held.splice(0)];
      return luck === 2 ? [] : [entry];
    };
    const client = newClient({ fetch: server.http.fetch, WebSocket: server.WebSocket });
    await client.start();
    await turns();
    const parts = [];
    for (let step = 0; step < 120; step++) {
      const key = keys[roll(2)];
      const conversation = client.conversation(key);
      const deed = roll(24);
      if (deed < 12) happening(server, key, roll);
      else if (deed === 12) server.cut();
      else if (deed === 13) toggle(server);
      else if (deed === 14) mock.timers.tick(roll(4000));
      else if (deed === 15 && conversation) client.loadOlder(key);
      else if (deed === 16 && parts.length) {
        const { key: of, part } = parts[roll(parts.length)];
        if (roll(2)) client.loadNewer(of, part);
        else client.loadOlder(of, part);
      } else if (deed === 17 && conversation && server.log(key).length) {
        const jump = client.around(key, 1 + roll(server.log(key).length));
        jump.then((part) => parts.push({ key, part }), () => {});
      } else if (deed === 18 && conversation) client.markRead(key);
      else if (deed === 19) held = [];
      else server.flush(roll(8));
      await turns(roll(3));
    }
    server.mangle = (entry) => [entry];
    for (const key of keys) happening(server, key, roll); // what is missing shows by what follows
    await quiet(server);
    assert.equal(client.state, "online", `seed ${seed}`);
    for (const key of keys) {
      if (!server.log(key).length) continue;
      const of = parts.filter((one) => one.key === key).map(({ part }) => part);
      // The oldest of many windows are let go of.
      assertSame(client, server, key, of.filter((part) => part.live).concat(of.slice(-3)), seed);
      await client.loadOlder(key);
      assertSame(client, server, key, [], seed);
    }
    client.stop();
  }
});

test("outbox_after_cuts_refusals_and_reloads_is_sent_once_and_in_order", async () => {
  for (let seed = 1; seed <= SEEDS; seed++) {
    fakeClock();
    const roll = dice(seed);
    const server = new Server();
    const store = new MemoryStore();
    const places = [TO_ANN, { chat: 11, dstid: GROUP_ID }];
    const said = new Map([[KEY, []], [GROUP_KEY, []]]);
    const cids = new Map();
    const options = { store, fetch: server.http.fetch, WebSocket: server.WebSocket };
    let client;
    /** Whether it is in the log, before what is loaded. */
    const isBefore = (key, cid) => {
      const entry = server.log(key).find((one) => one.cid === cid);
      return entry?.seq < client.conversation(key).timeline.low;
    };
    const check = (key) => {
      const counts = new Map();
      const entries = client.conversation(key)?.timeline.entries ?? [];
      for (const { cid } of [...entries, ...client.pending(key)]) {
        counts.set(cid, (counts.get(cid) ?? 0) + 1);
      }
      for (const cid of cids.get(key) ?? []) {
        const count = counts.get(cid) ?? Number(isBefore(key, cid));
        assert.equal(count, 1, `seed ${seed}: ${cid} is there once`);
      }
    };
    const begin = async () => {
      cids.clear();
      client = newClient(options);
      client.on("messages", ({ key }) => check(key));
      await client.start();
      for (const { cid, chat, dstid } of client.pending()) {
        const key = `${chat}/${dstid}`;
        cids.set(key, [...(cids.get(key) ?? []), cid]);
      }
      await turns();
    };
    await begin();
    let refused = 0;
    for (let step = 0; step < 80; step++) {
      const deed = roll(16);
      if (deed < 7) {
        for (let i = roll(12); i >= 0; i--) {
          const place = places[roll(2)];
          const key = `${place.chat}/${place.dstid}`;
          const content = `${said.get(key).length}`;
          said.get(key).push(content);
          const cid = client.send(place, content);
          cids.set(key, [...(cids.get(key) ?? []), cid]);
          check(key);
        }
      } else if (deed === 7) server.cut([1006, 1012, 4413][roll(3)]);
      else if (deed === 8) toggle(server);
      else if (deed === 9) mock.timers.tick(roll(3000));
      else if (deed === 10) happening(server, [KEY, GROUP_KEY][roll(2)], roll);
      else if (deed === 11 && !refused) {
        refused = 1; // all of them, until none is on its way
        server.refuse = () => ({ code: 503, reason: "storage-away", detail: "" });
      } else if (deed === 12 && refused && client.pending().every((one) => one.state !== "sent")) {
        refused = 0;
        server.refuse = () => null;
      } else if (deed === 13 && roll(3) === 0) {
        await turns();
        for (const socket of [...server.sockets]) socket.close(); // the page is gone
        client.stop();
        await turns();
        await begin();
      } else server.flush(roll(20));
      await turns(roll(3));
    }
    for (let i = 0; i < 20 && client.pending().some((one) => one.state === "sent"); i++) {
      server.isSlow = false;
      server.flush();
      await turns();
    }
    await quiet(server);
    assert.deepEqual(client.pending(), [], `seed ${seed}`);
    assert.deepEqual(await store.entries("tandem:10001:outbox:"), []);
    for (const [key, texts] of said) {
      const stored = server.log(key).filter(({ userid, cid }) => userid === ME && cid);
      const seen = stored.map(({ content }) => content);
      assert.deepEqual(seen, texts, `seed ${seed}, ${key}: once and in order`);
    }
    client.stop();
  }
});

// What the tests of the SDK share: a WebSocket that is a list of frames, and what goes with it.

import assert from "node:assert/strict";
import { mock } from "node:test";
import { MemoryStore } from "../../web/sdk/store.js";
import { Tandem, keyOf } from "../../web/sdk/tandem.js";

export const ME = 10001;
export const ANN = 10002;
export const KEY = keyOf(10, ANN);
export const TO_ANN = { chat: 10, dstid: ANN };

/** Lets everything that is waiting for a promise go on. */
export const settle = () => new Promise((done) => setImmediate(done));

export class Tokens {
  items = new Map();
  getItem(key) {
    return this.items.get(key) ?? null;
  }
  setItem(key, value) {
    this.items.set(key, String(value));
  }
  removeItem(key) {
    this.items.delete(key);
  }
}

/** Where somebody is logged in for ever. */
export function loggedIn(id = ME) {
  const tokens = new Tokens();
  const login = { id, username: "me", jid: "me@host", token: "t", refresh_token: "r" };
  tokens.setItem("tandem:session", JSON.stringify({ ...login, expires: 1e15 }));
  return tokens;
}

export class Socket {
  static all = [];
  static get last() {
    return Socket.all.at(-1);
  }
  constructor(url) {
    this.url = url;
    this.sent = [];
    Socket.all.push(this);
  }
  send(text) {
    this.sent.push(JSON.parse(text));
  }
  close(code) {
    this.closedWith = code;
  }
  receive(frame) {
    this.onmessage?.({ data: JSON.stringify(frame) });
  }
  of(cmd) {
    return this.sent.filter((frame) => frame.cmd === cmd);
  }
}

export const answer = (status, body, headers = {}) => ({
  ...{ ok: status < 300, status, headers: new Headers(headers) },
  text: async () => (body === undefined ? "" : JSON.stringify(body)),
});

/** A `fetch`: `answers` is `"GET /path"` → body, or a function that gives a response. */
export function http(answers = {}) {
  const calls = [];
  let tickets = 0;
  const fetch = async (url, { method = "GET", body } = {}) => {
    const { pathname, search } = new URL(url);
    const call = { name: `${method} ${pathname}`, search, body: body && JSON.parse(body) };
    calls.push(call);
    const known = answers[call.name];
    if (typeof known === "function") return known(call);
    if (known) return answer(200, known);
    if (pathname === "/api/ticket") return answer(200, { ticket: `t${++tickets}` });
    if (pathname === "/api/contacts") return answer(200, { contacts: [], more: false });
    return answer(404, { type: "/problems/not-found" });
  };
  return { calls, fetch, answers };
}

export const text = (seq, more = {}) => ({
  ...{ cmd: 10, id: 5000 + seq, userid: ANN, dstid: ME, media: 1, content: `m${seq}` },
  ...{ seq, ts: 1000 + seq, ...more },
});
export const row = (seq, more = {}) => ({
  ...{ chat: 10, dstid: ANN, name: "Ann", avatar: "", seq, read: 0, unread: 0, mentioned: false },
  ...{ pinned: false, muted: false, archived: false, draft: "", last: text(seq), ...more },
});
export const ack = (cid, seq, more) => ({
  ...{ cmd: 1, cid, id: 5000 + seq, seq, ts: 1000 + seq, ...more },
});

export function fakeClock() {
  mock.timers.reset();
  mock.timers.enable({ apis: ["setTimeout", "setInterval", "Date"], now: 1_000_000 });
  Socket.all = [];
}

export const newClient = (options) =>
  new Tandem({
    ...{ base: "http://host:1", tokens: loggedIn(), store: new MemoryStore(), shared: false },
    ...{ fetch: http().fetch, WebSocket: Socket, random: () => 0.5, ...options },
  });

/** Opens the newest socket and answers its cmd 30. */
export async function answerSync(conversations = []) {
  await settle();
  const socket = Socket.last;
  socket.onopen();
  const [{ rid }] = socket.of(30);
  socket.receive({ cmd: 30, rid, conversations, more: false });
  await settle();
  return socket;
}

export async function online(conversations, options) {
  const client = newClient(options);
  await client.start();
  const socket = await answerSync(conversations);
  assert.equal(client.state, "online");
  return { client, socket };
}

/** Answers the last cmd 31 of a socket. */
export async function answerPage(socket, messages, more = false) {
  const { rid } = socket.of(31).at(-1);
  socket.receive({ cmd: 31, rid, messages, more });
  await settle();
}

export const shown = (client, key = KEY) =>
  client.conversation(key).timeline.entries.map((entry) => entry.seq);

// Logins, tokens and their renewal. Two tabs are two Sessions on one storage.

import assert from "node:assert/strict";
import { beforeEach, mock, test } from "node:test";
import { Session } from "../../web/sdk/session.js";
import { ME, Tokens, answer, fakeClock } from "./support.mjs";

let tokens;

beforeEach(() => {
  fakeClock();
  tokens = new Tokens();
});

function server() {
  const calls = [];
  let valid = { token: "a0", refresh_token: "r0" };
  const fetch = async (url, { headers, body }) => {
    const path = new URL(url).pathname;
    calls.push({ path, body: body && JSON.parse(body) });
    if (path === "/api/login") {
      return answer(200, { id: ME, username: "me", jid: "me@host", ...valid, expires_in: 900 });
    }
    if (path === "/api/token") {
      if (JSON.parse(body).refresh_token !== valid.refresh_token) return answer(401, {});
      const next = calls.length;
      valid = { token: `a${next}`, refresh_token: `r${next}` };
      return answer(200, { ...valid, expires_in: 900 });
    }
    return headers.Authorization === `Bearer ${valid.token}` ? answer(200, {}) : answer(401, {});
  };
  const revoke = () => (valid = {});
  return { calls, fetch, revoke };
}

const tab = (fetch, onEnd = () => {}) => new Session({ base: "http://host", tokens, fetch, onEnd });

test("two_tabs_with_an_expired_token_spend_the_refresh_token_once", async () => {
  const { calls, fetch } = server();
  const one = tab(fetch);
  await one.login("me", "password");
  const two = tab(fetch);
  mock.timers.tick(900_000);
  await Promise.all([one, two, one].map((each) => each.request("GET", "/api/me")));
  assert.equal(calls.filter(({ path }) => path === "/api/token").length, 1);
});

test("revoked_session_ends_and_is_forgotten", async () => {
  const { fetch, revoke } = server();
  const ended = [];
  const one = tab(fetch, (wished) => ended.push(wished));
  await one.login("me", "password");
  revoke();
  await assert.rejects(one.request("GET", "/api/me"), { status: 401 });
  assert.deepEqual(ended, [false]);
  assert.equal(tokens.items.size, 0);
  assert.equal(tab(fetch).user, null);
});

for (const [who, body] of [
  ["ann", { username: "ann" }],
  ["10001", { id: 10001 }],
  ["+8613800000000", { mobile: "+8613800000000" }],
]) {
  test(`login_of_${who}_asks_with_${Object.keys(body)}`, async () => {
    const { calls, fetch } = server();
    await tab(fetch).login(who, "password");
    assert.deepEqual(calls[0].body, { ...body, password: "password" });
  });
}

test("refusals_carry_slug_fields_and_seconds_to_wait", async () => {
  const problem = {
    ...{ type: "/problems/slow-down", title: "Slow down", status: 429, detail: "wait" },
    errors: { password: "wrong" },
  };
  const one = tab(async () => answer(429, problem, { "Retry-After": "7" }));
  await assert.rejects(one.login("me", "x"), {
    ...{ status: 429, reason: "slow-down", detail: "wait", retryAfter: 7 },
    errors: { password: "wrong" },
  });
  const plain = tab(async () => answer(405, { type: "about:blank" }));
  await assert.rejects(plain.login("me", "x"), { status: 405, reason: "", retryAfter: null });
  const away = tab(async () => Promise.reject(new TypeError("no network")));
  await assert.rejects(away.login("me", "x"), { status: 0, reason: "" });
});

// The server is killed and comes back, by the address in CONTROL: nothing is lost, twice or moved.

import assert from "node:assert/strict";
import { test } from "node:test";
import { SINGLE, keyOf } from "../../../web/sdk/tandem.js";
import { newcomer, textsOf, until } from "./people.mjs";

const control = async (what) => {
  const { ok } = await fetch(`${process.env.CONTROL}/${what}`, { method: "POST" });
  assert.ok(ok, what);
};

test("what_is_said_around_the_server_s_deaths_arrives_once_and_in_order", async (t) => {
  const [ann, bob] = [await newcomer(t), await newcomer(t)];
  const toBob = { chat: SINGLE, dstid: bob.user.id };
  const toAnn = { chat: SINGLE, dstid: ann.user.id };
  const keys = { ann: keyOf(SINGLE, bob.user.id), bob: keyOf(SINGLE, ann.user.id) };
  const said = { ann: [], bob: [] };
  const say = (who, client, place) => {
    const line = `${who} ${said[who].length}`;
    said[who].push(line);
    client.send(place, line);
  };
  say("ann", ann, toBob);
  await until(bob, () => textsOf(bob, keys.bob).length === 1);
  for (let death = 0; death < 3; death++) {
    for (let i = 0; i < 40; i++) {
      say("ann", ann, toBob);
      say("bob", bob, toAnn);
    }
    if (death) await until(ann, () => ann.pending().length < 30); // in the middle of acks
    await control("kill");
    await until(ann, () => ann.state !== "online");
    for (let i = 0; i < 5; i++) say("ann", ann, toBob);
    await control("start");
    for (const client of [ann, bob]) client.retryNow();
    for (const client of [ann, bob]) await until(client, () => client.state === "online", 40_000);
  }
  for (const client of [ann, bob]) await until(client, () => !client.pending().length);
  const all = said.ann.length + said.bob.length;
  for (const [client, key] of [[ann, keys.ann], [bob, keys.bob]]) {
    await until(client, () => textsOf(client, key).length === all);
    for (const who of ["ann", "bob"]) {
      const own = textsOf(client, key).filter((line) => line.startsWith(who));
      assert.deepEqual(own, said[who]);
    }
  }
  assert.deepEqual(textsOf(ann, keys.ann), textsOf(bob, keys.bob));
});

// People of a real server, for the tests of this folder.

import { randomBytes } from "node:crypto";
import { createRequire } from "node:module";
import { Tandem } from "../../../web/sdk/tandem.js";

const require = createRequire(new URL("../../clients/", import.meta.url));
export const WebSocket = require("ws");
export const base = process.env.TANDEM_URL;
export const PASSWORD = "correct horse battery";

/** Resolves as soon as `is()` gives something, looked at after each of the client's events. */
export function until(client, is, patience = 20_000) {
  return new Promise((resolve, reject) => {
    const events = ["state", "conversations", "messages", "typing", "people"];
    const look = () => {
      const found = is();
      if (!found) return;
      clearTimeout(timer);
      for (const type of events) client.removeEventListener(type, look);
      resolve(found);
    };
    const timer = setTimeout(() => reject(new Error(`never: ${is}`)), patience);
    for (const type of events) client.addEventListener(type, look);
    look();
  });
}

/** Somebody new, who is online. */
export async function newcomer(t, options = {}) {
  const client = new Tandem({ base, WebSocket, ...options });
  const username = `u${randomBytes(8).toString("hex")}`;
  await client.register({ username, password: PASSWORD });
  await online(t, client);
  return client;
}

/** Another device of `client`'s user, online. */
export async function device(t, { user }, options = {}) {
  const client = new Tandem({ base, WebSocket, ...options });
  await client.login(user.username, PASSWORD);
  await online(t, client);
  return client;
}

export async function online(t, client) {
  t.after(() => client.stop());
  await client.start();
  await until(client, () => client.state === "online");
}

export const textsOf = (client, key) =>
  (client.conversation(key)?.timeline.entries ?? [])
    .filter((entry) => entry.cmd === 10 || entry.cmd === 11)
    .map((entry) => entry.content);

// Read by TypeScript only: what somebody writes against tandem.d.ts.

import {
  ApiError, CONTENT_CHARS, GROUP, Refusal, SINGLE, Tandem, cleanText, isMessage, keyOf,
} from "../../web/sdk/tandem.js";
import type {
  Chat, Content, Conversation, Entry, Events, Login, Options, Pending, Place, State, Store,
  Timeline, TokenStorage, User,
} from "../../web/sdk/tandem.js";

const memory = new Map<string, unknown>();
const store: Store = {
  get: async (key) => memory.get(key),
  entries: async (prefix) => [...memory].filter(([key]) => key.startsWith(prefix)),
  set: async (key, value) => void memory.set(key, value),
  delete: async (key) => void memory.delete(key),
  clear: async () => memory.clear(),
};
declare const tokens: TokenStorage;
const options: Options = { base: "http://localhost", store, tokens, shared: false };

export async function whole(): Promise<void> {
  const client: EventTarget & Tandem = new Tandem(options);
  await client.register({ username: "ann", password: "secret" });
  await client.login("ann", "secret");
  const me: Login | null = client.user;
  const state: State = client.state;
  await client.start();
  const key: string = keyOf(SINGLE, 10001);
  const place: Place = { chat: GROUP, dstid: 20000 };
  const open: Conversation = client.open(SINGLE, 10001, "Bob");
  const chat: Chat = open.chat;
  const cid: string = client.send(place, cleanText("hello").slice(0, CONTENT_CHARS));
  const content: Content = { media: 4, url: await client.upload(new Blob(["x"])) };
  client.send(place, content);
  client.edit(place, 1, "x");
  client.recall(place, 1);
  client.react(place, 1, "👍");
  client.resend(cid);
  client.discard(cid);
  const waiting: readonly Pending[] = client.pending(key);
  const part: Timeline = await client.around(key, 5);
  const older: boolean = await client.loadOlder(key);
  const newer: boolean = await client.loadNewer(key, part);
  const messages: Entry[] = part.entries.filter(isMessage);
  const found = await client.search("x", { ...place, limit: 5 });
  const first: Entry | undefined = found.messages[0];
  await client.change(place, { pinned: true, draft: "x" });
  await client.loadReceipts(place);
  const reached: number | undefined = open.receipts.get(10001)?.read;
  const user: User | null = client.person(10001);
  const profile = await client.request<User>("GET", "/api/users/10001");
  const off: () => void = client.on("message", ({ conversation, message }) => {
    client.markRead(conversation.key);
    client.typing(conversation, message.seq > 1);
  });
  client.on("ended", ({ wished }: Events["ended"]) => wished || client.takeOver());
  try {
    client.setPresence("away", client.nameOf(profile.id));
  } catch (error) {
    if (error instanceof ApiError) error.errors["password"]?.trim();
    if (error instanceof Refusal) error.reason.trim();
  }
  off();
  void [me, state, chat, waiting, older, newer, messages, first, reached, user];
}

export function wrong(client: Tandem): void {
  // @ts-expect-error No such event.
  client.on("massage", () => {});
  // @ts-expect-error A place, not a key.
  client.send("10/10001", "hello");
  // @ts-expect-error Not for the page to set.
  client.state = "online";
  // @ts-expect-error Neither a user nor a group.
  client.open(12, 1);
}

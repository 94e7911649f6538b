// Types of tandem.js. Times are milliseconds since 1970 UTC; ids are integers below 2^53.

export const SINGLE: 10;
export const GROUP: 11;
/** Code points that one message's text may have. */
export const CONTENT_CHARS: 20000;

/** 10: with a user; 11: in a group. */
export type Chat = 10 | 11;

/** What names a conversation: `dstid` is the other user's id or the group's. */
export interface Place {
  chat: Chat;
  dstid: number;
}

/** `"10/10001"`: the same as text, for maps and addresses. */
export function keyOf(chat: Chat, dstid: number): string;

/** The text as the server takes it: LF line ends, nothing that XML cannot carry. */
export function cleanText(text: string): string;

/** Whether an entry of a log is a message (cmd 10, 11), not an act or a void. */
export function isMessage(entry: Entry): boolean;

/** What a message may be made of; which media needs which fields is in the protocol's description. */
export interface Content {
  /** 1 text (if left out), 2 article, 3 voice, 4 picture, 5 red packet, 6 emoji, 7 link, 8 video, 9 contact, 10 file. */
  media?: number;
  content?: string;
  pic?: string;
  url?: string;
  memo?: string;
  amount?: number;
  /** Id of the message that this one answers. */
  ref?: number;
  /** Users who are mentioned, in a group; 0 is everybody. */
  at?: number[];
}

/** One entry of a conversation's log. When it changes, another object takes its place. */
export interface Entry extends Content {
  id: number;
  userid: number;
  /** 9 void, 10 and 11 message, 14 recall, 15 edit, 16 reaction. */
  cmd: number;
  dstid: number;
  cid?: string;
  seq: number;
  ts: number;
  /** When it was last edited. */
  edited?: number;
  /** Its text is gone. */
  recalled?: boolean;
  reactions?: Record<string, number[]>;
}

/** A message of one's own that the server has not acked yet. */
export interface Pending extends Content, Place {
  cid: string;
  /** 10 and 11 for messages, 14 to 16 for acts. */
  cmd: number;
  userid: number;
  ts: number;
  /** `sent`: on the way, no answer yet. `failed`: refused for `reason`, for good unless resent. */
  state: "queued" | "sent" | "failed";
  /** The slug of the refusal (`blocked`, `muted`, `no-such-user` …). */
  reason?: string;
}

/** A run of a conversation's log without a hole: seqs `low` to `high`. */
export interface Timeline {
  /** Ascending by seq, acts and all; `filter(isMessage)` are those to show. */
  readonly entries: readonly Entry[];
  readonly low: number | null;
  readonly high: number | null;
  /** Nothing that one may see lies before `low`. */
  readonly complete: boolean;
  /** It ends where the conversation ends, and grows with it: it is the conversation's own. */
  readonly live: boolean;
}

export interface Conversation extends Place {
  readonly key: string;
  /** As the server calls it; empty until known. */
  name: string;
  avatar: string;
  /** Of the newest entry that the server told of. */
  seq: number;
  /** The own read pointer. */
  read: number;
  unread: number;
  mentioned: boolean;
  pinned: boolean;
  muted: boolean;
  archived: boolean;
  draft: string;
  /** The newest message in its present state. */
  last: Entry | null;
  /** The end of the log. It holds nothing before the first `loadOlder`, or what offline storage had. */
  timeline: Timeline;
  /** How far the others have got: user id → pointers (seq). Filled by `loadReceipts` and live. */
  receipts: Map<number, { delivered: number; read: number }>;
  /** Who is writing now: user ids. */
  typing: Set<number>;
}

export interface User {
  id: number;
  username: string;
  jid: string;
  nickname: string;
  avatar: string;
  sex: string;
  memo: string;
  deleted?: boolean;
}

/** Where one is logged in. */
export interface Login {
  id: number;
  username: string;
  jid: string;
}

export type State = "stopped" | "connecting" | "syncing" | "online" | "waiting" | "replaced";

/**
 * Where the outbox and the last conversations are kept, by key: the browser's IndexedDB, or memory.
 * Another one may be given; every method may be slow, none may throw for want of space.
 */
export interface Store {
  get(key: string): Promise<unknown>;
  /** All pairs whose key begins so, in the order of keys. */
  entries(prefix: string): Promise<[string, unknown][]>;
  set(key: string, value: unknown): Promise<void>;
  delete(key: string): Promise<void>;
  /** Forgets all keys that begin so. */
  clear(prefix: string): Promise<void>;
}

/** Where the login's tokens are kept: `localStorage`, or anything with its three methods. */
export interface TokenStorage {
  getItem(key: string): string | null;
  setItem(key: string, value: string): void;
  removeItem(key: string): void;
}

export interface Options {
  /** The service's own address, `https://chat.example.org`; the page's own if left out. */
  base?: string;
  tokens?: TokenStorage;
  store?: Store;
  fetch?: typeof globalThis.fetch;
  /** Needed where there is no global one: Node before 22 (the package `ws` has one). */
  WebSocket?: unknown;
  /** Whether the tabs of a browser share one connection. Yes, if left out, where it can. */
  shared?: boolean;
  random?: () => number;
}

/** An HTTP call that did not succeed. */
export class ApiError extends Error {
  /** As in HTTP; 0: no answer came. */
  status: number;
  /** `taken`, `not-a-member` …; empty where plain HTTP says it. */
  reason: string;
  detail: string;
  /** Field → what is wrong with it. */
  errors: Record<string, string>;
  /** Seconds to wait, or null. */
  retryAfter: number | null;
}

/** A frame that was refused (cmd 2), or a question that got no answer (`code` 0). */
export class Refusal extends Error {
  code: number;
  reason: string;
  retryAfter: number | null;
}

export interface Events {
  /** `state` has changed. */
  state: undefined;
  /** The list or something in it has changed. */
  conversations: undefined;
  /** What is shown of one conversation has changed: entries, pending ones, receipts. */
  messages: { key: string };
  /** Somebody else's message came in live: in every tab. */
  message: { conversation: Conversation; message: Entry };
  typing: { key: string };
  /** cmd 20 of a contact. */
  presence: { userid: number; state: string; memo?: string };
  /** cmd 21: `request`, `accepted` or `removed`. */
  contact: { event: string; userid: number };
  /** cmd 22: `created`, `joined`, `left`, `removed`, `changed` or `dissolved`; `dstid` is the group. */
  group: { event: string; dstid: number; userid: number };
  /** Users that were asked for have come: see `person`. */
  people: undefined;
  /** There is no login any more; `wished`: by `logout()`. */
  ended: { wished: boolean };
  /** Another tab has logged in or out: reload. */
  outdated: undefined;
}

/**
 * One person's chat: login, connection, conversations, history and an outbox that loses nothing.
 * Works in browsers and in Node 20.
 */
export class Tandem extends EventTarget {
  constructor(options?: Options);

  // Login

  /** Null where nobody is logged in. */
  readonly user: Login | null;
  /** Makes an account and logs in. Throws `ApiError`: 409 `taken`, 422 with `errors`. */
  register(account: { username?: string; mobile?: string; password: string; nickname?: string }): Promise<void>;
  /** `who`: a username, an id, or a mobile number with its `+`. Throws `ApiError` 401, 429. */
  login(who: string, password: string): Promise<void>;
  /** Ends this session, `all`: every session of the account. What was not acked is forgotten. */
  logout(all?: boolean): Promise<void>;
  /** An HTTP call as this user, with fresh tokens. Throws `ApiError`. */
  request<T = any>(method: string, path: string, body?: unknown): Promise<T>;

  // Connection

  readonly state: State;
  /** When it connects again, where the state is `waiting`. */
  readonly retryAt: number;
  /** Reads what is stored, connects, and stays connected. Needs a login. */
  start(): Promise<void>;
  stop(): void;
  /** Does not wait any longer. */
  retryNow(): void;
  /** Comes back after a newer connection of the user took this one's place. */
  takeOver(): void;

  // Conversations

  /** Whether the list is the server's, not only what storage had. */
  readonly synced: boolean;
  /** Pinned ones first, then newest first; archived ones too. */
  readonly conversations: readonly Conversation[];
  conversation(key: string): Conversation | undefined;
  /** The conversation, a new empty one if need be. */
  open(chat: Chat, dstid: number, name?: string): Conversation;
  /** Sets any of these, on all of the user's devices. Throws `ApiError`. */
  change(place: Place, what: Partial<Pick<Conversation, "pinned" | "muted" | "archived" | "draft">>): Promise<void>;
  /** Everything up to the newest entry that is here has been read. */
  markRead(key: string): void;
  /** Reads how far the others have got (`conversation.receipts`). Throws `ApiError`. */
  loadReceipts(place: Place): Promise<void>;

  // History

  /** Loads the page before a timeline (the live one if left out). False: it could not be had now. */
  loadOlder(key: string, timeline?: Timeline): Promise<boolean>;
  /** Loads the page behind a timeline that does not reach the end; when it does, it is the live one. */
  loadNewer(key: string, timeline: Timeline): Promise<boolean>;
  /** A timeline with this seq in it and some entries around: the live one if that has it. Throws `Refusal`. */
  around(key: string, seq: number): Promise<Timeline>;
  search(q: string, options?: Partial<Place> & { sender?: number; media?: number; before?: number; limit?: number }): Promise<{ messages: Entry[]; more: boolean }>;

  // Sending

  /** What is not acked yet, in the order in which it was said: of one conversation, or all. */
  pending(key?: string): readonly Pending[];
  /** Queues a message and gives its cid. It is sent, again if need be, until the server answers. */
  send(place: Place, what: Content | string): string;
  edit(place: Place, id: number, content: string): string;
  recall(place: Place, id: number): string;
  /** `""` takes the reaction back. */
  react(place: Place, id: number, content: string): string;
  /** Sends a refused one once more, behind all others. */
  resend(cid: string): void;
  /** Forgets a refused one. */
  discard(cid: string): void;
  /** Tells the others that one is writing; to be called at each key, says so every 4 s at most. */
  typing(place: Place, isComposing?: boolean): void;
  setPresence(state: "online" | "away" | "dnd" | "offline", memo?: string): void;
  /** Uploads a file and gives its address for `url` or `pic`. Throws `ApiError` 413, 429, 503, or the signal's reason. */
  upload(file: Blob, options?: { name?: string; type?: string; onProgress?: (part: number) => void; signal?: AbortSignal }): Promise<string>;

  // People

  /** What is known of a user now; asked for once, then `people` is fired. */
  person(id: number): User | null;
  /** What to call them: own name for a contact, nickname, username, or the id. */
  nameOf(id: number): string;
  /** Forgets what is known of a user, who is asked for anew when next needed. */
  forget(id: number): void;

  on<K extends keyof Events>(type: K, act: (detail: Events[K]) => void): () => void;
}

// Contacts, requests and blocks of whoever is logged in, kept up by the client's events.

import { formatOf, nameOfUser } from "./format.js";

const PAGE = 1000;

/**
 * A user in one's list: a `User` whose `memo` is one's own name for them, with `state`: `both`,
 * `requested` (oneself has asked) or `pending` (they have). Contacts (`both`) have `presence` and
 * `status`, its description.
 *
 * @typedef {import("../sdk/tandem.js").User & {state: string, presence?: string, status?: string}}
 *   Contact
 */

/** What oneself calls a contact. */
export const nameOfContact = (contact) => contact.memo || nameOfUser(contact);

/** Fires `change`. Its calls throw the client's `ApiError`. */
export class Contacts extends EventTarget {
  #client;
  #entries = new Map(); // id → Contact
  #blocked = new Map(); // id → User
  #loading = null;
  #heard = new Map(); // presence that came while loading: newer than what is loaded

  constructor(client) {
    super();
    this.#client = client;
    /** Whether the list is the server's. */
    this.isLoaded = false;
    client.on("contact", ({ userid }) => quietly(this.#refresh(userid)));
    client.on("presence", (news) => this.#onPresence(news));
    const onState = () => client.state === "online" && quietly(this.#reload());
    client.on("state", onState);
    onState();
  }

  /** Contacts, by name. */
  get all() {
    return this.#of("both");
  }

  /** Those who have asked oneself, by name. */
  get pending() {
    return this.#of("pending");
  }

  /** Those whom oneself has asked, by name. */
  get requested() {
    return this.#of("requested");
  }

  /** Blocked users, by name. */
  get blocked() {
    return byName([...this.#blocked.values()], nameOfUser);
  }

  /** The contact or request; undefined if there is none. */
  get(id) {
    return this.#entries.get(id);
  }

  isBlocked(id) {
    return this.#blocked.has(id);
  }

  /** `online`, `away`, `dnd` or `offline`; of strangers always `offline`. */
  presenceOf(id) {
    return this.#entries.get(id)?.presence ?? "offline";
  }

  /** Reads the whole list. */
  load() {
    this.#loading ??= this.#read().finally(() => (this.#loading = null));
    return this.#loading;
  }

  async loadBlocks() {
    const { users } = await this.#client.request("GET", "/api/blocks");
    this.#blocked = new Map(users.map((user) => [user.id, user]));
    this.#changed();
  }

  /** Asks somebody, or accepts who has asked. `memo`: one's own name for them, or nothing. */
  ask(id, memo) {
    return this.#set("POST", "/api/contacts", memo ? { id, memo } : { id });
  }

  accept(id) {
    return this.#set("POST", `/api/contacts/${id}/accept`);
  }

  /** Gives a contact a name of one's own; an empty one takes it back. */
  async rename(id, memo) {
    await this.#set("PATCH", `/api/contacts/${id}`, { memo });
    this.#client.forget(id);
  }

  /** Ends it for both, withdraws a request, or refuses one. */
  async remove(id) {
    const wasNamed = Boolean(this.#entries.get(id)?.memo);
    await this.#client.request("DELETE", `/api/contacts/${id}`);
    await this.#settled();
    this.#entries.delete(id);
    if (wasNamed) this.#client.forget(id);
    this.#changed();
  }

  async block(id) {
    await this.#client.request("PUT", `/api/blocks/${id}`);
    await Promise.all([this.loadBlocks(), this.#refresh(id)]);
  }

  async unblock(id) {
    await this.#client.request("DELETE", `/api/blocks/${id}`);
    await Promise.all([this.loadBlocks(), this.#refresh(id)]);
  }

  #of(state) {
    const found = [...this.#entries.values()].filter((contact) => contact.state === state);
    return byName(found, nameOfContact);
  }

  /** What was missed while there was no connection. */
  async #reload() {
    await this.#settled();
    await Promise.all([this.load(), this.loadBlocks()]);
  }

  async #read() {
    this.#heard.clear();
    const entries = new Map();
    for (let after = 0, more = true; more; ) {
      const path = `/api/contacts?after=${after}&limit=${PAGE}`;
      const page = await this.#client.request("GET", path);
      for (const contact of page.contacts) entries.set(contact.id, contact);
      more = page.more && page.contacts.length > 0;
      after = page.contacts.at(-1)?.id;
    }
    for (const news of this.#heard.values()) present(entries.get(news.userid), news);
    this.#entries = entries;
    this.isLoaded = true;
    this.#changed();
  }

  /** Reads one entry anew, which may be none now. */
  async #refresh(id) {
    await this.#settled();
    const path = `/api/contacts?after=${id - 1}&limit=1`;
    const { contacts } = await this.#client.request("GET", path);
    if (contacts[0]?.id === id) this.#entries.set(id, contacts[0]);
    else this.#entries.delete(id);
    this.#changed();
  }

  async #set(method, path, body) {
    const contact = await this.#client.request(method, path, body);
    await this.#settled();
    this.#entries.set(contact.id, contact);
    this.#changed();
  }

  /** A list that is being loaded may be older than what is known by now: waits until it is here. */
  async #settled() {
    await this.#loading?.catch(() => {});
  }

  #onPresence(news) {
    this.#heard.set(news.userid, news);
    if (present(this.#entries.get(news.userid), news)) this.#changed();
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }
}

function present(contact, { state, memo = "" }) {
  if (contact?.state !== "both") return false;
  contact.presence = state;
  contact.status = memo;
  return true;
}

function byName(users, nameOf) {
  const { compare } = formatOf(Intl.Collator, { numeric: true });
  return users.sort((one, other) => compare(nameOf(one), nameOf(other)) || one.id - other.id);
}

/** Lets a call in the background fail: it is made again at the next connection. */
function quietly(call) {
  call.catch((error) => {
    if (error.status === undefined) throw error;
  });
}

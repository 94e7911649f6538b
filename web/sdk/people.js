// Other users by id, asked for once each; and what one calls one's contacts.

import { ApiError } from "./session.js";

const AT_ONCE = 4;
const PAGE = 1000;
const KEPT = 500; // users who are kept over a reload

export class People {
  #session;
  #emit;
  #users = new Map(); // id → user; null: asked for, or there is none
  #kept = new Map(); // as they were before the reload
  #wanted = [];
  #asking = 0;
  #ownNames = new Map();

  constructor({ session, emit }) {
    this.#session = session;
    this.#emit = emit;
  }

  /** The user; null until known. */
  get(id) {
    if (!this.#users.has(id)) {
      this.#users.set(id, null);
      this.#wanted.push(id);
      this.#ask();
    }
    return this.#users.get(id) ?? this.#kept.get(id) ?? null;
  }

  name(id) {
    const own = this.#ownNames.get(id);
    if (own) return own;
    const user = this.get(id);
    return user?.nickname || user?.username || String(id);
  }

  forget(id) {
    this.#users.delete(id);
    this.loadContacts(); // the own name may be another now
  }

  /** Who is known, as plain data. */
  saved() {
    const known = [...this.#users].filter(([, user]) => user);
    const users = [...new Map([...this.#kept, ...known]).values()];
    return { users: users.slice(-KEPT), names: [...this.#ownNames] };
  }

  /** Takes in what was saved; it counts until the server is asked. */
  restore({ users, names }) {
    for (const user of users) this.#kept.set(user.id, user);
    if (!this.#ownNames.size) this.#ownNames = new Map(names);
  }

  /** Reads the names that one has given to contacts. */
  async loadContacts() {
    const names = new Map();
    try {
      for (let after = 0, more = true; more; ) {
        const path = `/api/contacts?after=${after}&limit=${PAGE}`;
        const page = await this.#session.request("GET", path);
        for (const { id, memo } of page.contacts) if (memo) names.set(id, memo);
        after = page.contacts.at(-1)?.id;
        more = page.more && after !== undefined;
      }
    } catch (error) {
      if (error instanceof ApiError) return; // as before, until the next connection
      throw error;
    }
    this.#ownNames = names;
    this.#emit("people");
  }

  async #ask() {
    if (this.#asking >= AT_ONCE) return;
    this.#asking++;
    for (let id = this.#wanted.shift(); id !== undefined; id = this.#wanted.shift()) {
      try {
        this.#users.set(id, await this.#session.request("GET", `/api/users/${id}`));
        this.#emit("people");
      } catch (error) {
        if (error.status !== 404) this.#users.delete(id); // asked for again when next needed
      }
    }
    this.#asking--;
  }
}

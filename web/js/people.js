// Names of other users by id, asked for once each.

import { fullName } from "./dom.js";

/** Fires `named` when a name that was asked for has come. */
export class People extends EventTarget {
  #session;
  #names = new Map();

  constructor(session) {
    super();
    this.#session = session;
  }

  /** The name; the id until it is known. */
  name(id) {
    if (!this.#names.has(id)) {
      this.#names.set(id, String(id));
      this.#fetch(id);
    }
    return this.#names.get(id);
  }

  async #fetch(id) {
    try {
      this.#names.set(id, fullName(await this.#session.request("GET", `/api/users/${id}`)));
      this.dispatchEvent(new Event("named"));
    } catch (error) {
      if (error.status !== 404) this.#names.delete(id); // asked again when next shown
    }
  }
}

// The last conversations and the names in them, kept so that they are shown at once, and without
// a connection.

const ROWS = 200;
const LOGS = 30; // conversations whose entries are kept
const ENTRIES = 50; // of each
const WRITE_MS = 1000;

export class Shelf {
  #store;
  #prefix;
  #link;
  #conversations;
  #people;
  #newPeople = false;
  #changed = new Set();
  #stored = new Set();
  #timer = null;

  constructor({ store, prefix, link, conversations, people }) {
    this.#store = store;
    this.#prefix = prefix;
    this.#link = link;
    this.#conversations = conversations;
    this.#people = people;
  }

  async restore() {
    const people = await this.#store.get(`${this.#prefix}people`);
    if (people) this.#people.restore(people);
    this.#conversations.restore((await this.#store.get(`${this.#prefix}inbox`)) ?? []);
    for (const [name, log] of await this.#store.entries(`${this.#prefix}log:`)) {
      const key = name.slice(`${this.#prefix}log:`.length);
      this.#stored.add(key);
      const timeline = this.#conversations.find(key)?.timeline;
      if (timeline?.high === null) timeline.restore(log);
    }
  }

  start() {
    globalThis.addEventListener?.("pagehide", this.#write);
    globalThis.document?.addEventListener("visibilitychange", this.#hidden);
  }

  stop() {
    globalThis.removeEventListener?.("pagehide", this.#write);
    globalThis.document?.removeEventListener("visibilitychange", this.#hidden);
    this.#write();
  }

  /** Forgets what was to be written. */
  drop() {
    clearTimeout(this.#timer);
    this.#timer = null;
    this.#changed.clear();
  }

  /** Something in the list has changed, or, with `key`, in this conversation's log. */
  changed(key) {
    if (key) this.#changed.add(key);
    this.#timer ??= setTimeout(this.#write, WRITE_MS);
  }

  /** More is known of other users. */
  peopleChanged() {
    this.#newPeople = true;
    this.changed();
  }

  #hidden = () => {
    if (document.visibilityState === "hidden") this.#write();
  };

  #write = () => {
    if (!this.#timer) return;
    clearTimeout(this.#timer);
    this.#timer = null;
    if (!this.#link.leads) return;
    if (this.#newPeople) this.#store.set(`${this.#prefix}people`, this.#people.saved());
    this.#newPeople = false;
    this.#store.set(`${this.#prefix}inbox`, this.#conversations.saved(ROWS));
    const withLog = this.#conversations.list.filter(({ timeline }) => timeline.entries.length);
    withLog.sort((one, other) => (other.last?.ts ?? 0) - (one.last?.ts ?? 0));
    const recent = new Map(withLog.slice(0, LOGS).map((one) => [one.key, one]));
    for (const [key, { timeline }] of recent) {
      if (this.#stored.has(key) && !this.#changed.has(key)) continue;
      this.#store.set(`${this.#prefix}log:${key}`, timeline.saved(ENTRIES));
      this.#stored.add(key);
    }
    for (const key of this.#stored) {
      if (recent.has(key)) continue;
      this.#store.delete(`${this.#prefix}log:${key}`);
      this.#stored.delete(key);
    }
    this.#changed.clear();
  };
}

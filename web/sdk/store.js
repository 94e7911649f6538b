// Where the outbox and the last conversations are kept: see `Store` in tandem.d.ts.

/** Gone with the page or process. */
export class MemoryStore {
  #pairs = new Map();

  async get(key) {
    return this.#pairs.get(key);
  }

  async entries(prefix) {
    const found = [...this.#pairs].filter(([key]) => key.startsWith(prefix));
    return found.sort(([one], [other]) => (one < other ? -1 : 1));
  }

  async set(key, value) {
    this.#pairs.set(key, structuredClone(value));
  }

  async delete(key) {
    this.#pairs.delete(key);
  }

  async clear(prefix) {
    for (const [key] of await this.entries(prefix)) this.#pairs.delete(key);
  }
}

const PAIRS = "pairs";
const OPEN_MS = 5000; // an open that is blocked for longer will not succeed

const done = (request) =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });

const from = (prefix) => IDBKeyRange.bound(prefix, `${prefix}\uffff`);

/** Over reloads, where the browser lets us; what it does not take is kept in memory. */
export class IndexedStore {
  #memory = new MemoryStore();
  #opening = null;

  async get(key) {
    return (await this.#memory.get(key)) ?? this.#try("readonly", (pairs) => done(pairs.get(key)));
  }

  async entries(prefix) {
    const pairs = new Map();
    await this.#try("readonly", async (stored) => {
      const asked = [stored.getAllKeys(from(prefix)), stored.getAll(from(prefix))];
      const [keys, values] = await Promise.all(asked.map(done));
      keys.forEach((key, place) => pairs.set(key, values[place]));
    });
    for (const [key, value] of await this.#memory.entries(prefix)) pairs.set(key, value);
    return [...pairs].sort(([one], [other]) => (one < other ? -1 : 1));
  }

  async set(key, value) {
    const isStored = await this.#try("readwrite", async (pairs) => {
      await done(pairs.put(value, key));
      return true;
    });
    if (isStored) await this.#memory.delete(key);
    else await this.#memory.set(key, value);
  }

  async delete(key) {
    await this.#memory.delete(key);
    await this.#try("readwrite", (pairs) => done(pairs.delete(key)));
  }

  async clear(prefix) {
    await this.#memory.clear(prefix);
    await this.#try("readwrite", (pairs) => done(pairs.delete(from(prefix))));
  }

  /** What `task` gives; undefined where there is no database, or it does not take it. */
  async #try(mode, task) {
    try {
      this.#opening ??= this.#open();
      const transaction = (await this.#opening).transaction(PAIRS, mode);
      const ended = new Promise((resolve, reject) => {
        transaction.oncomplete = resolve;
        transaction.onabort = () => reject(transaction.error); // the disk is full, say
      });
      const asked = task(transaction.objectStore(PAIRS));
      transaction.commit?.(); // else it waits for answers, which a page that is left never gets
      const [value] = await Promise.all([asked, ended]);
      return value;
    } catch {
      return undefined;
    }
  }

  async #open() {
    const request = indexedDB.open("tandem", 1);
    request.onupgradeneeded = () => request.result.createObjectStore(PAIRS);
    const tooLong = new Promise((_, reject) => {
      setTimeout(() => reject(new Error("blocked")), OPEN_MS);
    });
    const database = await Promise.race([done(request), tooLong]);
    const reopen = () => (this.#opening = null);
    database.onclose = reopen;
    database.onversionchange = () => {
      database.close();
      reopen();
    };
    return database;
  }
}

/** IndexedDB where there is one. */
export const defaultStore = () => (globalThis.indexedDB ? new IndexedStore() : new MemoryStore());

/** The three methods of `localStorage` that tokens need, in memory. */
class MemoryTokens {
  #items = new Map();

  getItem(key) {
    return this.#items.get(key) ?? null;
  }

  setItem(key, value) {
    this.#items.set(key, value);
  }

  removeItem(key) {
    this.#items.delete(key);
  }
}

/** `localStorage` in pages that may use it. */
export function defaultTokens() {
  try {
    return globalThis.window?.localStorage ?? new MemoryTokens();
  } catch {
    return new MemoryTokens(); // the browser keeps nothing for this page
  }
}

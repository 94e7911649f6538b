// What was begun and not sent. It is kept on the server, for this person's other devices too.

const PASSING = new Set([0, 429, 503]); // no network, too many calls, no database

export class Drafts {
  #client;
  #unsaved = new Map(); // conversation's key → {place, draft} that the server does not have yet
  #saving = false;

  constructor(client) {
    this.#client = client;
    client.on("state", () => client.state === "online" && this.#save());
  }

  /** The newest draft of a conversation, from here or another device. */
  of({ key, draft }) {
    return this.#unsaved.get(key)?.draft ?? draft;
  }

  set(conversation, draft) {
    const { key, chat, dstid } = conversation;
    conversation.draft = draft;
    this.#unsaved.set(key, { place: { chat, dstid }, draft });
    this.#save();
  }

  /** One call after the other, lest an older draft comes last. */
  async #save() {
    if (this.#saving) return;
    this.#saving = true;
    for (let next; (next = this.#unsaved.entries().next().value); ) {
      const [key, one] = next;
      try {
        await this.#client.change(one.place, { draft: one.draft });
      } catch (error) {
        if (PASSING.has(error.status)) break; // there is a next change or connection
      }
      if (this.#unsaved.get(key) === one) this.#unsaved.delete(key);
    }
    this.#saving = false;
  }
}

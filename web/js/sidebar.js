// The list of conversations, the state of the connection, and the own address.

import { SINGLE } from "./client.js";
import {
  arrange, badge, byId, clock, coalesced, dayName, el, startOfDay, summary, tell,
} from "./dom.js";
import { t } from "./i18n.js";

const PATIENCE_MS = 500; // a connection made faster than this is not worth a word

export class Sidebar {
  #client;
  #people;
  #rows = new Map();
  #open = null;
  #statusTimer;

  constructor(client, people, session) {
    this.#client = client;
    this.#people = people;
    const render = coalesced(() => this.#render());
    client.addEventListener("conversations", render);
    client.addEventListener("messages", render);
    people.addEventListener("named", render);
    client.addEventListener("state", () => this.#showState());
    document.addEventListener("language", () => {
      render();
      this.#showState();
    });
    const { id, username, jid } = session.user;
    byId("own-name").textContent = username || String(id);
    byId("own-jid").textContent = jid;
    byId("status").querySelector("button").addEventListener("click", () => {
      client.retryNow();
      client.takeOver();
    });
    this.#render();
  }

  /** What this user calls the conversation. */
  nameOf({ chat, dstid, name }) {
    if (chat === SINGLE && dstid === this.#client.userid) return t("notes");
    return name || (chat === SINGLE ? this.#people.name(dstid) : String(dstid));
  }

  /** Marks the conversation that is open; null: none. */
  mark(key) {
    this.#open = key;
    this.#render();
  }

  #render() {
    const { conversations, synced } = this.#client;
    const nodes = conversations.map((conversation) => this.#row(conversation));
    const focused = document.activeElement;
    arrange(byId("conversations"), nodes);
    if (focused !== document.activeElement && focused.isConnected) focused.focus();
    byId("no-conversations").hidden = !synced || nodes.length > 0;
    const unread = conversations.reduce((sum, one) => sum + one.unread, 0);
    document.title = unread ? `(${unread}) Tandem` : "Tandem";
  }

  #row(conversation) {
    const { key, chat, dstid, unread } = conversation;
    const waiting = this.#client.outbox.of(chat, dstid).at(-1);
    const last = waiting ? { ...waiting, userid: this.#client.userid } : conversation.last;
    const name = this.nameOf(conversation);
    const today = last && last.ts >= startOfDay(Date.now());
    const when = last ? (today ? clock(last.ts) : dayName(last.ts)) : "";
    const who = last?.userid === this.#client.userid ? t("you") : this.#sender(conversation, last);
    const preview = last ? [who, summary(last)].filter(Boolean).join(": ") : "";
    const isOpen = key === this.#open;
    const shown = preview.slice(0, 200);
    const looks = JSON.stringify([name, when, shown, unread, isOpen, t("language")]);
    const old = this.#rows.get(key);
    if (old?.looks === looks) return old.node;

    const node = old?.node ?? el("li", {}, el("a", { href: `#/${key}` }));
    const link = node.firstChild;
    link.replaceChildren(
      badge(name, chat, dstid),
      el(
        "span",
        { className: "row-text" },
        el("span", { className: "row-name", dir: "auto" }, name),
        el("time", {}, when),
        el("span", { className: "row-last", dir: "auto" }, shown),
      ),
    );
    if (unread) {
      const count = unread > 99 ? "99+" : String(unread);
      const props = { className: "unread", role: "img", "aria-label": t("unread", { count }) };
      link.lastChild.append(el("span", props, count));
    }
    if (isOpen) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
    this.#rows.set(key, { node, looks });
    return node;
  }

  #sender({ chat }, last) {
    return chat === SINGLE || !last ? "" : this.#people.name(last.userid);
  }

  #showState() {
    clearTimeout(this.#statusTimer);
    const { state } = this.#client;
    const text = { waiting: "waiting", replaced: "replaced" }[state] ?? "connecting";
    const isQuick = state === "connecting" || state === "syncing";
    const bar = byId("status");
    const action = bar.querySelector("button");
    const show = () => {
      tell(bar, "");
      bar.append(el("span", {}, t(text)), " ", action);
      bar.hidden = false;
      tell(action, { waiting: t("tryNow"), replaced: t("useHere") }[state] ?? "");
    };
    if (state === "online" || state === "stopped") bar.hidden = true;
    else if (isQuick && bar.hidden) this.#statusTimer = setTimeout(show, PATIENCE_MS);
    else show();
  }
}

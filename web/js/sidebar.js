// The left pane: who one is, the list of conversations, and the state of the connection.

import { GROUP, SINGLE } from "../sdk/tandem.js";
import { avatar } from "./avatar.js";
import { openMenu } from "./dialog.js";
import { arrange, button, coalesced, el, iconButton, tell } from "./dom.js";
import { shortTime, summary } from "./format.js";
import { icon } from "./icons.js";
import { language, t } from "./i18n.js";

const PATIENCE_MS = 600; // a connection made faster than this is not worth a word
const PREVIEW_CHARS = 160;
const SIGNS = { online: "eye", away: "moon", dnd: "bell-off", offline: "eye-off" };

export class Sidebar {
  #app;
  #client;
  #root = document.getElementById("sidebar");
  #rows = new Map();
  #open = null;
  #inArchive = false;
  #presence = "online";
  #statusTimer;
  #me = el("button", { type: "button", className: "me", "aria-haspopup": "menu" });
  #requests = el("span", { className: "count", hidden: true });
  #find = el("input", {
    type: "search",
    autocomplete: "off",
    spellcheck: false,
    enterKeyHint: "search",
  });
  #status = el("div", { className: "status", role: "status", hidden: true });
  #list = el("ul", { className: "conversations" });
  #empty = el("div", { className: "empty", hidden: true });

  constructor(app) {
    this.#app = app;
    this.#client = app.client;
    const render = coalesced(() => this.#render());
    const { client, contacts } = app;
    for (const type of ["conversations", "messages", "people", "typing"]) client.on(type, render);
    contacts.addEventListener("change", render);
    client.on("state", () => this.#showState());
    document.addEventListener("language", () => {
      this.#build();
      this.#showState();
    });
    this.#me.addEventListener("click", () => this.#openOwnMenu());
    this.#find.addEventListener("input", render);
    this.#find.addEventListener("keydown", (event) => this.#findKey(event));
    this.#list.addEventListener("keydown", (event) => this.#listKey(event));
    this.#list.addEventListener("contextmenu", (event) => {
      const key = event.target.closest("li")?.dataset.key;
      if (!key) return;
      event.preventDefault();
      app.openMenuOf(key, { x: event.clientX, y: event.clientY });
    });
    this.#build();
  }

  /** Marks the conversation that is open; null: none. */
  mark(key) {
    this.#open = key;
    this.#render();
  }

  #build() {
    const { openPanel } = this.#app;
    const people = iconButton("users", "contacts", { className: "icon with-count" });
    people.append(this.#requests);
    people.addEventListener("click", () => openPanel("contacts"));
    const start = iconButton("message-square-plus", "newChat", {
      id: "new",
      "aria-haspopup": "menu",
    });
    start.addEventListener("click", () => {
      openMenu(start, [
        { shape: "user", name: "newChat", act: () => openPanel("new-chat") },
        { shape: "users", name: "newGroup", act: () => openPanel("new-group") },
        { shape: "sticky-note", name: "notes", act: () => this.#openNotes() },
      ]);
    });
    this.#find.placeholder = t("find");
    this.#find.setAttribute("aria-label", t("find"));
    this.#list.setAttribute("aria-label", t("conversations"));
    this.#rows.clear();
    this.#root.replaceChildren(
      el("header", { className: "bar" }, this.#me, people, start),
      el("div", { className: "find" }, icon("search"), this.#find),
      this.#status,
      this.#empty,
      this.#list,
    );
    this.#render();
  }

  #openNotes() {
    this.#app.go(this.#client.open(SINGLE, this.#client.user.id).key);
  }

  #openOwnMenu() {
    const { openPanel } = this.#app;
    const status = t("status", { state: t(`presence.${this.#presence}`) });
    openMenu(this.#me, [
      { shape: "eye", text: status, act: () => this.#openStatusMenu() },
      null,
      { shape: "user", name: "profile", act: () => openPanel("profile") },
      { shape: "laptop", name: "devices", act: () => openPanel("devices") },
      { shape: "qr-code", name: "xmppApp", act: () => openPanel("xmpp") },
      { shape: "settings", name: "settings", act: () => openPanel("settings") },
      null,
      { shape: "log-out", name: "logOut", act: () => this.#logOut() },
    ]);
  }

  /** What contacts see of this person; until this device goes, which says it for itself only. */
  #openStatusMenu() {
    const states = ["online", "away", "dnd", "offline"];
    const entry = (state) => ({
      ...{ shape: SIGNS[state], isChecked: state === this.#presence },
      text: state === "offline" ? t("invisible") : t(`presence.${state}`),
      act: () => {
        this.#presence = state;
        this.#client.setPresence(state);
        this.#renderOwn();
      },
    });
    openMenu(this.#me, states.map(entry));
  }

  async #logOut() {
    const { askLogout } = await import("./menus.js");
    await askLogout(this.#client);
  }

  #render() {
    this.#renderOwn();
    const words = this.#find.value.trim().toLowerCase();
    const all = this.#client.conversations;
    const archived = all.filter((one) => one.archived);
    let shown = this.#inArchive && archived.length ? archived : all.filter((one) => !one.archived);
    if (words) shown = all.filter((one) => this.#app.nameOf(one).toLowerCase().includes(words));
    const nodes = shown.map((one) => this.#row(one));
    if (words) nodes.push(...this.#findRows(this.#find.value.trim()));
    else if (archived.length) nodes.unshift(this.#archiveRow(archived.length));
    const focused = document.activeElement;
    arrange(this.#list, nodes);
    if (focused !== document.activeElement && focused?.isConnected) focused.focus();
    this.#renderEmpty(!words && !all.length);
  }

  #renderOwn() {
    const { id, username } = this.#client.user;
    const person = this.#client.person(id);
    const name = person?.nickname || username || String(id);
    const presence = this.#presence;
    const looks = JSON.stringify([name, person?.avatar, presence, language]);
    if (this.#me.dataset.looks !== looks) {
      this.#me.dataset.looks = looks;
      const picture = avatar(name, { id, url: person?.avatar, presence });
      const rest = el("span", { className: "hidden-text" }, t("ownMenu", { name: "" }));
      this.#me.replaceChildren(picture, el("span", { className: "cut" }, name), rest);
    }
    const count = this.#app.contacts.pending.length;
    tell(this.#requests, count ? String(count) : "");
    const label = count
      ? [t("contacts"), t("requests", { count })].join(t("comma"))
      : t("contacts");
    this.#requests.parentElement.setAttribute("aria-label", label);
  }

  #renderEmpty(isEmpty) {
    this.#empty.hidden = !isEmpty;
    this.#list.hidden = isEmpty;
    if (!isEmpty) return;
    if (!this.#client.synced) {
      this.#empty.replaceChildren(el("p", {}, t("loading")));
      return;
    }
    if (this.#empty.querySelector("button")) return;
    const start = button("newChat", { className: "primary" });
    start.addEventListener("click", () => this.#app.openPanel("new-chat"));
    this.#empty.replaceChildren(
      icon("message-square-plus"),
      el("p", {}, t("noConversations")),
      start,
    );
  }

  #row(conversation) {
    const { key, chat, dstid, unread, mentioned, pinned, muted, draft } = conversation;
    const name = this.#app.nameOf(conversation);
    const isOpen = key === this.#open;
    const { text, kind } = this.#lastLine(conversation);
    const ts = this.#newest(conversation)?.ts;
    const when = ts ? shortTime(ts) : "";
    const presence = chat === SINGLE ? this.#app.contacts.presenceOf(dstid) : "";
    const picture = this.#pictureOf(conversation);
    const marks = [unread, mentioned, pinned, muted, isOpen ? "" : draft];
    const looks = JSON.stringify([
      name,
      when,
      text,
      kind,
      isOpen,
      presence,
      picture,
      marks,
      language,
    ]);
    const old = this.#rows.get(key);
    if (old?.looks === looks) return old.node;

    const node = old?.node ?? this.#newRow(key);
    const link = node.querySelector("a");
    const lastLine = el("span", { className: `row-last is-${kind}`, dir: "auto" });
    if (kind === "draft") lastLine.append(el("span", { className: "draft" }, t("draft")), " ");
    if (unread) lastLine.classList.add("is-unread");
    lastLine.append(text);
    const shape = chat === SINGLE && dstid === this.#client.user.id ? "sticky-note" : "";
    link.replaceChildren(
      avatar(name, { id: dstid, chat, url: picture, presence, shape }),
      el(
        "span",
        { className: "row-text" },
        el("span", { className: "row-name", dir: "auto" }, name),
        ts ? el("time", { dateTime: new Date(ts).toISOString() }, when) : el("span"),
        lastLine,
        this.#marks(conversation),
      ),
    );
    if (isOpen) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
    node.querySelector(".row-more").setAttribute("aria-label", t("actionsFor", { name }));
    this.#rows.set(key, { node, looks });
    return node;
  }

  #newRow(key) {
    const link = el("a", { className: "row conversation", href: `#/${key}`, draggable: false });
    const more = iconButton("ellipsis-vertical", "more", {
      className: "icon row-more",
      tabIndex: -1,
    });
    more.addEventListener("click", () => this.#app.openMenuOf(key, more));
    const node = el("li", {}, link, more);
    node.dataset.key = key;
    return node;
  }

  #pictureOf({ chat, dstid, avatar: url }) {
    return chat === GROUP ? url : this.#client.person(dstid)?.avatar || url;
  }

  #newest({ key, last }) {
    const waiting = this.#client
      .pending(key)
      .findLast((one) => one.cmd === SINGLE || one.cmd === GROUP);
    return waiting ?? last;
  }

  /** What the second line of a row says: who is writing, a draft, or the last message. */
  #lastLine(conversation) {
    const { key, chat, dstid, draft, typing } = conversation;
    if (typing.size) {
      const [who] = typing;
      const name = chat === GROUP ? this.#client.nameOf(who) : "";
      return { text: name ? t("isWriting", { name }) : t("writing"), kind: "typing" };
    }
    if (draft && key !== this.#open) return { text: draft.slice(0, PREVIEW_CHARS), kind: "draft" };
    const last = this.#newest(conversation);
    if (!last) return { text: "", kind: "none" };
    const isOwn = last.userid === this.#client.user.id;
    const isNotes = chat === SINGLE && dstid === this.#client.user.id;
    let who = chat === GROUP ? this.#client.nameOf(last.userid) : "";
    if (isOwn) who = isNotes ? "" : t("you");
    const text = [who, summary(last).slice(0, PREVIEW_CHARS)].filter(Boolean).join(": ");
    return { text, kind: last.state === "failed" ? "failed error" : "said" };
  }

  #marks({ unread, mentioned, pinned, muted }) {
    const marks = el("span", { className: "marks" });
    const sign = (shape, name) =>
      el("span", { role: "img", "aria-label": t(name), title: t(name) }, icon(shape));
    if (mentioned && unread) {
      const at = sign("at-sign", "mentioned");
      at.className = "mention";
      marks.append(at);
    }
    if (muted) marks.append(sign("bell-off", "isMuted"));
    if (pinned) marks.append(sign("pin", "isPinned"));
    if (unread) {
      const count = unread > 99 ? "99+" : String(unread);
      const props = { className: "count", role: "img", "aria-label": t("unread", { count }) };
      const badge = el("span", props, count);
      badge.classList.toggle("is-muted", muted);
      marks.append(badge);
    }
    return marks;
  }

  #archiveRow(count) {
    const name = this.#inArchive ? "allConversations" : "archive";
    const row = el("button", { type: "button", className: "row archive-row" });
    row.append(
      icon(this.#inArchive ? "arrow-left" : "archive"),
      el("span", { className: "grow" }, t(name)),
    );
    if (!this.#inArchive) row.append(el("span", { className: "muted" }, String(count)));
    row.addEventListener("click", () => {
      this.#inArchive = !this.#inArchive;
      this.#render();
    });
    return el("li", {}, row);
  }

  /** Below what was found in the list: looking further. */
  #findRows(words) {
    const { openPanel } = this.#app;
    const row = (shape, name, act) => {
      const node = el("button", { type: "button", className: "row find-row" }, icon(shape));
      node.append(el("span", { className: "cut" }, t(name, { words })));
      node.addEventListener("click", act);
      return el("li", {}, node);
    };
    return [
      row("search", "findMessages", () => openPanel("search", { q: words })),
      row("user-plus", "findPeople", () => openPanel("new-chat", { q: words })),
    ];
  }

  #findKey(event) {
    if (event.isComposing) return;
    if (event.key === "Escape") {
      this.#find.value = "";
      this.#render();
    } else if (event.key === "ArrowDown") {
      this.#list.querySelector("a, button")?.focus();
      event.preventDefault();
    } else if (event.key === "Enter") {
      this.#list.querySelector("a, button")?.click();
    }
  }

  /** Arrow keys go from row to row. */
  #listKey(event) {
    const stops = [...this.#list.querySelectorAll("a, button:not(.row-more)")];
    const at = stops.indexOf(event.target.closest("li")?.querySelector("a, button"));
    const steps = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: stops.length - 1 };
    if (at < 0 || !(event.key in steps)) return;
    event.preventDefault();
    if (steps[event.key] < 0) this.#find.focus();
    else stops[steps[event.key]]?.focus();
  }

  #showState() {
    clearTimeout(this.#statusTimer);
    const { state } = this.#client;
    const text = { waiting: "waiting", replaced: "replaced" }[state] ?? "connecting";
    const action = { waiting: "tryNow", replaced: "useHere" }[state];
    const show = () => {
      this.#status.replaceChildren(el("span", {}, t(text)));
      this.#status.hidden = false;
      if (!action) return;
      const go = button(action, { className: "small" });
      go.addEventListener("click", () => {
        this.#client.retryNow();
        this.#client.takeOver();
      });
      this.#status.append(go);
    };
    if (state === "online" || state === "stopped") this.#status.hidden = true;
    else if (!action && this.#status.hidden) this.#statusTimer = setTimeout(show, PATIENCE_MS);
    else show();
  }
}

// The open conversation: its messages, what is known of the other side, and the box to write in.

import { GROUP, SINGLE } from "../sdk/tandem.js";
import { avatar } from "./avatar.js";
import { Composer } from "./composer.js";
import { notify } from "./dialog.js";
import { byId, button, coalesced, el, iconButton, tell } from "./dom.js";
import { dayName, errorText, summary } from "./format.js";
import { icon } from "./icons.js";
import { Items } from "./items.js";
import { language, t } from "./i18n.js";
import { MessageRow } from "./message.js";
import { VirtualList } from "./widgets/virtual-list.js";

const ESTIMATE = { edge: 56, day: 44, unread: 40, message: 64 }; // pixels

export class Thread {
  #app;
  #client;
  #root = byId("thread");
  #key = null;
  #conversation = null;
  #timeline = null;
  #items = null;
  #unreadFrom = Infinity;
  #loading = false;
  #stalled = false; // older messages could not be loaded
  #list;
  #row;
  #composer;
  #head = el("header", { className: "bar thread-bar" });
  #news = el("button", { type: "button", className: "announcement", hidden: true });
  #scroller = el("div", { className: "scroller", tabIndex: 0, role: "region" });
  #toEnd = el("button", { type: "button", className: "icon to-end with-count", hidden: true });

  constructor(app) {
    this.#app = app;
    const client = (this.#client = app.client);
    this.#row = new MessageRow(app, {
      timelineMessage: (id) => this.#items?.find(id),
      reply: (message) => this.#composer.reply(message),
      edit: (message) => this.#composer.edit(message),
      show: (message) => this.#goTo(message),
      find: (id) => this.#findQuoted(id),
    });
    this.#composer = new Composer(app, {
      sent: () => this.#followEnd(),
      editLast: () => this.#editLast(),
      setDrop: this.#root,
    });
    const stage = el("div", { className: "stage" }, this.#scroller, this.#toEnd);
    this.#root.append(this.#placeholder(), this.#head, this.#news, stage, this.#composer.node);
    this.#list = new VirtualList(this.#scroller, {
      list: this.#scroller.appendChild(el("div")),
      key: (item) => item.key,
      looks: (item) => this.#looks(item),
      render: (item) => this.#render(item),
      estimate: (item) => ESTIMATE[item.kind],
    });
    this.#listen(client, app);
  }

  #listen(client, app) {
    const update = coalesced(() => this.#update());
    const updateHead = coalesced(() => this.#renderHead());
    client.on("messages", ({ key }) => key === this.#key && update());
    client.on("conversations", () => (update(), updateHead()));
    client.on("people", () => (update(), updateHead()));
    client.on("typing", ({ key }) => key === this.#key && updateHead());
    client.on("message", (news) => this.#announce(news));
    client.on("state", () => {
      this.#stalled = false;
      update();
      updateHead();
    });
    app.contacts.addEventListener("change", updateHead);
    app.groups.addEventListener("change", () => (updateHead(), update()));
    document.addEventListener("language", () => {
      this.#root.querySelector(".placeholder").replaceWith(this.#placeholder());
      this.#composer.translate();
      this.#renderHead();
      this.#update();
    });
    document.addEventListener("visibilitychange", update);
    this.#list.addEventListener("scroll", ({ detail }) => this.#scrolled(detail));
    this.#toEnd.append(icon("arrow-down"), el("span", { className: "count", hidden: true }));
    this.#toEnd.addEventListener("click", () => this.#followEnd());
    this.#news.addEventListener("click", () => app.openPanel("group", this.#conversation.dstid));
    this.#scroller.addEventListener("keydown", (event) =>
      this.#row.handleKey(event, this.#scroller),
    );
    addEventListener("keydown", (event) => {
      const isFree = !event.defaultPrevented && !document.querySelector("dialog[open], .menu");
      if (event.key === "Escape" && isFree && this.#key)
        this.#composer.cancelOr(() => app.go(null));
    });
  }

  #placeholder() {
    const words = el("p", {}, t("chooseConversation"));
    return el("div", { className: "empty placeholder" }, icon("message-square-plus"), words);
  }

  /** Shows a conversation, at a message if a seq is given, else at its end or first unread message. */
  async open(key, seq = 0) {
    const isOther = key !== this.#key;
    if (isOther) this.#leave();
    this.#key = key;
    this.#conversation = key ? this.#client.conversation(key) : null;
    this.#root.classList.toggle("is-open", key !== null);
    if (!key) return;
    if (isOther) this.#enter();
    if (seq) await this.#jump(seq);
    if (!isOther || !matchMedia("(pointer: fine)").matches) return;
    // When all is in its place: before, it would have to be placed twice.
    requestAnimationFrame(() => key === this.#key && this.#composer.focus());
  }

  #leave() {
    this.#composer.leave();
    this.#row.close();
    this.#timeline = null;
  }

  #enter() {
    const { chat, dstid, timeline, unread, read } = this.#conversation;
    this.#client.open(chat, dstid); // it is looked at: its timeline is kept whole
    this.#items = new Items(this.#client.user.id);
    this.#timeline = timeline;
    this.#unreadFrom = unread ? read + 1 : Infinity;
    this.#stalled = false;
    this.#row.enter(this.#conversation);
    this.#composer.enter(this.#conversation);
    this.#scroller.setAttribute("aria-label", t("messages"));
    this.#renderHead();
    this.#list.set([]);
    this.#update();
    this.#list.scrollToEnd();
    if (chat === SINGLE || (this.#app.groups.get(dstid)?.count ?? 0) <= 200) {
      this.#client.loadReceipts({ chat, dstid }).catch(() => {});
    }
  }

  /** Goes to a seq, which may be far away from what is loaded. */
  async #jump(seq) {
    const key = this.#key;
    let timeline;
    try {
      timeline = await this.#client.around(key, seq);
    } catch (error) {
      notify(errorText(error), { isError: true });
      return;
    }
    if (key !== this.#key) return;
    this.#timeline = timeline;
    this.#update();
    const message = timeline.entries.find((entry) => entry.seq === seq);
    if (message) this.#goTo(message);
  }

  #goTo({ userid, cid, seq }) {
    const isOwn = userid === this.#client.user.id && cid;
    this.#list.scrollTo(isOwn ? `own ${cid}` : `seq ${seq}`, { block: "center", highlight: true });
  }

  /** Loads older pages until a quoted message is there; it is older than who quotes it. */
  async #findQuoted(id) {
    for (let pages = 0; pages < 20 && !this.#items.find(id) && !this.#timeline.complete; pages++) {
      if (!(await this.#client.loadOlder(this.#key, this.#timeline))) break;
      this.#update();
    }
    const message = this.#items.find(id);
    if (message) this.#goTo(message);
    else notify(t("notFound"));
  }

  #followEnd() {
    const { timeline } = this.#conversation;
    if (this.#timeline !== timeline) {
      this.#timeline = timeline;
      this.#update();
    }
    this.#list.scrollToEnd();
  }

  #editLast() {
    const own = this.#client.user.id;
    const { entries } = this.#conversation.timeline;
    const message = entries.findLast((one) => one.userid === own && this.#row.canEdit(one));
    if (message) this.#composer.edit(message);
  }

  // Head

  #renderHead() {
    const conversation = (this.#conversation = this.#client.conversation(this.#key));
    if (!conversation) return;
    const { key, chat, dstid } = conversation;
    const name = this.#app.nameOf(conversation);
    const note = this.#note(conversation);
    const isNotes = chat === SINGLE && dstid === this.#client.user.id;
    const group = chat === GROUP ? this.#app.groups.get(dstid) : null;
    const person = chat === SINGLE ? this.#client.person(dstid) : null;
    const url = (group ?? person ?? conversation).avatar;
    const isKnown = chat === SINGLE && !this.#isCutOff;
    const presence = isKnown ? this.#app.contacts.presenceOf(dstid) : "";
    const looks = JSON.stringify([key, name, note, url, presence, language]);
    const news = group?.announcement ?? "";
    this.#news.hidden = !news;
    this.#news.replaceChildren(
      icon("megaphone"),
      el("span", { className: "cut", dir: "auto" }, news),
    );
    if (looks === this.#head.dataset.looks) return;
    this.#head.dataset.looks = looks;
    const back = iconButton("arrow-left", "back", { className: "icon back" });
    back.addEventListener("click", () => this.#app.go(null));
    const shape = isNotes ? "sticky-note" : "";
    const title = el(
      "button",
      { type: "button", className: "title", disabled: isNotes },
      avatar(name, { id: dstid, chat, url, presence, shape }),
      el(
        "span",
        { className: "row-text" },
        el("h2", { className: "row-name", dir: "auto" }, name),
        el("span", { className: "row-note" }, note),
      ),
    );
    title.addEventListener("click", () => {
      this.#app.openPanel(chat === GROUP ? "group" : "person", dstid);
    });
    const find = iconButton("search", "findHere");
    find.addEventListener("click", () => this.#app.openPanel("search", { chat, dstid }));
    const more = iconButton("ellipsis-vertical", "more", { "aria-haspopup": "menu" });
    more.addEventListener("click", () => this.#app.openMenuOf(this.#key, more));
    this.#head.replaceChildren(back, title, find, more);
  }

  /** Said here too: on a phone the list, which says more, is not beside the conversation. */
  get #isCutOff() {
    return ["waiting", "replaced"].includes(this.#client.state);
  }

  #note({ chat, dstid, typing }) {
    if (this.#isCutOff) return t("noConnection");
    if (typing.size && chat === SINGLE) return t("writing");
    const names = [...typing].slice(0, 2).map((id) => this.#client.nameOf(id));
    if (names.length) return t("isWriting", { name: names.join(t("comma")) });
    if (chat === GROUP) {
      const count = this.#app.groups.get(dstid)?.count;
      return count ? t("memberCount", { count }) : "";
    }
    if (dstid === this.#client.user.id) return t("notesNote");
    const isContact = this.#app.contacts.get(dstid)?.state === "both";
    return isContact ? t(`presence.${this.#app.contacts.presenceOf(dstid)}`) : "";
  }

  // Messages

  #update() {
    const conversation = (this.#conversation = this.#client.conversation(this.#key));
    if (!conversation) return;
    if (!this.#timeline || (this.#timeline.live && this.#timeline !== conversation.timeline)) {
      this.#timeline = conversation.timeline;
    }
    const pending = this.#client.pending(this.#key);
    this.#row.update(conversation, pending);
    this.#composer.update(conversation);
    this.#list.set(this.#items.build(this.#timeline, pending, this.#unreadFrom));
    this.#markRead();
    this.#showCount();
    if (!this.#timeline.entries.length) this.#loadOlder();
  }

  #looks(item) {
    if (item.kind === "message") return this.#row.looks(item);
    if (item.kind === "edge") return `${this.#edge()} ${language}`;
    return item.kind === "day" ? `${dayName(item.ts)}` : language;
  }

  #render(item) {
    if (item.kind === "message") return this.#row.render(item);
    if (item.kind === "edge") return this.#renderEdge();
    const text = item.kind === "day" ? dayName(item.ts) : t("unreadFrom");
    return el("div", { className: item.kind }, el("span", {}, text));
  }

  #edge() {
    if (this.#timeline.complete) return this.#timeline.entries.length ? "beginning" : "noMessages";
    return this.#stalled || this.#client.state !== "online" ? "loadFailed" : "loading";
  }

  #renderEdge() {
    const name = this.#edge();
    const node = el("div", { className: "edge" }, el("p", {}, t(name)));
    if (name === "loadFailed" && this.#client.state === "online") {
      const again = button("tryNow", { className: "small" });
      again.addEventListener("click", () => {
        this.#stalled = false;
        this.#loadOlder();
      });
      node.append(again);
    }
    return node;
  }

  #scrolled({ atEnd, nearStart, nearEnd }) {
    if (!this.#conversation) return;
    this.#toEnd.hidden = atEnd && this.#timeline.live;
    this.#showCount();
    if (nearStart) this.#loadOlder();
    if (nearEnd && !this.#timeline.live) this.#loadNewer();
    this.#markRead();
  }

  #showCount() {
    const { unread } = this.#conversation;
    tell(this.#toEnd.lastChild, unread ? String(Math.min(unread, 999)) : "");
    const label = unread ? t("toEndUnread", { count: unread }) : t("toEnd");
    this.#toEnd.setAttribute("aria-label", label);
  }

  #markRead() {
    const isSeen =
      this.#timeline?.live && this.#list.atEnd && document.visibilityState === "visible";
    if (isSeen && this.#client.synced && document.hasFocus()) this.#client.markRead(this.#key);
  }

  async #loadOlder() {
    const timeline = this.#timeline;
    const isOnline = this.#client.state === "online";
    if (timeline.complete || this.#loading || this.#stalled || !isOnline) return;
    await this.#loadPage(() => this.#client.loadOlder(this.#key, timeline));
  }

  async #loadNewer() {
    if (this.#loading) return;
    const timeline = this.#timeline;
    await this.#loadPage(() => this.#client.loadNewer(this.#key, timeline));
  }

  async #loadPage(load) {
    const key = this.#key;
    this.#loading = true;
    const isLoaded = await load();
    this.#loading = false;
    if (key !== this.#key) return;
    this.#stalled = !isLoaded;
    this.#update();
  }

  /** Tells screen readers of a new message, wherever it is. */
  #announce({ conversation, message }) {
    if (conversation.muted) return;
    const names = [this.#client.nameOf(message.userid)];
    if (conversation.chat === GROUP) names.push(this.#app.nameOf(conversation));
    const line = `${names.join(t("comma"))}: ${summary(message).slice(0, 300)}`;
    byId("announcer").replaceChildren(el("p", {}, line));
  }
}

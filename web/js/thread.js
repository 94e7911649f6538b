// The open conversation: its messages, and the box to write in.

import { CONTENT_CHARS, GROUP, isMessage } from "./client.js";
import {
  arrange, badge, button, byId, clock, coalesced, dayName, el, startOfDay, summary, tell,
} from "./dom.js";
import { t } from "./i18n.js";

const NEAR_END = 80; // pixels from the end that count as being there
const NEAR_START = 300; // pixels from the start where older messages are loaded
const RUN_MS = 5 * 60_000; // messages of one sender that belong together
const SHOW_COUNT = 500; // characters left when the counter appears

export class Thread {
  #client;
  #people;
  #nameOf;
  #key = null;
  #nodes = new Map(); // id → {node, looks}
  #drafts = new Map();
  #loading = false;
  #stalled = false; // older messages could not be loaded
  #toEnd = true;
  #low = null; // oldest seq that is shown
  #scroller = byId("scroller");
  #text = byId("text");

  constructor(client, people, nameOf) {
    this.#client = client;
    this.#people = people;
    this.#nameOf = nameOf;
    const render = coalesced(() => this.#render());
    client.addEventListener("messages", (event) => event.detail === this.#key && render());
    client.addEventListener("conversations", render);
    client.addEventListener("state", () => {
      this.#stalled = false;
      render();
    });
    client.addEventListener("message", (event) => this.#announce(event.detail));
    people.addEventListener("named", render);
    document.addEventListener("language", render);
    document.addEventListener("visibilitychange", render);
    new ResizeObserver(() => this.#toEnd && this.#goToEnd()).observe(this.#scroller);
    this.#scroller.addEventListener("scroll", () => this.#scrolled());
    byId("composer").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
    this.#text.addEventListener("input", () => this.#typed());
    this.#text.addEventListener("keydown", (event) => {
      // Enter that picks a word in an input method (Chinese, Japanese …) is not ours.
      const isPick = event.isComposing || event.keyCode === 229;
      if (event.key !== "Enter" || event.shiftKey || isPick) return;
      event.preventDefault();
      this.#submit();
    });
  }

  /** Shows a conversation of the client's; null: none. */
  open(key) {
    if (key === this.#key) return;
    if (this.#key) this.#drafts.set(this.#key, this.#text.value);
    this.#key = key;
    this.#nodes.clear();
    byId("messages").replaceChildren();
    this.#stalled = false;
    this.#toEnd = true;
    byId("thread").classList.toggle("is-open", key !== null);
    if (key === null) return;
    this.#text.value = this.#drafts.get(key) ?? "";
    this.#typed();
    this.#render();
    if (matchMedia("(pointer: fine)").matches) this.#text.focus();
  }

  #render() {
    const conversation = this.#client.conversation(this.#key);
    if (!conversation) return;
    byId("thread-name").textContent = this.#nameOf(conversation);
    byId("group-info").hidden = conversation.chat !== GROUP;

    const { scrollHeight, scrollTop } = this.#scroller;
    const list = byId("messages");
    arrange(list, this.#items(conversation));
    const { low } = conversation.timeline;
    if (this.#toEnd) {
      this.#goToEnd();
    } else if (low < this.#low) {
      // What was in view stays there while older messages come in above it.
      this.#scroller.scrollTop = scrollTop + this.#scroller.scrollHeight - scrollHeight;
    }
    this.#low = low;
    this.#markSeen();
    this.#loadOlder(conversation);
  }

  #items({ chat, dstid, timeline }) {
    const me = this.#client.userid;
    const stored = timeline.visible.filter(isMessage);
    const waiting = this.#client.outbox.of(chat, dstid);
    const nodes = [];
    let before = null;
    for (const message of [...stored, ...waiting]) {
      const sender = message.userid ?? me;
      const isNewDay = !before || startOfDay(before.ts) !== startOfDay(message.ts);
      if (isNewDay) nodes.push(this.#day(message.ts));
      const isFirst = isNewDay || before.sender !== sender || message.ts - before.ts > RUN_MS;
      nodes.push(this.#message({ ...message, sender }, isFirst, chat));
      before = { sender, ts: message.ts };
    }
    return nodes;
  }

  #day(ts) {
    const name = dayName(ts);
    return this.#kept(`day ${startOfDay(ts)}`, name, () =>
      el("li", { className: "day" }, el("span", {}, name)),
    );
  }

  #message(message, isFirst, chat) {
    const isOwn = message.sender === this.#client.userid;
    const id = isOwn && message.cid ? `own ${message.cid}` : `seq ${message.seq}`;
    const state = message.seq ? "stored" : message.state;
    const name = isOwn ? t("you") : this.#people.name(message.sender);
    const { seq, reason } = message;
    const looks = JSON.stringify([name, state, reason, isFirst, seq, t("language")]);
    return this.#kept(id, looks, () => {
      const isNamed = isFirst && !isOwn && chat === GROUP;
      const bubble = el(
        "div",
        { className: "bubble" },
        el("span", { className: isNamed ? "sender" : "hidden-text", dir: "auto" }, name),
        ...this.#content(message),
        this.#foot(message, isOwn, state),
      );
      const node = el("li", { className: `message ${state}` }, bubble);
      node.classList.toggle("own", isOwn);
      node.classList.toggle("first", isFirst);
      if (!isOwn && chat === GROUP) {
        const space = el("span", { className: "badge-space" });
        node.prepend(isFirst ? badge(name, 0, message.sender) : space);
      }
      return node;
    });
  }

  #content(message) {
    const { url = "" } = message;
    const parts = [el("p", { className: "text", dir: "auto" }, summary(message))];
    if (/^https?:\/\//i.test(url)) {
      parts.push(el("a", { href: url, target: "_blank", rel: "noopener noreferrer" }, url));
    }
    return parts;
  }

  #foot(message, isOwn, state) {
    const time = el("time", { dateTime: new Date(message.ts).toISOString() }, clock(message.ts));
    const foot = el("footer", {}, time);
    if (state === "failed") {
      const known = t(`reason.${message.reason}`);
      const isKnown = known !== `reason.${message.reason}`;
      const reason = isKnown ? known : t("reason.other", { slug: message.reason });
      foot.append(
        el("span", {}, t("failed", { reason })),
        button("resend", { className: "link", onclick: () => this.#client.resend(message.cid) }),
        button("discard", { className: "link", onclick: () => this.#client.discard(message.cid) }),
      );
    } else if (isOwn && state === "stored") {
      foot.append(el("span", { role: "img", "aria-label": t("stored") }, "✓"));
    } else if (isOwn) {
      foot.append(el("span", {}, t(state)));
    }
    return foot;
  }

  /** The node of this id, made anew where it has to look different. */
  #kept(id, looks, make) {
    const old = this.#nodes.get(id);
    if (old?.looks === looks) return old.node;
    const node = make();
    this.#nodes.set(id, { node, looks });
    return node;
  }

  #goToEnd() {
    this.#scroller.scrollTop = this.#scroller.scrollHeight;
  }

  #scrolled() {
    const { scrollHeight, scrollTop, clientHeight } = this.#scroller;
    this.#toEnd = scrollHeight - scrollTop - clientHeight < NEAR_END;
    this.#stalled = false;
    const conversation = this.#client.conversation(this.#key);
    if (!conversation) return;
    this.#markSeen();
    this.#loadOlder(conversation);
  }

  #markSeen() {
    const isSeen = this.#toEnd && document.visibilityState === "visible";
    if (isSeen && this.#client.synced) this.#client.markSeen(this.#key);
  }

  async #loadOlder({ key, timeline }) {
    const isOnline = this.#client.state === "online";
    let text = "loadFailed";
    if (timeline.complete) text = "beginning";
    else if (isOnline && !this.#stalled) text = timeline.entries.length ? "older" : "loading";
    tell(byId("older"), t(text));
    const isNear = this.#scroller.scrollTop < NEAR_START;
    if (timeline.complete || this.#loading || this.#stalled || !isOnline || !isNear) return;
    this.#loading = true;
    const isLoaded = await this.#client.loadOlder(key);
    this.#loading = false;
    this.#stalled = !isLoaded && key === this.#key;
    if (!isLoaded || key !== this.#key) this.#render();
  }

  #typed() {
    const { style } = this.#text;
    style.height = "auto";
    style.height = `${Math.min(this.#text.scrollHeight + 2, 200)}px`;
    const left = this.#charactersLeft();
    const name = left < 0 ? "tooLong" : "left";
    tell(byId("count"), left < SHOW_COUNT ? t(name, { count: Math.abs(left) }) : "");
    byId("count").classList.toggle("error", left < 0);
  }

  #charactersLeft() {
    const text = this.#text.value;
    // Code points are never more than UTF-16 units: short texts need no counting.
    const isShort = text.length < CONTENT_CHARS - SHOW_COUNT;
    return CONTENT_CHARS - (isShort ? text.length : [...text].length);
  }

  #submit() {
    const conversation = this.#client.conversation(this.#key);
    const text = this.#text.value;
    if (!conversation || !text.trim() || this.#charactersLeft() < 0) return;
    this.#toEnd = true;
    this.#client.sendText(conversation.chat, conversation.dstid, text);
    this.#text.value = "";
    this.#typed();
    this.#text.focus();
  }

  /** Tells screen readers of a new message, wherever it is. */
  #announce({ conversation, message }) {
    const names = [this.#people.name(message.userid)];
    if (conversation.chat === GROUP) names.push(this.#nameOf(conversation));
    byId("announcer").textContent = `${names.join(", ")}: ${summary(message).slice(0, 300)}`;
  }
}

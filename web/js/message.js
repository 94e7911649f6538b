// One message as it is shown, and what can be done with it.

import { GROUP, SINGLE } from "../sdk/tandem.js";
import { avatar } from "./avatar.js";
import { ask, notify, openMenu } from "./dialog.js";
import { button, el, iconButton, loadWidget } from "./dom.js";
import { clock, fullTime, refusalText, summary } from "./format.js";
import { icon } from "./icons.js";
import { language, t } from "./i18n.js";
import { attachment } from "./attachment.js";
import { isOnlyEmoji, textNodes } from "./widgets/linkify.js";

export const QUICK_REACTIONS = ["👍", "❤️", "😂", "😮", "😢", "🙏"];
const WINDOW_MS = 2 * 60_000; // for recall and edit; the server decides
const LONG_CHARS = 1500; // from here on a text is folded
const LONG_LINES = 40;
const TICKS = { stored: "check", delivered: "check-check", read: "check-check" };

/** Renders the messages of the conversation that is open. `acts`: what the thread does for it. */
export class MessageRow {
  #app;
  #client;
  #acts;
  #conversation = null;
  #isAdmin = false;
  #pendingActs = new Map(); // message id → acts that are not acked yet
  #unfolded = new Set();
  #menu = null;

  constructor(app, acts) {
    this.#app = app;
    this.#client = app.client;
    this.#acts = acts;
  }

  enter(conversation) {
    this.#conversation = conversation;
    this.#unfolded.clear();
  }

  update(conversation, pending) {
    this.#conversation = conversation;
    const { chat, dstid } = conversation;
    this.#isAdmin = chat === GROUP && this.#app.groups.isAdmin(dstid);
    this.#pendingActs.clear();
    for (const act of pending) {
      if (act.cmd < 14 || act.state === "failed") {
        if (act.cmd >= 14) this.#giveUp(act);
        continue;
      }
      this.#pendingActs.set(act.ref, [...(this.#pendingActs.get(act.ref) ?? []), act]);
    }
  }

  /** A recall, edit or reaction that was refused: said once, and forgotten. */
  #giveUp({ cid, reason }) {
    this.#client.discard(cid);
    notify(t("actFailed", { reason: refusalText(reason) }), { isError: true });
  }

  close() {
    this.#menu?.close();
  }

  /** The message with what is being done to it, as if that were done. */
  #seen(message) {
    const acts = this.#pendingActs.get(message.id);
    if (!acts) return message;
    const seen = { ...message, reactions: { ...message.reactions } };
    for (const { cmd, content } of acts) {
      if (cmd === 14) Object.assign(seen, { recalled: true, content: "" });
      else if (cmd === 15) Object.assign(seen, { content, edited: seen.edited ?? Date.now() });
      else seen.reactions = this.#reacted(seen.reactions, content);
    }
    return seen;
  }

  #reacted(reactions, content) {
    const own = this.#client.user.id;
    const rest = Object.entries(reactions).map(([sign, ids]) => [
      sign,
      ids.filter((id) => id !== own),
    ]);
    const after = Object.fromEntries(rest.filter(([, ids]) => ids.length));
    if (content) after[content] = [...(after[content] ?? []), own];
    return after;
  }

  looks({ message, isFirst, state }) {
    const { content, edited, recalled, reactions, ref, cid, id } = this.#seen(message);
    const quoted = ref ? this.#acts.timelineMessage(ref) : null;
    return JSON.stringify([
      ...[isFirst, state, message.reason, edited, recalled, reactions, edited && content, language],
      ...[this.#nameOf(message.userid), this.#client.person(message.userid)?.avatar],
      ...[this.#tick(message, state), this.#readers(message)],
      ...[quoted && [quoted.content, quoted.recalled], this.#unfolded.has(cid ?? id)],
    ]);
  }

  render({ message: stored, isFirst, state }) {
    const message = this.#seen(stored);
    const isOwn = message.userid === this.#client.user.id;
    const isGroup = this.#conversation.chat === GROUP;
    const name = this.#nameOf(message.userid);
    const node = el("div", { className: `message ${state}`, tabIndex: -1, role: "article" });
    node.setAttribute("aria-label", `${name}, ${fullTime(message.ts)}`);
    node.classList.toggle("own", isOwn);
    node.classList.toggle("first", isFirst);
    if (isGroup && !isOwn) node.append(this.#face(message, name, isFirst));
    const bubble = el("div", { className: "bubble" });
    const isNamed = isFirst && isGroup && !isOwn;
    bubble.append(el("span", { className: isNamed ? "sender" : "hidden-text", dir: "auto" }, name));
    const line = el("div", { className: "line" });
    if (message.recalled) line.append(this.#tombstone(isOwn, name));
    else this.#fill(bubble, line, message, node);
    line.append(this.#foot(message, isOwn, state));
    bubble.append(line);
    const column = el("div", { className: "column" }, bubble);
    const chips = this.#chips(message);
    if (chips) column.append(chips);
    node.append(column);
    if (state === "stored" && !message.recalled) this.#giveTools(node, stored);
    node.addEventListener("contextmenu", (event) => {
      if (getSelection().toString() || event.target.closest("a, img, video")) return;
      event.preventDefault();
      this.#openMenu(stored, { x: event.clientX, y: event.clientY });
    });
    return node;
  }

  #nameOf(userid) {
    if (userid === this.#client.user.id) return t("you");
    return this.#client.person(userid)?.deleted ? t("deletedAccount") : this.#client.nameOf(userid);
  }

  #face({ userid }, name, isFirst) {
    if (!isFirst) return el("span", { className: "face" });
    const url = this.#client.person(userid)?.avatar;
    const face = el("button", { type: "button", className: "face", tabIndex: -1 });
    face.setAttribute("aria-label", name);
    face.append(avatar(name, { id: userid, url, size: "small" }));
    face.addEventListener("click", () => this.#app.openPanel("person", userid));
    return face;
  }

  #tombstone(isOwn, name) {
    const text = isOwn ? t("recalledByYou") : t("recalledBy", { name });
    return el("p", { className: "text tombstone" }, icon("ban"), text);
  }

  #fill(bubble, line, message, node) {
    if (message.ref) bubble.append(this.#quote(message.ref));
    const { media = 1, content = "", at } = message;
    if (media === 1 || (media === 6 && content)) {
      const isBig = !message.ref && isOnlyEmoji(content);
      node.classList.toggle("emoji-only", isBig);
      line.append(...this.#text(message, content, at, isBig));
      return;
    }
    node.classList.add("has-attachment");
    node.classList.toggle("media", media === 4 || media === 8);
    bubble.append(attachment(this.#app, message));
    const isTitle = [2, 5, 7, 9].includes(media);
    if (content && !isTitle) line.append(...this.#text(message, content, at, false));
  }

  #text({ cid, id }, content, at, isBig) {
    const end = this.#unfolded.has(cid ?? id) ? content.length : foldAt(content);
    const isLong = end < content.length;
    const shown = content.slice(0, end);
    const text = el("div", { className: isBig ? "text big" : "text", dir: "auto" });
    const mentions = new Map((at ?? []).map((user) => [this.#mentionName(user), user]));
    const onMention = (user) => user && this.#app.openPanel("person", user);
    text.append(...textNodes(shown, { mentions, onMention }));
    if (!isLong) return [text];
    text.append("…");
    const more = button("showAll", { className: "link" });
    more.addEventListener("click", () => {
      this.#unfolded.add(cid ?? id);
      text.replaceChildren(...textNodes(content, { mentions, onMention }));
      more.remove();
    });
    return [text, more];
  }

  #mentionName(user) {
    if (user === 0) return t("everybody");
    const { nickname, username } = this.#client.person(user) ?? {};
    return nickname || username || String(user);
  }

  #quote(ref) {
    const quoted = this.#acts.timelineMessage(ref);
    const node = el("button", { type: "button", className: "quote", tabIndex: -1 });
    if (quoted) {
      const who = el("span", { className: "sender", dir: "auto" }, this.#nameOf(quoted.userid));
      node.append(
        who,
        el("span", { className: "cut", dir: "auto" }, summary(quoted).slice(0, 200)),
      );
    } else {
      node.append(el("span", { className: "muted" }, t("quotedMessage")));
    }
    node.addEventListener("click", () => {
      if (quoted) this.#acts.show(quoted);
      else this.#acts.find(ref);
    });
    return node;
  }

  #foot(message, isOwn, state) {
    const { ts, edited, recalled, cid, reason } = message;
    const foot = el("footer", {});
    if (edited && !recalled) foot.append(el("span", { title: fullTime(edited) }, t("edited")));
    const time = el("time", { dateTime: new Date(ts).toISOString(), title: fullTime(ts) });
    time.append(clock(ts));
    foot.append(time);
    if (state === "failed") {
      const resend = button("resend", { className: "link" });
      resend.addEventListener("click", () => this.#client.resend(cid));
      const discard = button("discard", { className: "link" });
      discard.addEventListener("click", () => this.#client.discard(cid));
      const why = t("failed", { reason: refusalText(reason) });
      foot.append(el("span", { className: "error", role: "alert" }, why), resend, discard);
    } else if (isOwn && !recalled) {
      const tick = this.#tick(message, state);
      const readers = this.#readers(message);
      const label = readers ? t("readByCount", { count: readers }) : t(`tick.${tick}`);
      const props = { className: `tick ${tick}`, role: "img", "aria-label": label, title: label };
      foot.append(el("span", props, icon(TICKS[tick] ?? "clock"), readers ? String(readers) : ""));
    }
    return foot;
  }

  /** How far an own message has got: `queued`, `sent`, `stored`, `delivered` or `read`. */
  #tick({ userid, seq }, state) {
    if (userid !== this.#client.user.id) return "";
    if (state !== "stored") return state;
    const { chat, dstid, receipts } = this.#conversation;
    if (chat === SINGLE && dstid === userid) return "stored";
    const others = [...receipts].filter(([id]) => id !== userid).map(([, pointers]) => pointers);
    if (!others.length) return "stored";
    if (others.every(({ read }) => read >= seq)) return "read";
    return others.every(({ delivered }) => delivered >= seq) ? "delivered" : "stored";
  }

  /** How many of a group have read an own message. */
  #readers({ userid, seq }) {
    const { chat, receipts } = this.#conversation;
    if (chat !== GROUP || userid !== this.#client.user.id || !seq) return 0;
    return [...receipts].filter(([id, { read }]) => id !== userid && read >= seq).length;
  }

  #chips(message) {
    const entries = Object.entries(message.reactions ?? {}).filter(([, ids]) => ids.length);
    if (!entries.length || message.recalled) return null;
    const own = this.#client.user.id;
    const chips = el("div", { className: "chips" });
    for (const [sign, ids] of entries) {
      const isOwn = ids.includes(own);
      const chip = el("button", { type: "button", className: "chip", tabIndex: -1 });
      const names = ids
        .slice(0, 20)
        .map((id) => this.#nameOf(id))
        .join(t("comma"));
      chip.append(el("span", { dir: "auto" }, sign), el("span", {}, String(ids.length)));
      chip.append(el("span", { className: "hidden-text" }, names));
      chip.title = names;
      chip.setAttribute("aria-pressed", String(isOwn));
      chip.addEventListener("click", () => this.#react(message, isOwn ? "" : sign));
      chips.append(chip);
    }
    return chips;
  }

  #react({ id }, sign) {
    this.#client.react(this.#conversation, id, sign);
  }

  // What can be done

  /** Once they can be reached: made for each row, they would take as long as all the rest of it. */
  #giveTools(node, message) {
    let tools = null;
    const give = () => (tools ??= node.appendChild(this.#tools(message)));
    node.addEventListener("pointerenter", give);
    node.addEventListener("focusin", give);
  }

  #tools(message) {
    const react = iconButton("smile", "react", { tabIndex: -1 });
    react.addEventListener("click", () => this.#pickReaction(message, react));
    const reply = iconButton("reply", "reply", { tabIndex: -1 });
    reply.addEventListener("click", () => this.#acts.reply(message));
    const more = iconButton("ellipsis-vertical", "more", { tabIndex: -1, "aria-haspopup": "menu" });
    more.addEventListener("click", () => this.#openMenu(message, more));
    return el("div", { className: "tools" }, react, reply, more);
  }

  async #pickReaction(message, anchor) {
    const { openEmojiPicker } = await loadWidget("emoji");
    openEmojiPicker(anchor, (sign) => this.#react(message, sign));
  }

  canEdit({ cmd, userid, ts, media = 1, recalled }) {
    const isText = media === 1 && (cmd === SINGLE || cmd === GROUP);
    const isOwn = userid === this.#client.user.id;
    return isText && isOwn && !recalled && Date.now() - ts < WINDOW_MS;
  }

  #canRecall({ userid, ts }) {
    const isOwn = userid === this.#client.user.id;
    return this.#isAdmin || (isOwn && Date.now() - ts < WINDOW_MS);
  }

  #openMenu(message, anchor) {
    const { content, userid, seq, recalled } = message;
    if (recalled || !seq) return;
    const place = { chat: this.#conversation.chat, dstid: this.#conversation.dstid };
    const isOwn = userid === this.#client.user.id;
    const own = this.#client.user.id;
    const mine = Object.entries(message.reactions ?? {}).find(([, ids]) => ids.includes(own))?.[0];
    const items = [
      { shape: "reply", name: "reply", act: () => this.#acts.reply(message) },
      { shape: "forward", name: "forward", act: () => this.#forward(message) },
    ];
    if (content) items.push({ shape: "copy", name: "copy", act: () => copy(content) });
    if (this.canEdit(message)) {
      items.push({ shape: "pencil", name: "edit", act: () => this.#acts.edit(message) });
    }
    if (isOwn && place.chat === GROUP) {
      const act = () => this.#app.openPanel("readers", { place, seq });
      items.push({ shape: "eye", name: "seenBy", act });
    }
    if (this.#canRecall(message)) {
      const act = () => this.#recall(message);
      items.push(null, { shape: "undo-2", name: "recall", act, isDanger: true });
    }
    const signs = QUICK_REACTIONS.map((sign) => ({
      ...{ text: sign, isChecked: sign === mine },
      act: () => this.#react(message, sign === mine ? "" : sign),
    }));
    this.#menu = openMenu(anchor, items, { signs });
  }

  async #recall({ id }) {
    const title = t("recallTitle");
    if (!(await ask({ title, text: t("recallSure"), confirm: "recall", isDanger: true }))) return;
    this.#client.recall(this.#conversation, id);
  }

  async #forward({ media, content, pic, url, memo, amount }) {
    const { pickConversation } = await import("./panels/pick.js");
    const target = await pickConversation(this.#app);
    if (!target) return;
    const { chat, dstid, key } = target;
    this.#client.send({ chat, dstid }, { media, content, pic, url, memo, amount });
    this.#app.go(key);
  }

  /** Arrow keys go from message to message; Enter and the menu key say what can be done. */
  handleKey(event, scroller) {
    const row = event.target.closest?.(".message");
    const isRow = row && event.target === row;
    if (event.target === scroller && event.key === "ArrowUp") {
      const rows = scroller.querySelectorAll(".message");
      rows[rows.length - 1]?.focus();
    } else if (isRow && (event.key === "ArrowUp" || event.key === "ArrowDown")) {
      const rows = [...scroller.querySelectorAll(".message")];
      const next = rows[rows.indexOf(row) + (event.key === "ArrowUp" ? -1 : 1)];
      if (next) next.focus();
      else if (event.key === "ArrowDown") scroller.focus();
    } else if (isRow && (event.key === "Enter" || event.key === "ContextMenu")) {
      // At the row, which keeps the focus when it is drawn anew; its buttons would lose it.
      const { left, bottom } = row.querySelector(".bubble").getBoundingClientRect();
      const place = { clientX: left, clientY: Math.min(bottom, innerHeight) };
      row.dispatchEvent(new MouseEvent("contextmenu", { ...place, cancelable: true }));
    } else {
      return;
    }
    event.preventDefault();
  }
}

/** How much of a text is shown at first; all of it, if it is not long. Cuts no character in two. */
function foldAt(content) {
  const lines = content.split("\n", LONG_LINES).join("\n").length;
  const end = Math.min(content.length, LONG_CHARS, lines);
  return /[\udc00-\udfff]/.test(content[end] ?? "") ? end - 1 : end;
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    notify(t("copied"));
  } catch {
    notify(t("copyFailed"), { isError: true });
  }
}

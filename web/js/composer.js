// The box to write in: text, replies, edits, mentions, files, emoji and voice.

import { CONTENT_CHARS, GROUP } from "../sdk/tandem.js";
import { notify, openMenu } from "./dialog.js";
import { el, iconButton, loadStyle, loadWidget, tell } from "./dom.js";
import { Drafts } from "./drafts.js";
import { errorText, fullTime, summary } from "./format.js";
import { icon } from "./icons.js";
import { t } from "./i18n.js";

const SHOW_COUNT = 500; // characters left when the counter appears
const DRAFT_MS = 1500; // after the last key a draft is kept on the server
const DRAFT_CHARS = 2000;
const MOST_HEIGHT = 200; // pixels, as in thread.css

/** `acts`: `sent()`, `editLast()`, `setDrop`: the node that files may be dropped on. */
export class Composer {
  node = el("div", { className: "composer" });
  #app;
  #client;
  #acts;
  #conversation = null;
  #context = null; // {kind: "reply" | "edit", message}
  #drafts;
  #draft = ""; // as the box last took or kept it; it is untouched while it says the same
  #draftTimer;
  #recording = false;
  #trays = new Map(); // conversation's key → files that wait there
  #mentions = null; // in groups
  #text = el("textarea", { rows: 1, id: "text" });
  #above = el("div", { className: "composer-above", hidden: true });
  #count = el("span", { className: "composer-count", role: "status", hidden: true });
  #barred = el("p", { className: "barred", role: "status", hidden: true });
  #line = el("form", { className: "composer-line" });
  #voicePlace = el("div", { className: "composer-voice", hidden: true });
  #trayPlace = el("div", { className: "composer-tray" });

  constructor(app, acts) {
    this.#app = app;
    this.#client = app.client;
    this.#drafts = new Drafts(app.client);
    this.#acts = acts;
    this.node.append(
      this.#above,
      this.#trayPlace,
      this.#count,
      this.#line,
      this.#voicePlace,
      this.#barred,
    );
    this.translate();
    this.#line.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
    this.#text.addEventListener("input", () => this.#typed());
    this.#text.addEventListener("keydown", (event) => this.#key(event));
    this.#text.addEventListener("blur", () => this.#keepDraft());
    this.#watchFiles(acts.setDrop);
  }

  translate() {
    const props = { "aria-haspopup": "menu" };
    const attach = iconButton("paperclip", "attach", props);
    attach.addEventListener("click", () => this.#attachMenu(attach));
    const emoji = iconButton("smile", "emoji", { "aria-haspopup": "dialog" });
    emoji.addEventListener("click", () => this.#pickEmoji(emoji));
    const voice = iconButton("mic", "recordVoice", { className: "icon voice-button" });
    voice.addEventListener("click", () => this.#recordVoice());
    const send = iconButton("send", "send", { type: "submit", className: "icon primary send" });
    this.#text.setAttribute("aria-label", t("message"));
    this.#text.placeholder = t("message");
    this.#line.replaceChildren(attach, this.#text, emoji, voice, send);
    this.#showContext();
    this.#typedLooks();
  }

  enter(conversation) {
    this.#conversation = conversation;
    this.#context = null;
    this.#draft = this.#text.value = this.#drafts.of(conversation);
    if (conversation.chat === GROUP) this.#startMentions();
    this.#mentions?.enter(conversation);
    this.#trayPlace.replaceChildren(this.#trays.get(conversation.key)?.node ?? "");
    this.#showContext();
    this.#typedLooks();
  }

  async #startMentions() {
    if (this.#mentions) return;
    const { Mentions } = await import("./mentions.js");
    this.#mentions ??= new Mentions(this.#app, this.#text, this.node);
    if (this.#conversation) this.#mentions.enter(this.#conversation);
  }

  leave() {
    this.#keepDraft();
    if (this.#conversation && this.#text.value) this.#client.typing(this.#conversation, false);
    this.#conversation = null;
    this.#mentions?.close();
  }

  /** What may have changed: a draft from another device, the right to speak. */
  update(conversation) {
    this.#conversation = conversation;
    const draft = this.#drafts.of(conversation);
    const isUntouched = !this.#context && this.#text.value === this.#draft;
    if (isUntouched && draft !== this.#draft) {
      this.#draft = this.#text.value = draft;
      this.#typedLooks();
    }
    const { chat, dstid } = conversation;
    const bar = chat === GROUP ? this.#app.groups.speakingBar(dstid) : null;
    tell(this.#barred, bar ? barText(bar) : "");
    this.#line.hidden = Boolean(bar) || this.#recording;
  }

  focus() {
    this.#text.focus();
  }

  reply(message) {
    this.#setContext({ kind: "reply", message });
  }

  edit(message) {
    this.#setContext({ kind: "edit", message });
    this.#text.value = message.content;
    this.#typedLooks();
  }

  /** Leaves a reply or an edit; else does `otherwise`. */
  cancelOr(otherwise) {
    if (!this.#context) return otherwise();
    if (this.#context.kind === "edit") this.#text.value = this.#draft;
    this.#setContext(null);
    this.#typedLooks();
    return undefined;
  }

  #setContext(context) {
    this.#keepDraft();
    this.#context = context;
    this.#showContext();
    this.#text.focus();
  }

  #showContext() {
    this.#above.hidden = !this.#context;
    if (!this.#context) return;
    const { kind, message } = this.#context;
    const title =
      kind === "edit" ? t("editing") : t("replyTo", { name: this.#nameOf(message.userid) });
    const close = iconButton("x", "cancel");
    close.addEventListener("click", () => this.cancelOr(() => {}));
    const words = el(
      "span",
      { className: "row-note", dir: "auto" },
      summary(message).slice(0, 200),
    );
    const text = el(
      "span",
      { className: "row-text" },
      el("span", { className: "row-name" }, title),
      words,
    );
    this.#above.replaceChildren(icon(kind === "edit" ? "pencil" : "reply"), text, close);
  }

  #nameOf(userid) {
    return userid === this.#client.user.id ? t("you") : this.#client.nameOf(userid);
  }

  // Writing

  #key(event) {
    // Enter that picks a word in an input method (Chinese, Japanese …) is not ours.
    if (event.isComposing || event.keyCode === 229) return;
    if (this.#mentions?.handleKey(event)) return;
    const { enterSends } = this.#app.preferences;
    const isSend =
      event.key === "Enter" && (enterSends ? !event.shiftKey : event.ctrlKey || event.metaKey);
    if (isSend) {
      event.preventDefault();
      this.#submit();
    } else if (event.key === "ArrowUp" && !this.#text.value && !this.#context) {
      event.preventDefault();
      this.#acts.editLast();
    }
  }

  #typed() {
    this.#typedLooks();
    this.#mentions?.update();
    if (this.#context?.kind === "edit") return;
    if (this.#text.value) this.#client.typing(this.#conversation);
    clearTimeout(this.#draftTimer);
    this.#draftTimer = setTimeout(() => this.#keepDraft(), DRAFT_MS);
  }

  #typedLooks() {
    if (!CSS.supports("field-sizing", "content")) this.#fitHeight();
    const left = this.#charactersLeft();
    const name = left < 0 ? "tooLong" : "left";
    tell(this.#count, left < SHOW_COUNT ? t(name, { count: Math.abs(left) }) : "");
    this.#count.classList.toggle("error", left < 0);
    this.node.classList.toggle("is-empty", !this.#text.value.trim());
  }

  /** In browsers that cannot do it by themselves. */
  #fitHeight() {
    const { style } = this.#text;
    style.height = "auto";
    style.height = `${Math.min(this.#text.scrollHeight + 2, MOST_HEIGHT)}px`;
  }

  #charactersLeft() {
    const text = this.#text.value;
    // Code points are never more than UTF-16 units: short texts need no counting.
    const isShort = text.length < CONTENT_CHARS - SHOW_COUNT;
    return CONTENT_CHARS - (isShort ? text.length : [...text].length);
  }

  #submit() {
    const conversation = this.#conversation;
    const text = this.#text.value;
    if (!conversation || !text.trim() || this.#charactersLeft() < 0) return;
    const context = this.#context;
    if (context?.kind === "edit") {
      const { id, content } = context.message;
      if (text !== content) this.#client.edit(conversation, id, text);
      this.#text.value = this.#draft;
    } else {
      const at = this.#mentions?.mentioned(text) ?? [];
      const ref = this.#takeReply();
      const more = { ...(ref && { ref }), ...(at.length && { at }) };
      this.#client.send(conversation, { content: text, ...more });
      this.#text.value = "";
      this.#acts.sent();
    }
    this.#context = null;
    this.#showContext();
    this.#typedLooks();
    this.#keepDraft();
    this.#text.focus();
  }

  #keepDraft() {
    clearTimeout(this.#draftTimer);
    const conversation = this.#conversation;
    if (!conversation || this.#context?.kind === "edit") return;
    const draft = [...this.#text.value].slice(0, DRAFT_CHARS).join("");
    if (draft === this.#draft) return;
    this.#draft = draft;
    this.#drafts.set(conversation, draft);
  }

  #insert(text) {
    this.#text.setRangeText(text, this.#text.selectionStart, this.#text.selectionEnd, "end");
    this.#typed();
  }

  async #pickEmoji(anchor) {
    const { openEmojiPicker } = await loadWidget("emoji");
    openEmojiPicker(anchor, (sign) => this.#insert(sign), { onClose: () => this.#text.focus() });
  }

  // Files, voice, cards

  #attachMenu(anchor) {
    openMenu(anchor, [
      { shape: "image", name: "attachPicture", act: () => this.#pickFiles("image/*,video/*") },
      { shape: "file-text", name: "attachFile", act: () => this.#pickFiles("") },
      { shape: "contact", name: "attachContact", act: () => this.#sendContact() },
    ]);
  }

  async #watchFiles(target) {
    const { onDroppedFiles, onPastedFiles } = await loadWidget("files");
    const take = (files) => this.#conversation && !this.#line.hidden && this.#sendFiles(files);
    onPastedFiles(this.#text, take);
    onDroppedFiles(target, take);
  }

  async #pickFiles(accept) {
    const { pickFiles } = await loadWidget("files");
    const files = await pickFiles({ accept, multiple: true });
    if (files.length) this.#sendFiles(files);
  }

  async #sendFiles(files) {
    const { key, chat, dstid } = this.#conversation;
    const waiting = this.#trays.get(key);
    if (waiting) return waiting.add(files);
    const [{ filesTray }] = await Promise.all([import("./sending.js"), loadStyle("widgets")]);
    const tray = filesTray(this.#client, { chat, dstid }, files, {
      ref: () => (this.#conversation?.key === key ? this.#takeReply() : 0),
      sent: () => this.#conversation?.key === key && this.#acts.sent(),
      closed: () => {
        this.#trays.delete(key);
        this.#text.focus();
      },
    });
    this.#trays.set(key, tray);
    if (this.#conversation?.key === key) this.#trayPlace.replaceChildren(tray.node);
    return undefined;
  }

  /** Id of the message that is being answered, which is then done; 0 for none. */
  #takeReply() {
    if (this.#context?.kind !== "reply") return 0;
    const { id } = this.#context.message;
    this.#context = null;
    this.#showContext();
    return id;
  }

  async #recordVoice() {
    const { chat, dstid } = this.#conversation;
    const { recordVoice } = await loadWidget("voice");
    this.#recording = this.#line.hidden = true;
    this.#voicePlace.hidden = false;
    try {
      const voice = await recordVoice(this.#voicePlace);
      if (!voice) return;
      const { sendVoice } = await import("./sending.js");
      await sendVoice(this.#client, { chat, dstid }, voice);
      this.#acts.sent();
    } catch (error) {
      notify(errorText(error), { isError: true });
    } finally {
      this.#recording = this.#line.hidden = false;
      this.#voicePlace.hidden = true;
      this.#voicePlace.replaceChildren();
    }
  }

  async #sendContact() {
    const { chat, dstid } = this.#conversation;
    const { pickContact } = await import("./panels/pick.js");
    const user = await pickContact(this.#app);
    if (!user) return;
    const content = user.nickname || user.username || String(user.id);
    this.#client.send({ chat, dstid }, { media: 9, amount: user.id, content });
    this.#acts.sent();
  }
}

/** Why one may not speak: see `Groups.speakingBar`. */
function barText(bar) {
  const { kind = bar, until = 0 } = bar;
  if (kind === "mutedAll") return t("mutedAll");
  const isForGood = !until || until > Date.now() + 1e12;
  return isForGood ? t("mutedForGood") : t("mutedUntil", { time: fullTime(until) });
}

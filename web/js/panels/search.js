// Finding messages: in all conversations, or in one.

import { GROUP, SINGLE, keyOf } from "../../sdk/tandem.js";
import { avatar } from "../avatar.js";
import { nameOfContact } from "../contacts.js";
import { openDialog } from "../dialog.js";
import { button, coalesced, el, loadStyle } from "../dom.js";
import { errorText, fullTime, shortTime, summary } from "../format.js";
import { t } from "../i18n.js";
import { icon } from "../icons.js";
import { highlighted } from "./highlight.js";

const PAUSE_MS = 250; // after the last key
const KINDS = { 4: "pictures", 8: "videos", 3: "voice", 10: "files", 7: "links" };

/** Opens the search. `chat`, `dstid`: the conversation to search first; `q`: words to look for. */
export async function open(app, { chat, dstid, q } = {}) {
  await loadStyle("account");
  new Search(app, chat ? { chat, dstid } : null, q);
}

class Search {
  #app;
  #place;
  #dialog;
  #query = el("input", { type: "search", maxLength: 100, enterKeyHint: "search", autofocus: true });
  #where = el("select");
  #kind = el("select");
  #sender = el("select");
  #list = el("ul", { className: "list found" });
  #note = el("div", { className: "empty", role: "status" });
  #end = el("div", { className: "found-end" });
  #asked = 0; // the number of the newest question; answers to older ones are dropped
  #last = 0; // id of the last message that is listed
  #hasMore = false;
  #isLoading = false;
  #names = []; // one function for each row, to write the names anew

  constructor(app, place, q = "") {
    this.#app = app;
    this.#place = place;
    this.#query.placeholder = t("find.placeholder");
    this.#query.setAttribute("aria-label", t("find.placeholder"));
    this.#fillFilters();
    const filters = el("div", { className: "filters" }, this.#kind, this.#sender);
    if (place) filters.prepend(this.#where);
    const field = el("div", { className: "find-field" }, icon("search"), this.#query);
    const head = el("div", { className: "find-head" }, field, filters);
    const content = [head, this.#note, this.#list, this.#end];
    this.#dialog = openDialog({ title: t("find.title"), className: "wide finder", content });
    this.#listen();
    this.#query.value = q;
    this.#search();
    this.#query.focus();
  }

  #fillFilters() {
    const { client, contacts, nameOf } = this.#app;
    const option = (value, text) => el("option", { value }, text);
    const label = (select, name) => select.setAttribute("aria-label", t(name));
    label(this.#where, "find.where");
    label(this.#kind, "find.kind");
    label(this.#sender, "find.sender");
    if (this.#place) {
      const name = nameOf(this.#conversation(this.#place.chat, this.#place.dstid));
      const here = option("here", t("find.here", { name }));
      this.#where.append(here, option("", t("find.everywhere")));
    }
    const kinds = Object.entries(KINDS).map(([media, name]) => option(media, t(`find.${name}`)));
    this.#kind.append(option("", t("find.anything")), ...kinds);
    this.#sender.append(option("", t("find.anybody")), option(client.user.id, t("you")));
    for (const one of contacts.all) this.#sender.append(option(one.id, nameOfContact(one)));
  }

  #listen() {
    let timer;
    const later = (pause) => {
      clearTimeout(timer);
      timer = setTimeout(() => this.#search(), pause);
    };
    this.#query.addEventListener("input", () => later(PAUSE_MS));
    for (const select of [this.#where, this.#kind, this.#sender]) {
      select.addEventListener("change", () => later(0));
    }
    this.#dialog.body.addEventListener("keydown", (event) => this.#key(event));
    const watcher = new IntersectionObserver(([{ isIntersecting }]) => {
      if (isIntersecting && this.#hasMore && !this.#isLoading) this.#load();
    });
    watcher.observe(this.#end);
    const rename = coalesced(() => this.#names.forEach((write) => write()));
    const stop = this.#app.client.on("people", rename);
    this.#dialog.closed.then(() => {
      clearTimeout(timer);
      watcher.disconnect();
      stop();
      this.#asked += 1;
    });
  }

  #search() {
    this.#asked += 1;
    this.#last = 0;
    this.#hasMore = false;
    if (this.#query.value.trim()) {
      this.#load();
      return;
    }
    this.#clear();
    this.#tell(t("find.start"), "search");
  }

  #clear() {
    this.#names = [];
    this.#list.replaceChildren();
  }

  /** Lists the first page, or the next one. */
  async #load() {
    const question = this.#asked;
    const q = this.#query.value.trim();
    const isFirst = this.#last === 0;
    const options = this.#where.value === "here" ? { ...this.#place } : {};
    if (this.#kind.value) options.media = Number(this.#kind.value);
    if (this.#sender.value) options.sender = Number(this.#sender.value);
    if (!isFirst) options.before = this.#last;
    this.#isLoading = true;
    this.#list.setAttribute("aria-busy", "true");
    if (isFirst && !this.#list.childElementCount) this.#tell(t("loading"), "loader-circle");
    try {
      const { messages, more } = await this.#app.client.search(q, options);
      if (question !== this.#asked) return;
      if (isFirst) this.#clear();
      this.#list.append(...messages.map((message) => this.#row(message, q)));
      this.#last = messages.at(-1)?.id ?? this.#last;
      this.#hasMore = more && messages.length > 0;
      const isEmpty = !this.#list.childElementCount;
      this.#tell(isEmpty ? t("find.nothing", { q }) : "", "search");
    } catch (error) {
      if (question === this.#asked) this.#explain(error);
    } finally {
      if (question === this.#asked) {
        this.#isLoading = false;
        this.#list.removeAttribute("aria-busy");
        this.#lookForEnd();
      }
    }
  }

  /** The next page at once where this one does not fill the window: nothing would scroll. */
  #lookForEnd() {
    const isInSight = this.#end.getBoundingClientRect().top < innerHeight;
    if (this.#hasMore && isInSight) this.#load();
  }

  #explain(error) {
    this.#hasMore = false;
    if (error.status === 422) {
      this.#clear();
      this.#tell(t("find.short"), "search");
      return;
    }
    const again = button("people.again", { className: "small" });
    again.addEventListener("click", () => this.#load());
    const text = error.status === 404 ? t("find.off") : errorText(error);
    this.#tell(text, "circle-alert");
    if (error.status !== 404) this.#note.append(again);
  }

  #tell(text, shape) {
    this.#note.hidden = !text;
    if (!text) return;
    const picture = icon(shape);
    if (shape === "loader-circle") picture.classList.add("spinning");
    this.#note.replaceChildren(picture, el("p", {}, text));
  }

  #conversation(chat, dstid) {
    return this.#app.client.conversation(keyOf(chat, dstid)) ?? { chat, dstid, name: "" };
  }

  #row(message, q) {
    const { client, nameOf, go } = this.#app;
    const { cmd, userid, seq, ts } = message;
    const isOwn = userid === client.user.id;
    const dstid = cmd === SINGLE && !isOwn ? userid : message.dstid;
    const chat = cmd === GROUP ? GROUP : SINGLE;
    const isHere = this.#where.value === "here";
    const place = el("span", { className: "row-name", dir: "auto" });
    const sender = el("span", { className: "found-sender" });
    const picture = el("span", { className: "found-picture" });
    const when = el("time", { dateTime: new Date(ts).toISOString(), title: fullTime(ts) });
    when.append(shortTime(ts));
    const text = el("span", { className: "found-text", dir: "auto" });
    text.append(sender, ...highlighted(summary(message), q));
    const row = el("button", { type: "button", className: "row" }, picture);
    row.append(el("span", { className: "row-text" }, place, when, text));
    const write = () => {
      const who = isOwn ? t("you") : client.nameOf(userid);
      const conversation = this.#conversation(chat, dstid);
      const name = isHere ? who : nameOf(conversation);
      const id = isHere ? userid : dstid;
      const url = isHere || chat === SINGLE ? client.person(id)?.avatar : conversation.avatar;
      place.textContent = name;
      sender.textContent = isHere || who === name ? "" : `${who}: `;
      picture.replaceChildren(avatar(name, { id, chat: isHere ? SINGLE : chat, url }));
    };
    write();
    this.#names.push(write);
    row.addEventListener("click", () => {
      this.#dialog.close();
      client.open(chat, dstid);
      go(keyOf(chat, dstid), seq);
    });
    return el("li", {}, row);
  }

  /** Arrow keys go from the field through the results and back. */
  #key(event) {
    const rows = [...this.#list.querySelectorAll("button")];
    const at = rows.indexOf(document.activeElement);
    const isInField = document.activeElement === this.#query;
    if (event.target.tagName === "SELECT" || event.isComposing) return;
    if (event.key === "ArrowDown") rows[at + 1]?.focus();
    else if (event.key === "ArrowUp" && at >= 0) (rows[at - 1] ?? this.#query).focus();
    else if (event.key === "Home" && at >= 0) rows[0].focus();
    else if (event.key === "End" && at >= 0) rows.at(-1).focus();
    else if (event.key === "Enter" && isInField) rows[0]?.click();
    else return;
    event.preventDefault();
  }
}

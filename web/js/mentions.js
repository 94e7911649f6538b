// Completion of @names while writing in a group.

import { GROUP } from "../sdk/tandem.js";
import { avatar } from "./avatar.js";
import { el } from "./dom.js";
import { t } from "./i18n.js";

const MOST = 8; // suggestions at once

export class Mentions {
  #app;
  #text;
  #group = 0;
  #members = null;
  #chosen = new Map(); // what stands behind the @ → user id
  #found = [];
  #active = 0;
  #list = el("ul", { className: "mentions", id: "mentions", role: "listbox", hidden: true });

  constructor(app, text, host) {
    this.#app = app;
    this.#text = text;
    host.append(this.#list);
    text.setAttribute("aria-controls", "mentions");
    text.setAttribute("aria-autocomplete", "list");
    text.addEventListener("blur", () => this.close());
    this.#list.addEventListener("pointerdown", (event) => {
      event.preventDefault(); // the text keeps the focus
      const place = [...this.#list.children].indexOf(event.target.closest("li"));
      if (place >= 0) this.#choose(place);
    });
  }

  enter({ chat, dstid }) {
    this.#group = chat === GROUP ? dstid : 0;
    this.#members = null;
    this.#chosen.clear();
    this.close();
  }

  /** The users whose names stand in `text` behind an @ and were chosen here. */
  mentioned(text) {
    const found = [...this.#chosen].filter(([name]) => text.includes(`@${name}`));
    return [...new Set(found.map(([, id]) => id))].slice(0, 200);
  }

  /** Suggests what fits the word at the cursor. */
  async update() {
    const word = this.#word();
    if (word === null || !this.#group) return this.close();
    const group = this.#group;
    this.#members ??= await this.#app.groups.members(group).catch(() => null);
    if (group !== this.#group || !this.#members || this.#word() === null) return undefined;
    const words = this.#word().toLowerCase();
    const everybody = this.#app.groups.isAdmin(group) ? [{ id: 0, name: t("everybody") }] : [];
    const own = this.#app.client.user.id;
    const others = this.#members.filter(({ id }) => id !== own);
    const named = others.map((member) => ({
      id: member.id,
      name: nameOf(member),
      nick: member.nick,
    }));
    this.#found = [...everybody, ...named]
      .filter(({ name, nick = "" }) => `${name}\n${nick}`.toLowerCase().includes(words))
      .slice(0, MOST);
    this.#active = 0;
    return this.#render();
  }

  close() {
    this.#found = [];
    this.#render();
  }

  /** Whether the key was for the suggestions. */
  handleKey(event) {
    if (!this.#found.length) return false;
    const last = this.#found.length - 1;
    if (event.key === "ArrowDown") this.#active = this.#active === last ? 0 : this.#active + 1;
    else if (event.key === "ArrowUp") this.#active = this.#active ? this.#active - 1 : last;
    else if (event.key === "Enter" || event.key === "Tab") this.#choose(this.#active);
    else if (event.key === "Escape") this.close();
    else return false;
    event.preventDefault();
    event.stopPropagation();
    this.#render();
    return true;
  }

  /** What stands between an @ and the cursor; null where there is none. */
  #word() {
    const { value, selectionStart } = this.#text;
    const before = value.slice(Math.max(0, selectionStart - 40), selectionStart);
    return /(?:^|[\s\p{P}])@([^\s@]{0,32})$/u.exec(before)?.[1] ?? null;
  }

  #choose(place) {
    const { id, name } = this.#found[place];
    const end = this.#text.selectionStart;
    const start = end - this.#word().length;
    this.#chosen.set(name, id);
    this.#text.setRangeText(`${name} `, start, end, "end");
    this.close();
    this.#text.dispatchEvent(new Event("input"));
  }

  #render() {
    const isOpen = this.#found.length > 0;
    this.#list.hidden = !isOpen;
    this.#list.setAttribute("aria-label", t("mention"));
    this.#list.replaceChildren(...this.#found.map((one, place) => this.#option(one, place)));
    if (isOpen) this.#text.setAttribute("aria-activedescendant", `mention-${this.#active}`);
    else this.#text.removeAttribute("aria-activedescendant");
  }

  #option({ id, name, nick }, place) {
    const node = el("li", { id: `mention-${place}`, role: "option", className: "row" });
    node.setAttribute("aria-selected", String(place === this.#active));
    const url = id ? this.#app.client.person(id)?.avatar : "";
    node.append(avatar(name, { id, url, size: "small", shape: id ? "" : "users" }));
    const text = el(
      "span",
      { className: "row-text" },
      el("span", { className: "row-name", dir: "auto" }, name),
    );
    if (nick && nick !== name)
      text.append(el("span", { className: "row-note", dir: "auto" }, nick));
    node.append(text);
    return node;
  }
}

const nameOf = (member) => member.nickname || member.username || String(member.id);

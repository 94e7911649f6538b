// The emoji picker: a popover beside its button, on phones a sheet from below.

import { el } from "../dom.js";
import { t } from "../i18n.js";
import { icon } from "../icons.js";
import { emojiGroups, findEmoji, loadEmoji, loadWords } from "./emoji-words.js";
import { recentEmoji, rememberEmoji } from "./emoji-words.js";

const COLUMNS = 8; // as in widgets.css
const PAGE_ROWS = 5;
const GAP = 8; // pixels between the button and the popover
const CATEGORIES = [
  ...["Recent", "Smileys", "People", "Nature", "Food"],
  ...["Travel", "Activities", "Objects", "Symbols", "Flags"],
];
const SIGNS = ["🕘", "😀", "👋", "🐻", "🍎", "🚗", "⚽", "💡", "❤️", "🏁"];

/**
 * Opens the picker beside `anchor`; if it is open there, closes it.
 * @param {HTMLButtonElement} anchor
 * @param {(emoji: string) => void} onPick Called after the picker has closed and focus is back;
 *   with Shift held the picker stays open for more.
 * @param {{ onClose?: () => void }} [options]
 * @returns {() => void} Closes it.
 */
export function openEmojiPicker(anchor, onPick, { onClose } = {}) {
  if (open?.anchor === anchor) {
    open.close();
    return () => {};
  }
  open = new Picker(anchor, onPick, onClose);
  return () => open?.anchor === anchor && open.close();
}

let open = null;

class Picker {
  #panel;
  #search;
  #tabs;
  #list = el("div", { className: "emoji-list" });
  #name = el("p", { className: "emoji-name", "aria-hidden": "true" });
  #found = el("p", { className: "hidden-text", role: "status" });
  #rows = []; // buttons, as they stand below each other
  #groups = []; // [emoji, name] by category
  #names = new Map(); // by emoji
  #learned = false; // the other language
  #onPick;

  constructor(anchor, onPick, onClose) {
    this.anchor = anchor;
    this.#onPick = onPick;
    const label = t("emojiSearch");
    this.#search = el("input", { type: "search", placeholder: label, "aria-label": label });
    this.#search.autocomplete = "off";
    this.#search.addEventListener("input", () => this.#find());
    this.#tabs = el("div", { className: "emoji-tabs", role: "group" });
    this.#tabs.setAttribute("aria-label", t("emojiCategories"));
    const close = el("button", { type: "button", className: "icon", "aria-label": t("close") });
    close.append(icon("x"));
    close.addEventListener("click", () => this.close());
    this.#panel = el(
      "div",
      { className: "emoji-picker", popover: "auto", tabIndex: -1, role: "dialog" },
      el("div", { className: "emoji-head" }, this.#search, close),
      this.#tabs,
      this.#list,
      this.#name,
      this.#found,
    );
    this.#panel.setAttribute("aria-label", t("emoji"));
    this.#panel.addEventListener("keydown", (event) => this.#steer(event));
    this.#list.addEventListener("click", (event) => this.#pick(event));
    for (const kind of ["focusin", "pointerover"]) {
      this.#list.addEventListener(kind, ({ target }) => this.#tell(target));
    }
    const place = () => this.#place();
    this.#panel.addEventListener("beforetoggle", ({ newState }) => {
      if (newState === "closed" && open === this) open = null;
    });
    this.#panel.addEventListener("toggle", ({ newState }) => {
      // Else a click on the button while this is open closes it, and then opens another.
      anchor.popoverTargetElement = newState === "open" ? this.#panel : null;
      anchor.popoverTargetAction = "hide";
      if (newState === "open") return;
      removeEventListener("resize", place);
      this.#panel.remove();
      onClose?.();
    });
    addEventListener("resize", place);
    // What lies outside an open modal dialog cannot be used.
    (anchor.closest("dialog") ?? document.body).append(this.#panel);
    this.#panel.showPopover({ source: anchor });
    this.#place();
    // On a phone the field would bring up the keyboard over what one wants to look at.
    if (matchMedia("(pointer: coarse)").matches) this.#panel.focus();
    else this.#search.focus();
    this.#load();
  }

  close() {
    this.#panel.hidePopover();
  }

  #place() {
    const { width, height } = this.#panel.getBoundingClientRect();
    const { left, right, top, bottom } = this.anchor.getBoundingClientRect();
    const wanted = left + width < innerWidth - GAP ? left : right - width;
    const above = top - GAP - height;
    const put = (name, value, most) =>
      this.#panel.style.setProperty(name, `${Math.max(GAP, Math.min(value, most - GAP))}px`);
    put("--left", wanted, innerWidth - width);
    put("--top", above >= GAP ? above : bottom + GAP, innerHeight - height);
  }

  async #load() {
    this.#say(t("loading"));
    const language = t("emojiLanguage");
    try {
      await loadEmoji(language);
    } catch {
      const again = el("button", { type: "button" }, t("emojiAgain"));
      again.addEventListener("click", () => this.#load());
      this.#say(el("p", { role: "alert" }, t("emojiFailed")), again);
      return;
    }
    this.#groups = emojiGroups(language);
    this.#names = new Map(this.#groups.flat());
    this.#find();
  }

  /** People search in the other language as well; without its words, if they cannot be had. */
  async #learn() {
    this.#learned = true;
    await loadWords(t("emojiLanguage") === "en" ? "zh" : "en").catch(() => {});
    this.#find();
  }

  #find() {
    const query = this.#search.value.trim();
    if (query && !this.#learned) this.#learn();
    this.#rows = [];
    this.#tabs.hidden = !!query;
    this.#found.textContent = "";
    if (!query) {
      const groups = this.#groups.map((group) => group.map(([emoji]) => emoji));
      const all = [recentEmoji(), ...groups].map((group, place) => [place, group]);
      const filled = all.filter(([, group]) => group.length);
      this.#list.replaceChildren(...filled.map(([place, group]) => this.#section(place, group)));
      this.#showTabs(filled.map(([place]) => place));
    } else {
      const found = findEmoji(query);
      this.#found.textContent = t("emojiFound", { count: found.length });
      if (found.length) this.#list.replaceChildren(this.#grid(found, t("emojiSearch")));
      else this.#say(t("emojiNone"));
    }
    this.#list.scrollTop = 0;
    if (this.#rows.length) this.#rows[0][0].tabIndex = 0;
    this.#tell(query ? this.#rows[0]?.[0] : null);
  }

  #say(...words) {
    this.#list.replaceChildren(el("div", { className: "empty" }, ...words));
  }

  #section(place, emoji) {
    const title = t(`emoji${CATEGORIES[place]}`);
    const section = el("section", { className: "emoji-section" }, el("p", {}, title));
    section.append(this.#grid(emoji, title));
    section.dataset.place = place;
    section.style.setProperty("--rows", Math.ceil(emoji.length / COLUMNS));
    return section;
  }

  #grid(all, label) {
    const grid = el("div", { className: "emoji-grid", role: "group", "aria-label": label });
    const buttons = all.map((emoji) =>
      el(
        "button",
        { type: "button", tabIndex: -1, "aria-label": this.#names.get(emoji) ?? emoji },
        emoji,
      ),
    );
    grid.append(...buttons);
    for (let first = 0; first < buttons.length; first += COLUMNS) {
      this.#rows.push(buttons.slice(first, first + COLUMNS));
    }
    return grid;
  }

  #showTabs(places) {
    const tabs = places.map((place) => {
      const label = t(`emoji${CATEGORIES[place]}`);
      const tab = el("button", { type: "button", title: label, "aria-label": label }, SIGNS[place]);
      tab.tabIndex = place === places[0] ? 0 : -1;
      tab.addEventListener("click", () => {
        const section = this.#list.querySelector(`[data-place="${place}"]`);
        section.scrollIntoView({ block: "start" });
        this.#focus(section.querySelector("button"));
      });
      return tab;
    });
    this.#tabs.replaceChildren(...tabs);
  }

  #tell(target) {
    const button = target?.closest?.(".emoji-grid button");
    if (button === null) return;
    this.#name.textContent = button ? `${button.textContent} ${button.ariaLabel}` : "";
  }

  #focus(button) {
    for (const other of this.#list.querySelectorAll('[tabindex="0"]')) other.tabIndex = -1;
    button.tabIndex = 0;
    button.focus({ preventScroll: true });
    button.scrollIntoView({ block: "nearest" });
  }

  #steer(event) {
    const { target, key } = event;
    if (event.isComposing || event.ctrlKey || event.metaKey || event.altKey) return;
    const taken = () => event.preventDefault();
    if (key === "Escape") {
      taken(); // a dialog around it stays open
      event.stopPropagation();
      this.close();
    } else if (target === this.#search) {
      const first = this.#rows[0]?.[0];
      if (!first || (key !== "ArrowDown" && key !== "Enter")) return;
      taken();
      if (key === "Enter") first.click();
      else this.#focus(first);
    } else if (target.parentNode === this.#tabs) {
      const next = { ArrowRight: "nextSibling", ArrowLeft: "previousSibling" }[key];
      if (key === "ArrowDown" && this.#rows.length) this.#focus(this.#rows[0][0]);
      else if (next && target[next]) {
        target.tabIndex = -1;
        target[next].tabIndex = 0;
        target[next].focus();
      } else return;
      taken();
    } else if (target.closest(".emoji-grid")) {
      const to = this.#from(target, key);
      if (to) {
        taken();
        this.#focus(to);
      } else if (key === "ArrowUp" || (key.length === 1 && key !== " ")) {
        if (key === "ArrowUp") taken();
        this.#search.focus();
      }
    }
  }

  /** The button that a key leads to. */
  #from(button, key) {
    const row = this.#rows.findIndex((one) => one.includes(button));
    const column = this.#rows[row].indexOf(button);
    const last = this.#rows.length - 1;
    const at = (wanted) => {
      const there = this.#rows[Math.max(0, Math.min(wanted, last))];
      return there[Math.min(column, there.length - 1)];
    };
    switch (key) {
      case "ArrowRight":
        return this.#rows[row][column + 1] ?? this.#rows[row + 1]?.[0] ?? button;
      case "ArrowLeft":
        return this.#rows[row][column - 1] ?? this.#rows[row - 1]?.at(-1) ?? button;
      case "ArrowDown":
        return at(row + 1);
      case "ArrowUp":
        return row > 0 ? at(row - 1) : null;
      case "PageDown":
        return at(row + PAGE_ROWS);
      case "PageUp":
        return at(row - PAGE_ROWS);
      case "Home":
        return this.#rows[row][0];
      case "End":
        return this.#rows[row].at(-1);
      default:
        return null;
    }
  }

  #pick({ target, shiftKey }) {
    const emoji = target.closest(".emoji-grid button")?.textContent;
    if (!emoji) return;
    rememberEmoji(emoji);
    if (!shiftKey) this.close();
    this.#onPick(emoji);
  }
}

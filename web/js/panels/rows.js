// Lists of people and conversations: drawn as far as one scrolls, redrawn only where they differ.

import { avatar } from "../avatar.js";
import { arrange, el } from "../dom.js";
import { icon } from "../icons.js";

const STEP = 60; // rows that are drawn at a time

/**
 * What a row shows. `act` is done when it is pressed; `controls` are the buttons at its end, with
 * a `text` or only a `shape`, and called `label` by screen readers. Functions must not depend on
 * anything that is not shown: a row that looks the same is not drawn anew.
 *
 * @typedef {{id: number, chat?: number, name: string, shape?: string, url?: string,
 *   presence?: string, note?: string, tags?: string[], isChosen?: boolean, act?: () => void,
 *   controls?: Control[]}} Row
 * @typedef {{text?: string, shape?: string, label: string, className?: string, hasMenu?: boolean,
 *   act: (button: HTMLButtonElement) => void}} Control
 */

/** A list of rows, which are told apart by `chat` and `id`. */
export class RowList {
  #drawn = new Map(); // key → {print, node}
  #rows = [];
  #shown = STEP;
  #end = el("li", { className: "people-end", "aria-hidden": "true" });
  #watcher = new IntersectionObserver((seen) => {
    if (!seen.at(-1).isIntersecting || this.#shown >= this.#rows.length) return;
    this.#shown += STEP;
    this.#draw();
  });

  constructor(label) {
    this.node = el("ul", { className: "list", "aria-label": label });
  }

  /** @param {Row[]} rows What to show from now on. */
  show(rows) {
    this.#rows = rows;
    this.node.hidden = !rows.length;
    this.#draw();
  }

  #draw() {
    const focus = this.#focus();
    const before = this.#drawn;
    this.#drawn = new Map();
    for (const row of this.#rows.slice(0, this.#shown)) {
      const print = JSON.stringify(row);
      const old = before.get(keyOf(row));
      const node = old?.print === print ? old.node : draw(row);
      this.#drawn.set(keyOf(row), { print, node });
    }
    arrange(this.node, [...[...this.#drawn.values()].map(({ node }) => node), this.#end]);
    if (focus) this.#refocus(focus);
    this.#watcher.disconnect();
    this.#watcher.observe(this.#end); // says at once whether it is still in sight
  }

  /** Which button of which row has the focus, if one has it. */
  #focus() {
    const active = document.activeElement;
    const place = [...this.#drawn.values()].findIndex(({ node }) => node.contains(active));
    if (place < 0) return null;
    const [key, { node }] = [...this.#drawn.entries()][place];
    return { place, key, button: [...node.querySelectorAll("button")].indexOf(active) };
  }

  /** The same button again, or where its row is gone the next row. */
  #refocus({ place, key, button }) {
    if (this.node.contains(document.activeElement)) return;
    const rows = [...this.#drawn.values()];
    const { node } = this.#drawn.get(key) ?? rows[Math.min(place, rows.length - 1)] ?? {};
    const buttons = [...(node?.querySelectorAll("button") ?? [])];
    (buttons[button] ?? buttons.at(-1))?.focus();
  }
}

/** A list under a heading with the number of its rows; hidden where it is empty. */
export class ListSection {
  #list;
  #rowFor;
  #count = el("span", { className: "people-number" });

  constructor(title, rowFor) {
    this.#list = new RowList(title);
    this.#rowFor = rowFor;
    const heading = el("h3", {}, `${title} `, this.#count);
    this.node = el("section", { className: "people-section" }, heading, this.#list.node);
    this.node.hidden = true;
  }

  show(items) {
    this.#count.textContent = String(items.length);
    this.#list.show(items.map(this.#rowFor));
    this.node.hidden = !items.length;
  }
}

const keyOf = ({ chat = "", id }) => `${chat}/${id}`;

function draw({ act, controls = [], isChosen, ...row }) {
  const inside = [
    avatar(row.name, row),
    el(
      "span",
      { className: "row-text" },
      el("span", { className: "row-name", dir: "auto" }, row.name),
      row.note ? el("span", { className: "row-note", dir: "auto" }, row.note) : null,
    ),
    ...(row.tags ?? []).map((tag) => el("span", { className: "tag" }, tag)),
  ];
  if (isChosen !== undefined) {
    inside.push(el("span", { className: "people-check" }, isChosen ? icon("check") : ""));
  }
  const main = act
    ? el("button", { type: "button", className: "row" }, ...inside)
    : el("div", { className: "row" }, ...inside);
  if (isChosen !== undefined) main.setAttribute("aria-pressed", String(isChosen));
  if (act) main.addEventListener("click", act);
  return el("li", { className: "people-row" }, main, ...controls.map(drawControl));
}

function drawControl({ text, shape, label, className = "", hasMenu = false, act }) {
  const inside = [shape ? icon(shape) : null, text ? el("span", {}, text) : null];
  const node = el(
    "button",
    { type: "button", className: `${text ? "small" : "icon"} ${className}`, "aria-label": label },
    ...inside,
  );
  if (!text) node.title = label;
  if (hasMenu) node.setAttribute("aria-haspopup", "menu");
  node.addEventListener("click", () => act(node));
  return node;
}

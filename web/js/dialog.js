// Dialogs, questions, menus and passing notes.

import { button, el, iconButton } from "./dom.js";
import { icon } from "./icons.js";
import { t } from "./i18n.js";

const NOTE_MS = 5000;
let lastId = 0;

/**
 * Opens a dialog over the page: a sheet on phones. Gives `{node, body, close, setTitle, closed}`;
 * `closed` resolves when it is gone. Several may lie on one another; Esc and the back button of a
 * phone close the topmost. `className` `wide` gives it more room.
 */
export function openDialog({ title, className = "", content = [] }) {
  const id = `dialog-${++lastId}`;
  const heading = el("h2", { id, tabIndex: -1 }, title);
  const shut = iconButton("x", "close", { className: "icon dialog-close" });
  const body = el("div", { className: "dialog-body" }, ...[content].flat());
  const head = el("div", { className: "dialog-head" }, heading, shut);
  const node = el("dialog", { className: `sheet ${className}`, "aria-labelledby": id }, head, body);
  document.body.append(node);
  const closed = new Promise((done) => {
    node.addEventListener("close", () => {
      node.remove();
      done();
    });
  });
  const close = () => node.open && node.close();
  shut.addEventListener("click", close);
  onBackdrop(node, close);
  node.showModal();
  return { node, body, close, closed, setTitle: (text) => (heading.textContent = text) };
}

/** Asks whether to go on; resolves to yes or no. `confirm`: name of the button's text. */
export async function ask({ title, text = "", confirm = "ok", isDanger = false }) {
  let answer = false;
  const yes = button(confirm, { className: isDanger ? "danger" : "primary", autofocus: true });
  const no = button("cancel");
  const row = el("div", { className: "actions" }, no, yes);
  const words = text ? [el("p", {}, text)] : [];
  const dialog = openDialog({ title, className: "question", content: [...words, row] });
  no.addEventListener("click", dialog.close);
  yes.addEventListener("click", () => {
    answer = true;
    dialog.close();
  });
  await dialog.closed;
  return answer;
}

/** Asks for one line of text; resolves to it, or null. */
export async function askText({ title, label, value = "", confirm = "save", maxLength = 64 }) {
  let answer = null;
  const input = el("input", { value, maxLength, autofocus: true });
  const yes = el("button", { className: "primary" }, t(confirm));
  const form = el(
    "form",
    {},
    el("label", {}, label, input),
    el("div", { className: "actions" }, yes),
  );
  const dialog = openDialog({ title, className: "question", content: form });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    answer = input.value.trim();
    dialog.close();
  });
  await dialog.closed;
  return answer;
}

/**
 * A menu at a button, or at a point `{x, y}`. Items: `{shape, name | text, act, isDanger,
 * isChecked}`; null draws a line. `signs`: such items to stand in one row above the others. Arrow keys
 * move, Esc and a click elsewhere close it.
 */
export function openMenu(anchor, items, { signs = [] } = {}) {
  const node = el("div", { className: "menu", role: "menu" });
  const isPoint = !(anchor instanceof Element);
  const before = isPoint ? document.activeElement : anchor;
  if (signs.length) {
    const row = signs.map((item) => menuItem(item, () => close(true)));
    node.append(el("div", { className: "menu-signs", role: "group" }, ...row));
  }
  for (const item of items) {
    if (!item) node.append(el("hr"));
    else node.append(menuItem(item, () => close(true)));
  }
  const host = (isPoint ? before : anchor)?.closest("dialog[open], main") ?? document.body;
  host.append(node);
  place(node, isPoint ? new DOMRect(anchor.x, anchor.y, 0, 0) : anchor.getBoundingClientRect());
  if (!isPoint) anchor.setAttribute("aria-expanded", "true");
  const entries = [...node.querySelectorAll("button")];
  entries[0]?.focus();

  function close(isToFocus) {
    if (!node.isConnected) return;
    node.remove();
    removeEventListener("pointerdown", outside, true);
    removeEventListener("resize", shut);
    if (!isPoint) anchor.removeAttribute("aria-expanded");
    if (isToFocus) before?.focus?.();
  }
  const shut = () => close(false);
  const outside = (event) => !node.contains(event.target) && close(false);
  node.addEventListener("keydown", (event) => {
    const at = entries.indexOf(document.activeElement);
    const steps = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: -1 };
    if (signs.length) Object.assign(steps, { ArrowRight: at + 1, ArrowLeft: at - 1 });
    if (event.key in steps) entries.at(steps[event.key] % entries.length)?.focus();
    else if (event.key === "Escape" || event.key === "Tab") close(true);
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  addEventListener("pointerdown", outside, true);
  addEventListener("resize", shut);
  return { close: shut };
}

function menuItem({ shape, name, text, act, isDanger, isChecked }, close) {
  const props = { type: "button", role: "menuitem", className: isDanger ? "danger" : "" };
  if (isChecked !== undefined) {
    props.role = "menuitemradio";
    props["aria-checked"] = String(isChecked);
  }
  const entry = el("button", props, shape ? icon(shape) : null, el("span", {}, text ?? t(name)));
  if (isChecked && shape) entry.append(icon("check"));
  entry.addEventListener("click", () => {
    close();
    act();
  });
  return entry;
}

/** Puts a floating node below its anchor's box, or above it, within the window. */
export function place(node, box) {
  const { offsetWidth: width, offsetHeight: height } = node;
  const below = box.bottom + 4;
  const fits = below + height <= innerHeight - 8;
  const top = fits ? below : Math.max(8, box.top - height - 4);
  const isLeft = box.left + width <= innerWidth - 8;
  const left = isLeft ? box.left : Math.max(8, box.right - width);
  node.style.top = `${top}px`;
  node.style.left = `${Math.min(left, Math.max(8, innerWidth - width - 8))}px`;
}

/** A note that passes by itself; `isError` has it read out at once. */
export function notify(text, { isError = false } = {}) {
  const note = el("p", { className: isError ? "toast error" : "toast" }, text);
  note.setAttribute("role", isError ? "alert" : "status");
  const open = document.querySelectorAll("dialog[open]");
  (open[open.length - 1] ?? document.body).append(note);
  setTimeout(() => note.remove(), NOTE_MS);
}

/** Closes a dialog by a click that begins and ends beside it. */
function onBackdrop(node, close) {
  let began = false;
  const isBeside = (event) => {
    if (event.target !== node) return false;
    const { left, right, top, bottom } = node.getBoundingClientRect();
    const { clientX: x, clientY: y } = event;
    return x < left || x > right || y < top || y > bottom;
  };
  node.addEventListener("pointerdown", (event) => (began = isBeside(event)));
  node.addEventListener("click", (event) => began && isBeside(event) && close());
}

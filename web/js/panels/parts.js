// What several panels about people and groups are made of.

import { SINGLE, keyOf } from "../../sdk/tandem.js";
import { nameOfContact } from "../contacts.js";
import { notify } from "../dialog.js";
import { button, el, tell, whileBusy } from "../dom.js";
import { errorText, nameOfUser } from "../format.js";
import { hasText, t } from "../i18n.js";
import { icon } from "../icons.js";

const SEARCH_MS = 250; // after the last key

/** A place for what went wrong, at the top of a dialog however far that is scrolled. */
export const errorPlace = () =>
  el("p", { className: "error people-error", role: "alert", hidden: true });

/**
 * Does `task` while `control` is busy; what goes wrong is told in `place`. `kind`: texts called
 * `<kind>Failed.<slug>` are used before the general ones. Gives whether it went well.
 */
export async function attempt(control, place, task, kind = "") {
  const dialog = control.closest("dialog");
  tell(place, "");
  try {
    await whileBusy(control, task);
    return true;
  } catch (error) {
    tell(place, callText(error, kind));
    return false;
  } finally {
    // What is busy cannot keep the focus.
    if (document.activeElement === document.body) {
      (control.isConnected ? control : dialog?.querySelector("h2"))?.focus();
    }
  }
}

/** What went wrong with a call: the text `<kind>Failed.<slug>` where there is one. */
export function callText(error, kind) {
  const own = `${kind}Failed.${error.reason}`;
  return hasText(own) ? t(own) : errorText(error);
}

const loads = new WeakMap();

/**
 * Shows in `place` that `load` is at work, or that it failed and how to try again; then `show` gets
 * what it gave. A later one in the same place makes an earlier one void. `kind`: see `attempt`.
 */
export async function loading(place, load, show, kind = "") {
  loads.set(place, load);
  const busy = icon("loader-circle");
  busy.classList.add("spinning");
  place.replaceChildren(el("div", { className: "empty", role: "status" }, busy, t("loading")));
  try {
    const loaded = await load();
    if (loads.get(place) !== load) return;
    place.replaceChildren();
    show(loaded);
  } catch (error) {
    const text = callText(error, kind);
    if (loads.get(place) !== load) return;
    const again = button("people.again");
    again.addEventListener("click", () => loading(place, load, show, kind));
    const parts = [icon("circle-alert"), el("p", {}, text), again];
    place.replaceChildren(el("div", { className: "empty", role: "alert" }, ...parts));
  }
}

/** That there is nothing: an icon, words, and perhaps a button. */
export const emptyPlace = (shape, text, ...more) =>
  el("div", { className: "empty" }, icon(shape), el("p", {}, text), ...more);

/** Puts other nodes into `root`; the button or field at the same place keeps the focus. */
export function redraw(root, nodes) {
  const controls = () => [...root.querySelectorAll("button, input, select, textarea")];
  const at = controls().indexOf(document.activeElement);
  root.replaceChildren(...nodes);
  if (at >= 0) (controls()[at] ?? controls().at(-1))?.focus();
}

/** Copies `text` and says so. */
export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    notify(t("copied"));
  } catch {
    notify(t("copyFailed"), { isError: true }); // no leave, or no secure origin
  }
}

/** Calls `update` at each of these events until the dialog is closed. */
export function whileOpen(dialog, targets, update) {
  for (const [target, type] of targets) target.addEventListener(type, update);
  dialog.closed.then(() => {
    for (const [target, type] of targets) target.removeEventListener(type, update);
  });
}

/** Closes all dialogs and opens the conversation. */
export function goTo(app, chat, dstid, name) {
  app.client.open(chat, dstid, name);
  for (const dialog of document.querySelectorAll("dialog[open]")) dialog.close();
  app.go(keyOf(chat, dstid));
}

export const chatWith = (app, user) => goTo(app, SINGLE, user.id, nameOfUser(user));

/** What oneself calls a user: the own name for a contact, else theirs. */
export function nameFor(app, user) {
  if (user.id === app.client.user.id) return t("you");
  const contact = app.contacts.get(user.id);
  return contact ? nameOfContact(contact) : nameOfUser(user);
}

/** The row of a user, without anything to do. */
export function rowOf(app, user, note = "") {
  const { id, username, avatar } = user;
  const name = nameFor(app, user);
  const presence = app.contacts.presenceOf(id);
  return { id, name, url: avatar, presence, note: note || username || String(id) };
}

/** Whether a name, username or number has these words in it. */
export function matches(words, ...texts) {
  const plain = (text) => text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
  return texts.some((text) => plain(text).includes(plain(words)));
}

/** A field to search in what is below it; `found` gets its trimmed text at each change. */
export function searchField(label, found) {
  const input = el("input", { type: "search", placeholder: label, "aria-label": label });
  Object.assign(input, { autocomplete: "off", spellcheck: false, maxLength: 64 });
  input.setAttribute("autocapitalize", "none");
  input.addEventListener("input", () => found(input.value.trim()));
  return input;
}

/** Arrow keys go from the field through the rows below it and back; Enter takes the first row. */
export function arrowKeys(root, input) {
  root.addEventListener("keydown", (event) => {
    const rows = [...root.querySelectorAll("button.row")];
    const at = rows.indexOf(document.activeElement);
    const isInField = document.activeElement === input;
    if (!isInField && at < 0) return;
    if (event.key === "ArrowDown") rows[at + 1]?.focus();
    else if (event.key === "ArrowUp") (rows[at - 1] ?? input).focus();
    else if (event.key === "Enter" && isInField && !event.isComposing) rows[0]?.click();
    else return;
    event.preventDefault();
  });
}

/** `task` some time after the last of several calls. */
export function debounced(task) {
  let timer = 0;
  return (...values) => {
    clearTimeout(timer);
    timer = setTimeout(() => task(...values), SEARCH_MS);
  };
}

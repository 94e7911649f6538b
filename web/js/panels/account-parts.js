// What the account's panels are put together from.

import { notify } from "../dialog.js";
import { el, iconButton, tell, whileBusy } from "../dom.js";
import { errorText } from "../format.js";
import { t } from "../i18n.js";
import { icon } from "../icons.js";

let lastId = 0;

/** A part of a panel under a heading. */
export const section = (title, ...children) =>
  el("section", { className: "section" }, el("h3", {}, title), ...children);

/** The two lines of a row. */
export function rowText(name, note = "") {
  const lines = [el("span", { className: "row-name", dir: "auto" }, name)];
  if (note) lines.push(el("span", { className: "row-note", dir: "auto" }, note));
  return el("span", { className: "row-text" }, ...lines);
}

/** A row that leads to something else. */
export function linkRow(shape, name, act, note = "") {
  const text = rowText(t(name), note);
  const row = el("button", { type: "button", className: "row" }, icon(shape), text);
  row.append(icon("chevron-right"));
  row.addEventListener("click", () => act(row));
  return row;
}

/** A button that copies this text. */
export function copyButton(text) {
  const copy = iconButton("copy", "panel.copy");
  copy.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text);
      notify(t("panel.copied"));
    } catch {
      notify(t("panel.notCopied"), { isError: true }); // without TLS browsers have no clipboard
    }
  });
  return copy;
}

const FIELD_ERRORS = { username: "errorUsername", password: "errorPassword", new: "errorPassword" };
Object.assign(FIELD_ERRORS, { mobile: "profile.errorMobile" });

/** What is wrong with a field that the server refused, in the page's language. */
function fieldError(error, name) {
  if (error.reason === "taken") return t(name === "mobile" ? "profile.mobileTaken" : "errorTaken");
  if (error.reason === "not-allowed") return t("profile.errorOld");
  return name in FIELD_ERRORS ? t(FIELD_ERRORS[name]) : error.errors[name];
}

/**
 * A form. `fields`: name → `{label, hint, isLong, …}`, the rest being properties of the input.
 * `submit(values, mark)` gets the texts; `mark({name: text})` says what is wrong with fields, which a
 * refusal by the server does by itself. What `submit` throws is told under the fields.
 */
export function fieldForm({ fields, confirm, isDanger = false, submit }) {
  const inputs = {};
  const wrong = {};
  const rows = Object.entries(fields).map(([name, { label, hint = "", isLong, ...props }]) => {
    const id = `field-${++lastId}`;
    const input = el(isLong ? "textarea" : "input", { name, dir: "auto", ...props });
    input.setAttribute("aria-describedby", `${id}-hint ${id}-error`);
    inputs[name] = input;
    wrong[name] = el("span", { id: `${id}-error`, className: "field-error", hidden: true });
    const note = el("small", { id: `${id}-hint`, className: "hint", hidden: !hint }, hint);
    return el("div", { className: "field" }, el("label", {}, label, input), note, wrong[name]);
  });
  const failure = el("p", { className: "error", role: "alert", hidden: true });
  const send = el("button", { className: isDanger ? "danger" : "primary" }, t(confirm));
  const actions = el("div", { className: "actions" }, send);
  const form = el("form", { noValidate: true }, ...rows, failure, actions);

  function mark(texts) {
    for (const [name, input] of Object.entries(inputs)) {
      tell(wrong[name], texts[name] ?? "");
      input.setAttribute("aria-invalid", String(name in texts));
    }
    Object.entries(inputs).find(([name]) => name in texts)?.[1].focus();
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    mark({});
    tell(failure, "");
    whileBusy(send, async () => {
      const values = Object.fromEntries(
        Object.entries(inputs).map(([name, { type, value }]) => [
          name,
          type === "password" ? value : value.trim(),
        ]),
      );
      try {
        await submit(values, mark);
      } catch (error) {
        const known = Object.keys(error.errors ?? {}).filter((name) => name in inputs);
        mark(Object.fromEntries(known.map((name) => [name, fieldError(error, name)])));
        if (!known.length) tell(failure, errorText(error));
      }
    });
  });
  return { form, inputs };
}

// Choosing several people: a finder whose rows are switched on and off, and chips of who is chosen.

import { el } from "../dom.js";
import { t } from "../i18n.js";
import { icon } from "../icons.js";
import { personFinder } from "./finder.js";
import { nameFor, rowOf } from "./parts.js";

/** `chosen` has the users by id. `without(id)`: who is not to be offered. */
export function personChooser(app, { without = () => false } = {}) {
  const chosen = new Map();
  const chips = el("ul", { className: "people-chips", "aria-label": t("people.chosen") });
  const finder = personFinder(app, { rowFor });
  const node = el("div", { className: "section" }, chips, finder.node);
  drawChips();

  function rowFor(user) {
    if (user.deleted || user.id === app.client.user.id || without(user.id)) return null;
    const act = () => turn(user);
    return { ...rowOf(app, user), isChosen: chosen.has(user.id), act };
  }

  function turn(user) {
    if (!chosen.delete(user.id)) chosen.set(user.id, user);
    drawChips();
    finder.update();
  }

  function drawChips() {
    chips.hidden = !chosen.size;
    chips.replaceChildren(...[...chosen.values()].map(chip));
  }

  function chip(user) {
    const name = nameFor(app, user);
    const props = { type: "button", className: "icon", "aria-label": t("remove", { name }) };
    const drop = el("button", props, icon("x"));
    drop.addEventListener("click", () => {
      turn(user);
      (chips.querySelector("button") ?? finder.input).focus();
    });
    return el("li", { className: "people-chip" }, el("span", { className: "cut" }, name), drop);
  }

  function update() {
    drawChips();
    finder.update();
  }

  return { node, chosen, update, input: finder.input };
}

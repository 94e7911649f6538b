// Finding somebody to chat with, or to have among one's contacts.

import { openDialog } from "../dialog.js";
import { button, el, loadStyle } from "../dom.js";
import { icon } from "../icons.js";
import { t } from "../i18n.js";
import { personFinder } from "./finder.js";
import { attempt, chatWith, errorPlace, nameFor, rowOf, whileOpen } from "./parts.js";

/** `arg`: `{q}`, what to look for at first, or nothing. */
export async function open(app, arg) {
  await loadStyle("panels");
  const { client, contacts } = app;
  const wrong = errorPlace();
  const finder = personFinder(app, { rowFor, q: arg?.q });
  const group = button("newGroup", { className: "row people-entry" }, icon("users"));
  group.addEventListener("click", async () => {
    const panel = await import("./new-group.js");
    panel.open(app);
  });
  const dialog = openDialog({ title: t("newChat"), content: [wrong, finder.node, group] });
  whileOpen(dialog, [[contacts, "change"]], finder.update);

  function rowFor(user) {
    const row = rowOf(app, user);
    const isOwn = user.id === client.user.id;
    if (isOwn) row.name = t("notes");
    const state = contacts.get(user.id)?.state;
    const name = nameFor(app, user);
    row.act = () => chatWith(app, user);
    if (state === "requested") row.tags = [t("contacts.asked")];
    if (!isOwn && !user.deleted && !state) row.controls = [add(user, name)];
    if (state === "pending") row.controls = [accept(user, name)];
    return row;
  }

  const add = (user, name) => ({
    shape: "user-plus",
    label: t("contacts.add", { name }),
    act: (node) => attempt(node, wrong, () => contacts.ask(user.id), "contacts"),
  });

  const accept = (user, name) => ({
    text: t("people.accept"),
    label: t("contacts.accept", { name }),
    act: (node) => attempt(node, wrong, () => contacts.accept(user.id), "contacts"),
  });
}

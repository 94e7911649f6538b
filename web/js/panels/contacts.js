// One's contacts, the requests of both sides, and who is blocked.

import { nameOfContact } from "../contacts.js";
import { openDialog } from "../dialog.js";
import { button, el, loadStyle, tell } from "../dom.js";
import { errorText } from "../format.js";
import { t } from "../i18n.js";
import { icon } from "../icons.js";
import { ListSection } from "./rows.js";
import * as parts from "./parts.js";

export async function open(app) {
  await loadStyle("panels");
  const { contacts } = app;
  let words = "";
  const wrong = parts.errorPlace();
  const input = parts.searchField(t("contacts.search"), (text) => {
    words = text;
    update();
  });
  input.autofocus = true;
  const find = button("contacts.find", { className: "primary" }, icon("user-plus"));
  find.addEventListener("click", async () => (await import("./new-chat.js")).open(app));
  const head = el("div", { className: "people-head" }, input, find);
  const [pending, all, requested, blocked] = [
    ["contacts.pending", pendingRow],
    ["contacts", contactRow],
    ["contacts.requested", requestedRow],
    ["contacts.blocked", blockedRow],
  ].map(([name, rowFor]) => new ListSection(t(name), rowFor));
  const place = el("div", { className: "people-place" });
  const lists = [pending.node, all.node, place, requested.node, blocked.node];
  const content = [wrong, head, ...lists];
  const dialog = openDialog({ title: t("contacts"), className: "tall", content });
  parts.arrowKeys(dialog.body, input);
  parts.whileOpen(dialog, [[contacts, "change"]], update);
  const load = () => Promise.all([contacts.load(), contacts.loadBlocks()]);
  if (contacts.isLoaded) load().catch((error) => tell(wrong, errorText(error)));
  else parts.loading(place, load, update);
  update();

  function update() {
    const isWanted = (user) =>
      parts.matches(words, parts.nameFor(app, user), user.nickname, user.username);
    pending.show(contacts.pending.filter(isWanted));
    all.show(contacts.all.filter(isWanted));
    requested.show(contacts.requested.filter(isWanted));
    blocked.show(contacts.blocked.filter(isWanted));
    if (!contacts.isLoaded) return;
    place.replaceChildren();
    if (words && ![pending, all, requested, blocked].some(({ node }) => !node.hidden)) {
      place.append(parts.emptyPlace("search", t("nobody")));
    } else if (!words && !contacts.all.length) {
      place.append(parts.emptyPlace("users", t("contacts.none")));
    }
  }

  function pendingRow(user) {
    const name = nameOfContact(user);
    const act = (call) => (node) => parts.attempt(node, wrong, () => call(user.id), "contacts");
    const accept = { text: t("people.accept"), label: t("contacts.accept", { name }) };
    Object.assign(accept, { className: "primary", act: act((id) => contacts.accept(id)) });
    const refuse = { shape: "x", label: t("contacts.refuse", { name }) };
    refuse.act = act((id) => contacts.remove(id));
    return { ...profileRow(user), controls: [accept, refuse] };
  }

  function contactRow(user) {
    const name = nameOfContact(user);
    const note = user.status || t(`presence.${contacts.presenceOf(user.id)}`);
    const chat = { shape: "message-square-plus", label: t("contacts.chat", { name }) };
    chat.act = () => parts.chatWith(app, user);
    return { ...profileRow(user, note), controls: [chat] };
  }

  function requestedRow(user) {
    const name = nameOfContact(user);
    const withdraw = { text: t("contacts.withdraw"), label: t("contacts.withdrawOf", { name }) };
    withdraw.act = (node) => parts.attempt(node, wrong, () => contacts.remove(user.id));
    return { ...profileRow(user), controls: [withdraw] };
  }

  function blockedRow(user) {
    const name = parts.nameFor(app, user);
    const unblock = { text: t("contacts.unblock"), label: t("contacts.unblockOf", { name }) };
    unblock.act = (node) => parts.attempt(node, wrong, () => contacts.unblock(user.id));
    return { ...profileRow(user), controls: [unblock] };
  }

  function profileRow(user, note) {
    const act = async () => (await import("./person.js")).open(app, user.id);
    return { ...parts.rowOf(app, user, note), act };
  }
}

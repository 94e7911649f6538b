// Who somebody is, and what one is to them.

import { avatar } from "../avatar.js";
import { ask, askText, openDialog } from "../dialog.js";
import { button, el, iconButton, loadStyle } from "../dom.js";
import { nameOfUser } from "../format.js";
import { t } from "../i18n.js";
import { icon } from "../icons.js";
import { attempt, chatWith, copy, errorPlace, loading, nameFor, redraw } from "./parts.js";
import { whileOpen } from "./parts.js";

/** `id`: the user's. */
export async function open(app, id) {
  await loadStyle("panels");
  const { client, contacts } = app;
  const wrong = errorPlace();
  const card = el("div", { className: "people-card" });
  const dialog = openDialog({ title: t("personInfo"), content: [wrong, card] });
  let user = null;
  const update = () => user && redraw(card, drawn());
  whileOpen(dialog, [[contacts, "change"]], update);
  const read = () => client.request("GET", `/api/users/${id}`);
  loading(card, read, (found) => {
    user = found;
    update();
  });

  const isOwn = id === client.user.id;
  const act = (node, task) => attempt(node, wrong, task, "contacts");

  function drawn() {
    const contact = contacts.get(id);
    const presence = contacts.presenceOf(id);
    const name = isOwn ? nameOfUser(user) : nameFor(app, user);
    const parts = [
      avatar(name, { id, url: user.avatar, size: "huge", presence }),
      el("p", { className: "people-name", dir: "auto" }, name),
    ];
    if (contact?.state === "both") parts.push(presenceLine(presence, contact.status));
    if (user.deleted) return [...parts, el("p", { className: "muted" }, t("person.deleted"))];
    return [...parts, mainButtons(contact, name), facts(contact), lesserButtons(contact, name)];
  }

  function mainButtons(contact, name) {
    const chat = button(isOwn ? "notes" : "person.chat", { className: "primary" });
    chat.prepend(icon(isOwn ? "sticky-note" : "message-square-plus"));
    chat.addEventListener("click", () => chatWith(app, user));
    const row = el("div", { className: "people-buttons" }, chat);
    if (!isOwn && contact?.state !== "both") row.append(...contactButtons(contact, name));
    return row;
  }

  function contactButtons(contact, name) {
    const make = (text, shape, task) => {
      const node = button(text, {}, icon(shape));
      node.addEventListener("click", () => act(node, task));
      return node;
    };
    if (contact?.state === "pending") {
      return [
        el("p", { className: "note" }, t("person.asks", { name })),
        make("people.accept", "check", () => contacts.accept(id)),
        make("people.refuse", "x", () => contacts.remove(id)),
      ];
    }
    if (contact) return [make("person.withdraw", "undo-2", () => contacts.remove(id))];
    if (contacts.isBlocked(id)) return [];
    return [make("person.add", "user-plus", () => contacts.ask(id))];
  }

  function facts(contact) {
    const copier = iconButton("copy", "person.copy");
    copier.addEventListener("click", () => copy(user.jid));
    const list = el("dl", { className: "people-facts" });
    const add = (name, text, ...more) =>
      text && list.append(el("dt", {}, t(name)), el("dd", { dir: "auto" }, text, ...more));
    if (contact?.memo) add("person.nickname", user.nickname);
    add("username", user.username);
    add("person.number", String(user.id));
    add("person.jid", el("code", {}, user.jid), copier);
    add("person.memo", user.memo);
    return list;
  }

  /** What is done to a contact or a stranger, but not often. */
  function lesserButtons(contact, name) {
    const list = el("div", { className: "list people-entries" });
    if (isOwn) return list;
    const make = (text, shape, task, className = "") => {
      const node = button(text, { className: `row ${className}` }, icon(shape));
      node.addEventListener("click", () => task(node));
      list.append(node);
    };
    if (contact?.state === "both") make("person.rename", "pencil", rename);
    if (contacts.isBlocked(id)) {
      make("person.unblock", "undo-2", (node) => act(node, () => contacts.unblock(id)));
    } else {
      make("person.block", "ban", (node) => block(node, name), "danger");
    }
    if (contact?.state === "both") make("person.remove", "user-minus", remove, "danger");

    async function remove(node) {
      const [title, text] = [t("person.removeSure", { name }), t("person.removeNote")];
      if (await ask({ title, text, confirm: "person.remove", isDanger: true })) {
        act(node, () => contacts.remove(id));
      }
    }
    return list;
  }

  async function rename(node) {
    const [title, label] = [t("person.rename"), t("person.ownName")];
    const value = contacts.get(id)?.memo ?? "";
    const memo = await askText({ title, label, value });
    if (memo !== null) act(node, () => contacts.rename(id, memo));
  }

  async function block(node, name) {
    const [title, text] = [t("person.blockSure", { name }), t("person.blockNote")];
    if (await ask({ title, text, confirm: "person.block", isDanger: true })) {
      act(node, () => contacts.block(id));
    }
  }
}

function presenceLine(presence, status) {
  const words = [t(`presence.${presence}`), status].filter(Boolean).join(" · ");
  return el("p", { className: "people-presence", dir: "auto" }, words);
}

// Choosing one person or one conversation, for something that is to be sent.

import { GROUP, SINGLE, keyOf } from "../../sdk/tandem.js";
import { openDialog } from "../dialog.js";
import { loadStyle } from "../dom.js";
import { nameOfUser } from "../format.js";
import { t } from "../i18n.js";
import { el } from "../dom.js";
import { personFinder } from "./finder.js";
import { arrowKeys, emptyPlace, matches, nameFor, rowOf, searchField, whileOpen } from "./parts.js";
import { RowList } from "./rows.js";

/** Asks for a person; resolves to the `User`, or null. */
export async function pickContact(app) {
  await loadStyle("panels");
  let picked = null;
  const finder = personFinder(app, {
    rowFor: (user) => {
      if (user.deleted) return null;
      const act = () => {
        picked = user;
        dialog.close();
      };
      return { ...rowOf(app, user), act };
    },
  });
  const dialog = openDialog({ title: t("pick.contact"), className: "tall", content: finder.node });
  whileOpen(dialog, [[app.contacts, "change"]], finder.update);
  await dialog.closed;
  return picked;
}

/** Asks for a conversation, old or new with a contact; resolves to the `Conversation`, or null. */
export async function pickConversation(app) {
  await loadStyle("panels");
  const { client, contacts } = app;
  let picked = null;
  let words = "";
  const list = new RowList(t("conversations"));
  const place = el("div");
  const input = searchField(t("find"), (text) => {
    words = text;
    update();
  });
  input.autofocus = true;
  const content = [input, list.node, place];
  const dialog = openDialog({ title: t("pick.conversation"), className: "tall", content });
  arrowKeys(dialog.body, input);
  whileOpen(dialog, [[contacts, "change"], [client, "conversations"]], update);
  update();

  function update() {
    const present = client.conversations.map(conversationRow);
    const others = contacts.all
      .filter(({ id }) => !client.conversation(keyOf(SINGLE, id)))
      .map((user) => ({ ...rowOf(app, user), chat: SINGLE, act: () => pick(user) }));
    const rows = [...present, ...others].filter(({ name }) => matches(words, name));
    list.show(rows);
    place.replaceChildren(...(rows.length ? [] : [emptyPlace("search", t("pick.none"))]));
  }

  function conversationRow({ chat, dstid, avatar, key, ...rest }) {
    const name = app.nameOf({ chat, dstid, ...rest });
    const presence = chat === GROUP ? "" : contacts.presenceOf(dstid);
    const act = () => {
      picked = client.conversation(key);
      dialog.close();
    };
    return { id: dstid, chat, name, url: avatar, presence, act };
  }

  function pick(user) {
    picked = client.open(SINGLE, user.id, nameOfUser(user));
    dialog.close();
  }

  await dialog.closed;
  return picked;
}

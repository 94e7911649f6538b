// The chat of whoever is logged in: it opens what the address names.

import { GROUP, SINGLE, keyOf } from "../sdk/tandem.js";
import { Contacts } from "./contacts.js";
import { notify } from "./dialog.js";
import { byId } from "./dom.js";
import { Groups } from "./groups.js";
import { t } from "./i18n.js";
import { Sidebar } from "./sidebar.js";
import { Thread } from "./thread.js";

const CONVERSATION = /^#\/(10|11)\/([1-9]\d{0,15})(?:\/([1-9]\d{0,15}))?$/;
const INVITATION = /^#\/join\/([\w-]{1,64})$/;

/** Shows the chat. The client has been started, or is about to be. */
export function startChat(client, preferences) {
  const app = { client, preferences, contacts: new Contacts(client), groups: new Groups(client) };
  Object.assign(app, { go, nameOf, openMenuOf, openPanel });
  const sidebar = new Sidebar(app);
  const thread = new Thread(app);
  let opened = null;

  /** What this user calls a conversation. */
  function nameOf({ chat, dstid, name }) {
    if (chat === GROUP) return name || String(dstid);
    if (dstid === client.user.id) return t("notes");
    const person = client.person(dstid);
    if (person?.deleted) return t("deletedAccount");
    return person ? client.nameOf(dstid) : name || String(dstid);
  }

  /** Opens a conversation by its key, at a message if a seq is given; null: none. */
  function go(key, seq = 0) {
    const wanted = key ? `#/${key}${seq ? `/${seq}` : ""}` : "#/";
    if (location.hash === wanted) route();
    else location.hash = wanted;
  }

  /** Opens a panel of js/panels, which is loaded when it is first needed. */
  async function openPanel(name, detail) {
    try {
      const panel = await import(`./panels/${name}.js`);
      return await panel.open(app, detail);
    } catch (error) {
      if (!/import|fetch/i.test(error?.message ?? "")) throw error;
      notify(t("errorLoad"), { isError: true }); // the network is away, or the server has a new page
      return undefined;
    }
  }

  /** Says what can be done with a conversation, at a button or a point. */
  async function openMenuOf(key, anchor) {
    const { conversationMenu } = await import("./menus.js");
    conversationMenu(app, key, anchor);
  }

  function route() {
    const [, code] = INVITATION.exec(location.hash) ?? [];
    if (code) {
      history.replaceState(null, "", "#/");
      openPanel("join", code);
    }
    const [, chat, dstid, seq] = CONVERSATION.exec(location.hash) ?? [];
    let key = chat ? keyOf(Number(chat), Number(dstid)) : null;
    if (key && !client.conversation(key)) {
      if (Number(chat) === SINGLE) client.open(SINGLE, Number(dstid));
      else if (!client.synced)
        return; // comes again with the list
      else key = null;
    }
    if (key === null && location.hash.length > 2) history.replaceState(null, "", "#/");
    // The place is gone to once; the address says only which conversation it is from then on.
    if (seq) history.replaceState(null, "", `#/${key}`);
    if (key !== opened || seq) {
      document.body.classList.toggle("in-thread", key !== null);
      opened = key;
      sidebar.mark(key);
      thread.open(key, Number(seq ?? 0));
    }
  }

  addEventListener("hashchange", route);
  client.on("conversations", () => {
    const isGone = opened && client.synced && !client.conversation(opened);
    if (isGone) go(null);
    else if (!opened && location.hash.length > 2) route();
  });

  byId("chat").hidden = false;
  route();
  import("./notifications.js").then(({ Notifier }) => new Notifier(app));
}

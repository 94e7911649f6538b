// Where the page begins: one shows either the entrance or the chat.

import { TandemClient } from "./client.js";
import { Dialogs } from "./dialogs.js";
import { byId } from "./dom.js";
import { Entrance } from "./entrance.js";
import { startLanguage, switchLanguage, t } from "./i18n.js";
import { People } from "./people.js";
import { Session } from "./session.js";
import { Sidebar } from "./sidebar.js";
import { Thread } from "./thread.js";

const NOTE = "tandem:note"; // what the entrance has to say after the reload that ends a login

const session = new Session({ base: location.origin, storage: localStorage });

startLanguage();
for (const node of document.querySelectorAll(".language")) {
  const render = () => (node.textContent = t("language"));
  node.addEventListener("click", switchLanguage);
  document.addEventListener("language", render);
  render();
}

// The other tabs log in and out with this one.
addEventListener("storage", () => session.isOutdated() && location.reload());

if (session.user) {
  enter();
} else {
  const note = sessionStorage.getItem(NOTE);
  sessionStorage.removeItem(NOTE);
  new Entrance(session, () => {
    byId("entrance").hidden = true;
    enter();
  }).show(note ? t(note) : "");
}

function enter() {
  const client = new TandemClient({ session, storage: localStorage });
  const people = new People(session);
  const sidebar = new Sidebar(client, people, session);
  const thread = new Thread(client, people, (conversation) => sidebar.nameOf(conversation));
  const dialogs = new Dialogs(client, session);

  let opened = null;
  /** Opens what the address names: `#/10/<user>` or `#/11/<group>`. */
  const route = () => {
    const [, chat, dstid] = /^#\/(10|11)\/([1-9]\d{0,15})$/.exec(location.hash) ?? [];
    let key = chat ? `${chat}/${dstid}` : null;
    if (key && !client.conversation(key)) {
      if (!client.synced) return; // comes again with the list
      if (chat === "10") client.openConversation(10, Number(dstid), "");
      else key = null;
    }
    if (key === null && location.hash.length > 2) history.replaceState(null, "", "#/");
    if (key === opened) return;
    opened = key;
    document.body.classList.toggle("in-thread", key !== null);
    sidebar.mark(key);
    thread.open(key);
  };
  addEventListener("hashchange", route);
  client.addEventListener("conversations", route);
  byId("back").addEventListener("click", () => (location.hash = "#/"));
  byId("group-info").addEventListener("click", () => {
    dialogs.showMembers(Number(opened.split("/")[1]));
  });

  byId("log-out").addEventListener("click", () => {
    const count = client.outbox.items.length;
    if (count && !confirm(t("unsentOnLogout", { count }))) return;
    client.outbox.clear();
    session.logout();
  });
  session.addEventListener("ended", ({ detail: wished }) => {
    client.stop();
    if (!wished) sessionStorage.setItem(NOTE, "loggedOutElsewhere");
    leave();
  });
  addEventListener("storage", ({ key }) => key === client.seenKey && client.readSeen());

  byId("chat").hidden = false;
  route();
  client.start();
}

/** Back to the entrance, with nothing of the last user left in the page. */
function leave() {
  history.replaceState(null, "", "/");
  location.reload();
}

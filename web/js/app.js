// Where the page begins: it shows the entrance or the chat, whose modules are loaded when it is
// known which of them it is.

import { Tandem } from "../sdk/tandem.js";
import { startLanguage, t } from "./i18n.js";
import { Preferences } from "./preferences.js";

const NOTE = "tandem:note"; // what the entrance has to say after the reload that ends a login

const preferences = new Preferences(localStorage);
preferences.startTheme();
const client = new Tandem();
client.on("outdated", () => location.reload());
client.on("ended", ({ wished }) => {
  if (!wished) sessionStorage.setItem(NOTE, "loggedOutElsewhere");
  // Nothing of the last user stays in the page.
  history.replaceState(null, "", "/");
  location.reload();
});
if (client.user) await openChat();
else await openEntrance();
addEventListener("load", keepOffline);
if (document.readyState === "complete") keepOffline();

async function openEntrance() {
  const [{ Entrance }] = await Promise.all([import("./entrance.js"), startLanguage()]);
  const note = sessionStorage.getItem(NOTE);
  sessionStorage.removeItem(NOTE);
  const entrance = new Entrance(client, async () => {
    await openChat();
    entrance.hide();
  });
  entrance.show(note ? t(note) : "");
  document.getElementById("splash").remove();
  takeBackNotifications();
}

/** Those of the last user. */
async function takeBackNotifications() {
  const worker = await navigator.serviceWorker?.ready;
  for (const note of (await worker?.getNotifications()) ?? []) note.close();
}

async function openChat() {
  client.start(); // it connects while the rest is loaded
  const [{ startChat }] = await Promise.all([import("./chat.js"), startLanguage()]);
  startChat(client, preferences);
  document.getElementById("splash")?.remove();
}

/** Not earlier: what the worker loads would hold up the page. */
function keepOffline() {
  navigator.serviceWorker?.register("/sw.js").catch(() => {});
}

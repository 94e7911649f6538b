// What can be done with a conversation, and leaving.

import { GROUP } from "../sdk/tandem.js";
import { ask, notify, openMenu } from "./dialog.js";
import { errorText } from "./format.js";
import { t } from "./i18n.js";

/** The menu of a conversation, at a button or a point. */
export function conversationMenu(app, key, anchor) {
  const { client, openPanel } = app;
  const conversation = client.conversation(key);
  if (!conversation) return;
  const { chat, dstid, pinned, muted, archived, unread } = conversation;
  const change = async (what) => {
    try {
      await client.change({ chat, dstid }, what);
    } catch (error) {
      notify(errorText(error), { isError: true });
    }
  };
  const isGroup = chat === GROUP;
  const isNotes = !isGroup && dstid === client.user.id;
  const info = isGroup
    ? { shape: "users", name: "groupInfo", act: () => openPanel("group", dstid) }
    : { shape: "user", name: "personInfo", act: () => openPanel("person", dstid) };
  const read = { shape: "check-check", name: "markRead", act: () => client.markRead(key) };
  const find = {
    shape: "search",
    name: "findHere",
    act: () => openPanel("search", { chat, dstid }),
  };
  openMenu(anchor, [
    ...(isNotes ? [] : [info]),
    find,
    ...(unread ? [read] : []),
    toggle(pinned, "pin", "pin-off", (value) => change({ pinned: value })),
    toggle(muted, "mute", "unmute", (value) => change({ muted: value })),
    toggle(archived, "doArchive", "unarchive", (value) => change({ archived: value })),
  ]);
}

const SHAPES = { pin: "pin", "pin-off": "pin-off", mute: "bell-off", unmute: "bell" };
Object.assign(SHAPES, { doArchive: "archive", unarchive: "undo-2" });

function toggle(isOn, on, off, set) {
  const name = isOn ? off : on;
  return { shape: SHAPES[name], name, act: () => set(!isOn) };
}

/** Logs out, once it is agreed that what was not sent is lost. */
export async function askLogout(client) {
  const count = client.pending().length;
  const text = count ? t("unsentOnLogout", { count }) : t("logOutSure");
  if (await ask({ title: t("logOut"), text, confirm: "logOut" })) await client.logout();
}

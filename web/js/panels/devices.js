// Where one is logged in, and the passwords of single XMPP apps.

import { ask, notify, openDialog } from "../dialog.js";
import { button, el, iconButton, loadStyle, whileBusy } from "../dom.js";
import { errorText, fullTime, shortTime } from "../format.js";
import { t } from "../i18n.js";
import { icon } from "../icons.js";
import { rowText, section } from "./account-parts.js";
import { loading } from "./parts.js";

/** Opens the list of devices. */
export async function open({ client, openPanel }) {
  await loadStyle("account");
  const sessions = el("div");
  const passwords = el("div");
  const everywhere = button("devices.endAll", { className: "danger" });
  everywhere.addEventListener("click", () => endAll(client));
  const connect = button("xmppApp", { className: "small" }, icon("qr-code"));
  connect.addEventListener("click", async () => {
    await openPanel("xmpp");
    showPasswords();
  });
  openDialog({
    title: t("devices"),
    content: [
      section(t("devices.sessions"), sessions, el("div", { className: "actions" }, everywhere)),
      section(t("devices.passwords"), passwords, el("div", { className: "actions" }, connect)),
    ],
  });

  const listSessions = ({ sessions: all }) => {
    const sorted = all.toSorted((one, other) => other.current - one.current);
    sessions.append(list(sorted.map((one) => sessionRow(client, one, showSessions))));
  };
  const listPasswords = ({ app_passwords: all }) => {
    const none = el("p", { className: "muted" }, t("devices.noPasswords"));
    const rows = all.map((one) => passwordRow(client, one, showPasswords));
    passwords.append(rows.length ? list(rows) : none);
  };
  const showSessions = () =>
    loading(sessions, () => client.request("GET", "/api/me/sessions"), listSessions);
  const showPasswords = () =>
    loading(passwords, () => client.request("GET", "/api/me/app-passwords"), listPasswords);
  await Promise.all([showSessions(), showPasswords()]);
}

const list = (rows) => el("ul", { className: "list" }, ...rows);

function sessionRow(client, { sid, device, address, seen, current }, reload) {
  const isPhone = /Mobi|Android|iPhone|iPad/.test(device);
  const when = current ? t("devices.now") : t("devices.seen", { when: shortTime(seen) });
  const name = deviceName(device);
  const row = el("li", { className: "row", title: device });
  const text = rowText(name, [address, when].filter(Boolean).join(" · "));
  row.append(icon(isPhone ? "smartphone" : "laptop"), text);
  if (current) {
    row.append(el("span", { className: "tag" }, t("devices.this")));
    return row;
  }
  const end = button("logOut", { className: "small", "aria-label": t("devices.end", { name }) });
  const what = { title: t("devices.endTitle", { name }), confirm: "logOut", isDanger: true };
  end.addEventListener("click", () =>
    remove(client, end, what, `/api/me/sessions/${sid}`, reload),
  );
  row.append(end);
  return row;
}

function passwordRow(client, { id, name, created, used }, reload) {
  const when = used ? t("devices.used", { when: fullTime(used) }) : t("devices.unused");
  const note = `${when} · ${t("devices.made", { when: shortTime(created) })}`;
  const revoke = iconButton("trash-2", "devices.revoke");
  const text = t("devices.revokeText");
  const what = { title: t("devices.revokeTitle", { name }), text, confirm: "devices.revoke" };
  revoke.addEventListener("click", () =>
    remove(client, revoke, { ...what, isDanger: true }, `/api/me/app-passwords/${id}`, reload),
  );
  return el("li", { className: "row" }, icon("key-round"), rowText(name, note), revoke);
}

/** Asks, deletes what is at the path, and reads the list anew. */
async function remove(client, control, question, path, reload) {
  if (!(await ask(question))) return;
  await whileBusy(control, async () => {
    try {
      await client.request("DELETE", path);
    } catch (error) {
      if (error.status !== 404) notify(errorText(error), { isError: true });
    }
    await reload();
  });
}

async function endAll(client) {
  const text = t("devices.endAllText");
  const question = { title: t("devices.endAll"), text, confirm: "devices.endAll", isDanger: true };
  if (!(await ask(question))) return;
  try {
    await client.logout(true);
  } catch (error) {
    notify(errorText(error), { isError: true });
  }
}

const BROWSERS = [
  ["Edg", "Edge"],
  ["OPR", "Opera"],
  ["SamsungBrowser", "Samsung Internet"],
  ["MicroMessenger", "WeChat"],
  ["Firefox|FxiOS", "Firefox"],
  ["Chrome|CriOS|Chromium", "Chrome"],
  ["Safari", "Safari"],
];
const SYSTEMS = [
  ["iPhone", "iPhone"],
  ["iPad", "iPad"],
  ["Android", "Android"],
  ["Windows", "Windows"],
  ["Mac OS X", "macOS"],
  ["CrOS", "ChromeOS"],
  ["Linux", "Linux"],
];

/** What a `User-Agent` says, in human words. */
export function deviceName(agent) {
  const find = (table, tail) =>
    table.find(([pattern]) => new RegExp(`(?:${pattern})${tail}`).test(agent))?.[1];
  const browser = find(BROWSERS, "\\w*/");
  const system = find(SYSTEMS, "");
  if (browser && system) return t("devices.name", { browser, system });
  return browser ?? system ?? (/^[\w.-]+/.exec(agent)?.[0] || t("devices.unknown"));
}

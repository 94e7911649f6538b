// How the page looks and behaves here, and the ways to what belongs to the account.

import { openDialog } from "../dialog.js";
import { button, el, loadStyle } from "../dom.js";
import { chooseLanguage, language, t } from "../i18n.js";
import { icon } from "../icons.js";
import { askLogout } from "../menus.js";
import { askPermission, permission } from "../notifications.js";
import { linkRow, rowText, section } from "./account-parts.js";
import { loading } from "./parts.js";

const THEMES = { system: "monitor", light: "sun", dark: "moon" };
const REFUSED = { denied: "settings.denied", none: "settings.none" };
const LANGUAGES = { en: "English", zh: "中文" };

/** Opens the settings. */
export async function open(app) {
  await loadStyle("account");
  const dialog = openDialog({ title: t("settings") });
  let controls; // each has `refresh`
  const show = () => {
    const focused = dialog.node.querySelector(":focus")?.id;
    controls = controlsOf(app.preferences);
    dialog.setTitle(t("settings"));
    dialog.body.replaceChildren(...content(app, controls));
    if (focused) dialog.node.querySelector(`[id="${focused}"]`)?.focus();
  };
  const refresh = () => Object.values(controls).forEach((control) => control.refresh());
  show();
  document.addEventListener("language", show);
  app.preferences.addEventListener("change", refresh);
  await dialog.closed;
  document.removeEventListener("language", show);
  app.preferences.removeEventListener("change", refresh);
}

function content({ client, openPanel }, { theme, notifications, sound, enterSends }) {
  const out = button("logOut", {}, icon("log-out"));
  out.addEventListener("click", () => askLogout(client));
  const account = el(
    "div",
    { className: "list" },
    linkRow("user", "profile", () => openPanel("profile")),
    linkRow("laptop", "devices", () => openPanel("devices")),
    linkRow("qr-code", "xmppApp", () => openPanel("xmpp")),
    linkRow("info", "settings.about", () => openAbout(client)),
  );
  const flags = [notifications, sound, enterSends].map(({ node }) => node);
  const switches = el("div", { className: "list" }, ...flags);
  return [
    section(t("settings.look"), theme.node, languages().node),
    section(t("settings.messages"), switches),
    section(t("settings.account"), account, el("div", { className: "actions" }, out)),
  ];
}

function controlsOf(preferences) {
  const themes = Object.entries(THEMES).map(([one, shape]) => [one, t(`settings.${one}`), shape]);
  const flag = (name, words) =>
    toggle(name, t(`settings.${name}`), {
      read: () => preferences[name],
      write: (value) => (preferences[name] = value),
      words: () => t(words()),
    });
  return {
    theme: choices("theme", t("settings.theme"), themes, {
      read: () => preferences.theme,
      write: (value) => (preferences.theme = value),
    }),
    notifications: notificationsControl(preferences),
    sound: flag("sound", () => "settings.soundNote"),
    enterSends: flag("enterSends", () =>
      preferences.enterSends ? "settings.enterSendsNote" : "settings.ctrlEnterNote",
    ),
  };
}

function languages() {
  const options = Object.entries(LANGUAGES);
  const access = { read: () => language, write: chooseLanguage };
  return choices("language", t("settings.language"), options, access);
}

function notificationsControl(preferences) {
  const control = toggle("notifications", t("settings.notifications"), {
    read: () => permission() === "granted" && preferences.notifications,
    write: async (value) => {
      if (value && permission() === "default") await askPermission(preferences);
      else preferences.notifications = value;
      control.refresh();
    },
    words: () => t(REFUSED[permission()] ?? "settings.notifyNote"),
  });
  control.node.querySelector("input").disabled = permission() in REFUSED;
  return control;
}

/** Buttons of which one is chosen. `options`: `[value, text, shape?]`. */
function choices(name, legend, options, { read, write }) {
  const inputs = [];
  const labels = options.map(([value, text, shape]) => {
    const input = el("input", { type: "radio", name, id: `${name}-${value}`, value });
    input.addEventListener("change", () => write(value));
    inputs.push(input);
    return el("label", {}, input, shape ? icon(shape) : null, el("span", {}, text));
  });
  const title = el("legend", {}, legend);
  const node = el("fieldset", { className: "choices" }, title, el("div", {}, ...labels));
  const refresh = () => inputs.forEach((input) => (input.checked = input.value === read()));
  refresh();
  return { node, refresh };
}

/** A switch with what it does under its name. */
function toggle(id, name, { read, write, words }) {
  const input = el("input", { type: "checkbox", role: "switch", id });
  const text = rowText(name, words());
  input.addEventListener("change", () => write(input.checked));
  const refresh = () => {
    input.checked = read();
    text.lastElementChild.textContent = words();
  };
  refresh();
  return { node: el("label", { className: "row toggle" }, text, input), refresh };
}

function openAbout(client) {
  const version = el("div", { className: "muted" });
  const props = { href: "/api/openapi.json", target: "_blank", rel: "noopener" };
  const api = el("p", {}, el("a", props, t("settings.api")));
  const content = [el("p", {}, t("tagline")), version, api];
  openDialog({ title: "Tandem", className: "question", content });
  const load = () => client.request("GET", "/api/openapi.json");
  loading(version, load, ({ info }) => version.append(t("settings.version", info)));
}

// "Connect an XMPP app": the address, where it connects, a password for it, and how it is done.

import { openDialog } from "../dialog.js";
import { button, el, loadStyle } from "../dom.js";
import { t } from "../i18n.js";
import { icon } from "../icons.js";
import { copyButton, fieldForm, section } from "./account-parts.js";
import { loading } from "./parts.js";

const APPS = {
  Conversations: { home: "https://conversations.im", system: "Android" },
  Gajim: { home: "https://gajim.org", system: "Windows, macOS, Linux" },
  Monal: { home: "https://monal-im.org", system: "iPhone, iPad, macOS" },
  "Siskin IM": { home: "https://siskin.im", system: "iPhone, iPad" },
};
const STANDARD = { port: 5222, tls_port: 5223 };

/** Opens the page; done when it is closed. */
export async function open({ client }) {
  await loadStyle("account");
  const dialog = openDialog({ title: t("xmppApp"), className: "wide xmpp" });
  const load = () => client.request("GET", "/api/me/xmpp");
  const show = (ways) => {
    const intro = el("p", { className: "muted" }, t("xmpp.intro"));
    dialog.body.append(intro, address(ways), password(client), server(ways), steps(ways));
  };
  await loading(dialog.body, load, show);
  await dialog.closed;
}

function address({ jid }) {
  const uri = `xmpp:${jid}`; // RFC 5122; what usernames are made of needs no escaping
  const code = el("div", { className: "qr-place" });
  import("../widgets/qr.js").then(
    ({ qrCode }) => code.append(qrCode(uri, t("xmpp.qr", { jid }))),
    () => code.remove(), // the network is away
  );
  const link = el("a", { href: uri }, icon("smartphone"), t("xmpp.openHere"));
  const words = el("div", { className: "section" }, value(jid), el("p", {}, link));
  words.append(el("p", { className: "hint" }, t("xmpp.qrNote")));
  return section(t("xmpp.address"), el("div", { className: "xmpp-address" }, words, code));
}

function password(client) {
  const node = section(t("xmpp.password"));
  const start = () => {
    const fields = {
      name: {
        label: t("xmpp.name"),
        placeholder: t("xmpp.nameExample"),
        maxLength: 64,
        autocomplete: "off",
      },
    };
    const submit = async ({ name }) => {
      const body = { name: name || t("xmpp.nameExample") };
      show(await client.request("POST", "/api/me/app-passwords", body).catch(explain));
    };
    const { form, inputs } = fieldForm({ fields, confirm: "xmpp.make", submit });
    const text = el("p", {}, t("xmpp.passwordText"));
    node.replaceChildren(node.firstElementChild, text, form);
    return inputs.name;
  };
  const show = (made) => {
    if (made === null) {
      const none = el("p", { className: "note" }, t("xmpp.noPasswords"));
      node.replaceChildren(node.firstElementChild, none);
      return;
    }
    const another = button("xmpp.another", { className: "small" });
    another.addEventListener("click", () => start().focus());
    const code = value(made.password, "made-password");
    code.tabIndex = -1;
    node.replaceChildren(
      node.firstElementChild,
      el("p", {}, t("xmpp.made", { name: made.name })),
      code,
      el("p", { className: "note", role: "status" }, t("xmpp.once")),
      el("div", { className: "actions" }, another),
    );
    code.focus();
  };
  start();
  return node;
}

/** Null where there are no app passwords here. Throws everything else. */
function explain(error) {
  if (error.status === 404 || error.status === 405) return null;
  throw error;
}

function server({ domain, websocket, ...ports }) {
  const isOff = !ports.port && !ports.tls_port;
  const isStandard = Object.entries(STANDARD).every(([name, port]) => ports[name] === port);
  const notes = [];
  if (isOff) notes.push(t("xmpp.off"));
  else if (!isStandard) notes.push(t("xmpp.otherPorts"));
  if (domain === "localhost" || domain.endsWith(".localhost")) notes.push(t("xmpp.local"));
  const lines = [["xmpp.domain", domain]];
  if (!isOff) lines.push(["xmpp.host", location.hostname]);
  if (ports.port) lines.push(["xmpp.port", String(ports.port)]);
  if (ports.tls_port) lines.push(["xmpp.tlsPort", String(ports.tls_port)]);
  lines.push(["xmpp.websocket", websocket]);
  const list = el("dl", { className: "values" });
  for (const [name, text] of lines) {
    list.append(el("dt", {}, t(name)), el("dd", {}, value(text)));
  }
  return section(
    t("xmpp.server"),
    el("p", { className: "muted" }, t("xmpp.serverText")),
    ...notes.map((text) => el("p", { className: "note" }, text)),
    list,
  );
}

function steps({ port, tls_port: tlsPort }) {
  const isOff = !port && !tlsPort;
  const apps = Object.entries(APPS).map(([name, { home, system }]) => {
    const props = { href: home, target: "_blank", rel: "noopener noreferrer" };
    const key = `xmpp.steps.${name.split(" ")[0]}`;
    const list = el("ol", { className: "steps" });
    list.append(...t(key).split("\n").map((step) => el("li", {}, step)));
    const get = el("p", {}, el("a", props, t("xmpp.get", { name })));
    const head = el("summary", {}, el("strong", {}, name), el("span", {}, system));
    head.append(icon("chevron-right"));
    return el("details", { name: "xmpp-app" }, head, list, get);
  });
  const shown = isOff ? apps.slice(1, 2) : apps; // only Gajim connects over WebSocket
  return section(t("xmpp.steps"), ...shown);
}

/** A value to be typed or copied somewhere else. */
function value(text, className = "") {
  const code = el("code", { dir: "ltr" }, text);
  return el("div", { className: `value ${className}` }, code, copyButton(text));
}

// Strophe.js, driven by tests: see driver.mjs for how, tests/support/libraries.py for what.
import { $iq, $msg, $pres, Strophe } from "strophe.js";

import { drive, tell } from "./driver.mjs";

const ROSTER = "jabber:iq:roster";
const BLOCKING = "urn:xmpp:blocking";
const MAM = "urn:xmpp:mam:2";
const RSM = "http://jabber.org/protocol/rsm";
const MUC_USER = "http://jabber.org/protocol/muc#user";
const { Status, LogLevel } = Strophe;

Strophe.setLogLevel(LogLevel.WARN); // what is above goes to stderr, what is below would to stdout

let connection;
let account;
let waiting; // for the session: {resolve, reject}
let gone; // resolves when the connection is lost

const inside = (element, name, xmlns) =>
  [...(element?.childNodes ?? [])].find(
    (child) => child.nodeName === name && (!xmlns || child.namespaceURI === xmlns),
  );
const attribute = (element, name) => element?.getAttribute(name) ?? undefined;
const text = (element, name) => inside(element, name)?.textContent;

const entry = (item) => ({
  jid: attribute(item, "jid"),
  name: attribute(item, "name"),
  subscription: attribute(item, "subscription"),
  ask: attribute(item, "ask"),
});

function said(message) {
  return {
    from: attribute(message, "from"),
    to: attribute(message, "to"),
    type: attribute(message, "type"),
    id: attribute(message, "id"),
    body: text(message, "body"),
    subject: text(message, "subject"),
    stanza_id: attribute(inside(message, "stanza-id", "urn:xmpp:sid:0"), "id"),
    stamp: attribute(inside(message, "delay", "urn:xmpp:delay"), "stamp"),
    received: attribute(inside(message, "received", "urn:xmpp:receipts"), "id"),
    displayed: attribute(inside(message, "displayed", "urn:xmpp:chat-markers:0"), "id"),
  };
}

function onMessage(message) {
  if (inside(message, "result", MAM)) return true; // `history` reads these
  for (const name of ["sent", "received"]) {
    const carbon = inside(message, name, "urn:xmpp:carbons:2");
    if (carbon) {
      const original = inside(inside(carbon, "forwarded"), "message");
      tell("carbon", { which: name, ...said(original) });
      return true;
    }
  }
  tell("message", said(message));
  return true; // or Strophe would forget the handler
}

function onPresence(presence) {
  const inRoom = inside(presence, "x", MUC_USER);
  tell("presence", {
    from: attribute(presence, "from"),
    type: attribute(presence, "type") ?? "available",
    show: text(presence, "show"),
    status: text(presence, "status"),
    affiliation: attribute(inside(inRoom, "item"), "affiliation"),
    codes: [...(inRoom?.childNodes ?? [])]
      .filter((child) => child.nodeName === "status")
      .map((status) => attribute(status, "code")),
  });
  return true;
}

function onPush(iq) {
  tell("push", entry(inside(inside(iq, "query", ROSTER), "item")));
  connection.send($iq({ type: "result", id: iq.getAttribute("id") }));
  return true;
}

function onStatus(status, condition) {
  if (status === Status.CONNECTED) {
    connection.addHandler(onMessage, null, "message");
    connection.addHandler(onPresence, null, "presence");
    connection.addHandler(onPush, ROSTER, "iq", "set");
    if (connection.hasResumed()) tell("resumed");
    waiting.resolve();
  } else if ([Status.CONNFAIL, Status.AUTHFAIL, Status.ERROR].includes(status)) {
    waiting.reject(new Error(`${status}: ${condition}`));
  } else if (status === Status.DISCONNECTED) {
    gone?.();
  }
}

function connect() {
  return new Promise((resolve, reject) => {
    waiting = { resolve, reject };
    connection.connect(account.jid, account.password, onStatus);
  });
}

const ask = (iq) =>
  new Promise((resolve, reject) =>
    connection.sendIQ(iq, resolve, (error) => reject(new Error(error?.outerHTML ?? String(error)))),
  );

drive({
  async login({ url, jid, password }) {
    account = { jid, password };
    connection = new Strophe.Connection(url, { enableStreamManagement: true });
    await connect();
    await ask($iq({ type: "set" }).c("enable", { xmlns: "urn:xmpp:carbons:2" }));
    return connection.jid;
  },

  async roster() {
    const answer = await ask($iq({ type: "get" }).c("query", { xmlns: ROSTER }));
    return [...inside(answer, "query").childNodes].map(entry);
  },

  online: () => connection.send($pres()),

  async add({ jid, name }) {
    await ask($iq({ type: "set" }).c("query", { xmlns: ROSTER }).c("item", { jid, name }));
    connection.send($pres({ to: jid, type: "subscribe" }));
  },

  approve({ jid }) {
    connection.send($pres({ to: jid, type: "subscribed" }));
    connection.send($pres({ to: jid, type: "subscribe" }));
  },

  async block({ jid }) {
    await ask($iq({ type: "set" }).c("block", { xmlns: BLOCKING }).c("item", { jid }));
  },

  async unblock({ jid }) {
    await ask($iq({ type: "set" }).c("unblock", { xmlns: BLOCKING }).c("item", { jid }));
  },

  say: ({ to, body, id, type = "chat" }) => connection.send($msg({ to, type, id }).c("body").t(body)),

  read: ({ to, id }) =>
    connection.send(
      $msg({ to, type: "chat" }).c("displayed", { xmlns: "urn:xmpp:chat-markers:0", id }),
    ),

  async history({ of, jid, page }) {
    const found = [];
    const queryid = "q1";
    const keep = (message) => {
      const result = inside(message, "result", MAM);
      if (attribute(result, "queryid") === queryid) {
        const original = inside(inside(result, "forwarded", "urn:xmpp:forward:0"), "message");
        found.push({ archived: attribute(result, "id"), ...said(original) });
      }
      return true;
    };
    const handler = connection.addHandler(keep, null, "message");
    const field = (query, name, value) =>
      query.c("field", { var: name }).c("value").t(value).up().up();
    for (let after, complete = false; !complete; ) {
      const query = $iq(of ? { type: "set", to: of } : { type: "set" })
        .c("query", { xmlns: MAM, queryid })
        .c("x", { xmlns: "jabber:x:data", type: "submit" });
      field(query, "FORM_TYPE", MAM);
      if (jid) field(query, "with", jid);
      query.up().c("set", { xmlns: RSM }).c("max").t(String(page)).up();
      if (after) query.c("after").t(after);
      const fin = inside(await ask(query), "fin", MAM);
      complete = attribute(fin, "complete") === "true";
      after = text(inside(fin, "set", RSM), "last");
    }
    connection.deleteHandler(handler);
    return found;
  },

  join: ({ room, nick }) =>
    connection.send(
      $pres({ to: `${room}/${nick}` }).c("x", { xmlns: "http://jabber.org/protocol/muc" }),
    ),

  async cut() {
    const lost = new Promise((resolve) => (gone = resolve));
    connection.flush();
    Strophe.setLogLevel(LogLevel.FATAL); // that it was cut off is an error to Strophe
    connection._proto.socket.terminate();
    await lost;
    Strophe.setLogLevel(LogLevel.WARN);
  },

  back: connect,

  async stop() {
    const lost = new Promise((resolve) => (gone = resolve));
    connection.disconnect("bye");
    await lost;
    process.stdin.destroy();
  },
});

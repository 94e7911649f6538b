// @xmpp/client, driven by tests: see driver.mjs for how, tests/support/libraries.py for what.
import { client, xml } from "@xmpp/client";
import WebSocket from "ws";

import { drive, tell } from "./driver.mjs";

globalThis.WebSocket = WebSocket; // Node 20 has none of its own; the library takes this one

const ROSTER = "jabber:iq:roster";
const BLOCKING = "urn:xmpp:blocking";
const MAM = "urn:xmpp:mam:2";
const RSM = "http://jabber.org/protocol/rsm";
const MUC_USER = "http://jabber.org/protocol/muc#user";

let xmpp;

const entry = ({ attrs }) => ({
  jid: attrs.jid,
  name: attrs.name,
  subscription: attrs.subscription,
  ask: attrs.ask,
});

function said(message) {
  return {
    from: message.attrs.from,
    to: message.attrs.to,
    type: message.attrs.type,
    id: message.attrs.id,
    body: message.getChildText("body") ?? undefined,
    subject: message.getChildText("subject") ?? undefined,
    stanza_id: message.getChild("stanza-id", "urn:xmpp:sid:0")?.attrs.id,
    stamp: message.getChild("delay", "urn:xmpp:delay")?.attrs.stamp,
    received: message.getChild("received", "urn:xmpp:receipts")?.attrs.id,
    displayed: message.getChild("displayed", "urn:xmpp:chat-markers:0")?.attrs.id,
  };
}

function onMessage(message) {
  if (message.getChild("result", MAM)) return; // `history` reads these
  for (const name of ["sent", "received"]) {
    const carbon = message.getChild(name, "urn:xmpp:carbons:2");
    if (carbon) {
      tell("carbon", { which: name, ...said(carbon.getChild("forwarded").getChild("message")) });
      return;
    }
  }
  tell("message", said(message));
}

function onPresence(presence) {
  const inRoom = presence.getChild("x", MUC_USER);
  tell("presence", {
    from: presence.attrs.from,
    type: presence.attrs.type ?? "available",
    show: presence.getChildText("show") ?? undefined,
    status: presence.getChildText("status") ?? undefined,
    affiliation: inRoom?.getChild("item")?.attrs.affiliation,
    codes: inRoom?.getChildren("status").map((status) => status.attrs.code),
  });
}

const presence = (to, type) => xmpp.send(xml("presence", { to, type }));

drive({
  async login({ url, jid, password }) {
    const [username, domain] = jid.split("@");
    xmpp = client({ service: url, domain, username, password });
    xmpp.reconnect.delay = 2 ** 30; // it comes back when the test says so
    xmpp.on("error", (error) => console.error(error));
    xmpp.on("stanza", (stanza) => {
      if (stanza.is("message")) onMessage(stanza);
      if (stanza.is("presence")) onPresence(stanza);
    });
    xmpp.streamManagement.on("resumed", () => tell("resumed"));
    xmpp.iqCallee.set(ROSTER, "query", ({ element }) => {
      tell("push", entry(element.getChild("item")));
      return true;
    });
    const bound = await xmpp.start();
    await xmpp.iqCaller.set(xml("enable", { xmlns: "urn:xmpp:carbons:2" }));
    return bound.toString();
  },

  async roster() {
    const query = await xmpp.iqCaller.get(xml("query", { xmlns: ROSTER }));
    return query.getChildren("item").map(entry);
  },

  online: () => xmpp.send(xml("presence")),

  async add({ jid, name }) {
    await xmpp.iqCaller.set(xml("query", { xmlns: ROSTER }, xml("item", { jid, name })));
    await presence(jid, "subscribe");
  },

  async approve({ jid }) {
    await presence(jid, "subscribed");
    await presence(jid, "subscribe");
  },

  block: ({ jid }) =>
    xmpp.iqCaller.set(xml("block", { xmlns: BLOCKING }, xml("item", { jid }))).then(() => null),

  unblock: ({ jid }) =>
    xmpp.iqCaller.set(xml("unblock", { xmlns: BLOCKING }, xml("item", { jid }))).then(() => null),

  say: ({ to, body, id, type = "chat" }) =>
    xmpp.send(xml("message", { to, type, id }, xml("body", {}, body))),

  read: ({ to, id }) =>
    xmpp.send(
      xml(
        "message",
        { to, type: "chat" },
        xml("displayed", { xmlns: "urn:xmpp:chat-markers:0", id }),
      ),
    ),

  async history({ of, jid, page }) {
    const found = [];
    const queryid = "q1";
    const keep = (stanza) => {
      const result = stanza.getChild("result", MAM);
      if (result?.attrs.queryid !== queryid) return;
      const message = result.getChild("forwarded", "urn:xmpp:forward:0").getChild("message");
      found.push({ archived: result.attrs.id, ...said(message) });
    };
    xmpp.on("stanza", keep);
    const field = (name, value) => xml("field", { var: name }, xml("value", {}, value));
    for (let after, complete = false; !complete; ) {
      const fin = await xmpp.iqCaller.request(
        xml(
          "iq",
          { type: "set", to: of },
          xml(
            "query",
            { xmlns: MAM, queryid },
            xml(
              "x",
              { xmlns: "jabber:x:data", type: "submit" },
              field("FORM_TYPE", MAM),
              jid && field("with", jid),
            ),
            xml(
              "set",
              { xmlns: RSM },
              xml("max", {}, String(page)),
              after && xml("after", {}, after),
            ),
          ),
        ),
      );
      complete = fin.getChild("fin", MAM).attrs.complete === "true";
      after = fin.getChild("fin", MAM).getChild("set", RSM).getChildText("last");
    }
    xmpp.off("stanza", keep);
    return found;
  },

  join: ({ room, nick }) =>
    xmpp.send(
      xml(
        "presence",
        { to: `${room}/${nick}` },
        xml("x", { xmlns: "http://jabber.org/protocol/muc" }),
      ),
    ),

  cut() {
    const gone = new Promise((resolve) => xmpp.once("disconnect", resolve));
    xmpp.socket.socket.terminate();
    return gone.then(() => null);
  },

  back: () => xmpp.reconnect.reconnect(),

  async stop() {
    xmpp.reconnect.stop();
    await xmpp.stop();
    process.stdin.destroy();
  },
});

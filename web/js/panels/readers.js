// Who has read a message of a group, who has only received it, and who neither.

import { keyOf } from "../../sdk/tandem.js";
import { openDialog } from "../dialog.js";
import { el, loadStyle } from "../dom.js";
import { t } from "../i18n.js";
import { loading, whileOpen } from "./parts.js";
import { memberRow } from "./members.js";
import { ListSection } from "./rows.js";

/** `place`: the group; `seq`: the message's. */
export async function open(app, { place, seq }) {
  await loadStyle("panels");
  const { client, groups } = app;
  const key = keyOf(place.chat, place.dstid);
  const rowFor = (member) => memberRow(app, member);
  const lists = ["readers.read", "readers.received", "readers.neither"].map(
    (name) => new ListSection(t(name), rowFor),
  );
  const state = el("div");
  const content = [state, ...lists.map(({ node }) => node)];
  const dialog = openDialog({ title: t("seenBy"), content });
  let members = null;
  whileOpen(dialog, [[client, "messages"]], ({ detail }) => detail.key === key && update());
  const read = () => Promise.all([groups.members(place.dstid), client.loadReceipts(place)]);
  const show = ([all]) => {
    members = all;
    update();
  };
  loading(state, read, show, "readers");

  function update() {
    if (!members) return;
    const { receipts } = client.conversation(key) ?? { receipts: new Map() };
    const [read, received, neither] = [[], [], []];
    for (const member of members.filter(({ id }) => id !== client.user.id)) {
      const got = receipts.get(member.id) ?? { read: 0, delivered: 0 };
      if (got.read >= seq) read.push(member);
      else if (got.delivered >= seq) received.push(member);
      else neither.push(member);
    }
    for (const [at, people] of [read, received, neither].entries()) lists[at].show(people);
  }
}

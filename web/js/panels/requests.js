// Who asks to be let into a group: for owner and admins.

import { el } from "../dom.js";
import { isAdmin } from "../groups.js";
import { t } from "../i18n.js";
import { attempt } from "./parts.js";
import { ListSection } from "./rows.js";

const PAGE = 500;

/** The requests, for the group's panel; hidden where there is none. `update()` reads them anew. */
export function requestsSection(app, gid, wrong) {
  const { client, groups } = app;
  const path = `/api/groups/${gid}/requests`;
  const list = new ListSection(t("group.requests"), rowFor);
  return { node: list.node, update };

  async function update() {
    if (!isAdmin(groups.get(gid)?.role)) return list.show([]);
    const requests = [];
    try {
      for (let after = 0, more = true; more; after = requests.at(-1)?.id) {
        const page = await client.request("GET", `${path}?after=${after}&limit=${PAGE}`);
        requests.push(...page.requests);
        more = page.more && page.requests.length > 0;
      }
    } catch (error) {
      if (error.status === undefined) throw error;
      return; // what was known stays; there is a next time
    }
    list.show(requests);
  }

  function rowFor({ id, nickname, text }) {
    const name = nickname || client.nameOf(id);
    const answer = (method, way) => (node) =>
      attempt(node, wrong, async () => {
        await client.request(method, way);
        groups.refresh(gid);
      }, "group");
    const accept = { text: t("people.accept"), label: t("contacts.accept", { name }) };
    Object.assign(accept, { className: "primary", act: answer("POST", `${path}/${id}/accept`) });
    const refuse = { shape: "x", label: t("contacts.refuse", { name }) };
    refuse.act = answer("DELETE", `${path}/${id}`);
    return { id, name, note: text, controls: [accept, refuse] };
  }
}

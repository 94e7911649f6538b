// Adding people to a group.

import { openDialog } from "../dialog.js";
import { button, el, tell, whileBusy } from "../dom.js";
import { t } from "../i18n.js";
import { personChooser } from "./chooser.js";
import { callText, errorPlace, nameFor, whileOpen } from "./parts.js";

/** `gid`: the group's. */
export function open(app, gid) {
  const { client, contacts, groups } = app;
  const wrong = errorPlace();
  const present = new Set(groups.known(gid)?.map(({ id }) => id));
  const chooser = personChooser(app, { without: (id) => present.has(id) });
  const add = button("group.addNow", { className: "primary" });
  const foot = el("div", { className: "actions people-foot" }, add);
  const content = [wrong, chooser.node, foot];
  const dialog = openDialog({ title: t("group.add"), className: "tall", content });
  whileOpen(dialog, [[contacts, "change"]], chooser.update);
  add.addEventListener("click", () => whileBusy(add, addAll));

  async function addAll() {
    const refused = [];
    tell(wrong, "");
    for (const user of [...chooser.chosen.values()]) {
      try {
        await client.request("POST", `/api/groups/${gid}/members`, { id: user.id });
        chooser.chosen.delete(user.id);
        present.add(user.id);
      } catch (error) {
        refused.push(`${nameFor(app, user)}: ${callText(error, "group")}`);
      }
    }
    groups.refresh(gid);
    if (!refused.length) return dialog.close();
    tell(wrong, refused.join("\n"));
    chooser.update();
  }
}

// Making a group.

import { GROUP } from "../../sdk/tandem.js";
import { openDialog } from "../dialog.js";
import { button, el, loadStyle } from "../dom.js";
import { t } from "../i18n.js";
import { personChooser } from "./chooser.js";
import { attempt, errorPlace, goTo, whileOpen } from "./parts.js";

export async function open(app) {
  await loadStyle("panels");
  const { client, contacts } = app;
  const wrong = errorPlace();
  const name = el("input", { maxLength: 64, required: true, autofocus: true, autocomplete: "off" });
  const label = el("label", {}, t("groupName"), name);
  const chooser = personChooser(app);
  chooser.input.autofocus = false;
  const create = button("create", { className: "primary", type: "submit" });
  const foot = el("div", { className: "actions people-foot" }, create);
  const form = el("form", {}, label, el("h3", {}, t("members")), chooser.node, foot);
  const dialog = openDialog({ title: t("newGroup"), className: "tall", content: [wrong, form] });
  whileOpen(dialog, [[contacts, "change"]], chooser.update);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const body = { name: name.value.trim(), members: [...chooser.chosen.keys()] };
    attempt(create, wrong, async () => {
      const group = await client.request("POST", "/api/groups", body);
      goTo(app, GROUP, group.id, group.name);
    }, "group");
  });
}

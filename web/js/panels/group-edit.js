// Name, description and announcement of a group.

import { openDialog } from "../dialog.js";
import { button, el } from "../dom.js";
import { t } from "../i18n.js";
import { attempt, errorPlace } from "./parts.js";

/** `gid`: of a group that is known. */
export function open(app, gid) {
  const { client, groups } = app;
  const { name, memo, announcement } = groups.get(gid);
  const wrong = errorPlace();
  const fields = {
    name: el("input", { value: name, maxLength: 64, required: true, autofocus: true }),
    memo: el("textarea", { value: memo, maxLength: 1000, rows: 3 }),
    announcement: el("textarea", { value: announcement, maxLength: 2000, rows: 4 }),
  };
  const save = button("save", { className: "primary", type: "submit" });
  const form = el(
    "form",
    {},
    el("label", {}, t("groupName"), fields.name),
    el("label", {}, t("group.memo"), fields.memo),
    el("label", {}, t("group.announcement"), fields.announcement),
    wrong,
    el("div", { className: "actions" }, save),
  );
  const dialog = openDialog({ title: t("group.edit"), content: form });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const before = { name, memo, announcement };
    const changed = Object.entries(fields)
      .map(([field, input]) => [field, input.value.trim()])
      .filter(([field, text]) => text !== before[field]);
    attempt(save, wrong, async () => {
      if (changed.length) {
        await client.request("PATCH", `/api/groups/${gid}`, Object.fromEntries(changed));
        groups.refresh(gid);
      }
      dialog.close();
    }, "group");
  });
}

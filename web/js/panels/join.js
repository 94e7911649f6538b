// Joining a group by a link, or asking to be let in.

import { GROUP, keyOf } from "../../sdk/tandem.js";
import { notify, openDialog } from "../dialog.js";
import { button, el, loadStyle } from "../dom.js";
import { t } from "../i18n.js";
import { attempt, errorPlace, goTo } from "./parts.js";

/** `code`: an invitation's, or the id of a group that takes requests. */
export async function open(app, code) {
  await loadStyle("panels");
  const { client } = app;
  const isAsking = /^\d+$/.test(code);
  if (isAsking && client.conversation(keyOf(GROUP, Number(code)))) {
    app.go(keyOf(GROUP, Number(code)));
    return;
  }
  const wrong = errorPlace();
  const yes = button(isAsking ? "join.ask" : "join.yes", { className: "primary", type: "submit" });
  const no = button("cancel");
  const text = el("textarea", { maxLength: 500, rows: 3 });
  const label = el("label", { hidden: !isAsking }, t("join.words"), text);
  const words = el("p", {}, t(isAsking ? "join.askText" : "join.text"));
  const form = el("form", {}, words, label, wrong, el("div", { className: "actions" }, no, yes));
  const title = t(isAsking ? "join.askTitle" : "join.title");
  const dialog = openDialog({ title, className: "question", content: form });
  yes.focus();
  no.addEventListener("click", dialog.close);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (isAsking) attempt(yes, wrong, ask, "ask");
    else attempt(yes, wrong, join, "join");
  });

  async function join() {
    const group = await client.request("POST", "/api/join", { code });
    goTo(app, GROUP, group.id, group.name);
  }

  async function ask() {
    await client.request("POST", `/api/groups/${code}/requests`, { text: text.value.trim() });
    dialog.close();
    notify(t("join.asked"));
  }
}

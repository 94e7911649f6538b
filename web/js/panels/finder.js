// Finds people as one types: own contacts first, then whom the server knows.

import { el } from "../dom.js";
import { t } from "../i18n.js";
import { nameOfContact } from "../contacts.js";
import { RowList } from "./rows.js";
import { arrowKeys, debounced, emptyPlace, loading, matches, searchField } from "./parts.js";

/**
 * `node` has a field and what is found. `rowFor(user)` gives a row, or null for who is not to be
 * shown. `update()` draws all rows anew. `q`: what to look for at first.
 */
export function personFinder(app, { rowFor, q = "" }) {
  const { client, contacts } = app;
  let words = q;
  let asked = ""; // the words that `others` were found by
  let others = [];

  const own = new RowList(t("contacts"));
  const found = new RowList(t("people.found"));
  const place = el("div");
  const heading = el("h3", { hidden: true }, t("people.found"));
  const input = searchField(t("people.search"), (text) => {
    words = text;
    update();
    if (words) search();
  });
  Object.assign(input, { value: q, autofocus: true });
  const count = el("p", { className: "hidden-text", role: "status" });
  const parts = [input, count, own.node, heading, found.node, place];
  const node = el("div", { className: "section" }, ...parts);
  arrowKeys(node, input);

  const search = debounced(() => {
    const wanted = words;
    if (!wanted || wanted === asked) return;
    const ask = () => client.request("GET", `/api/users?q=${encodeURIComponent(wanted)}`);
    loading(place, ask, ({ users }) => {
      if (wanted !== words) return;
      [asked, others] = [wanted, users];
      update();
    });
  });

  function update() {
    const listed = contacts.all.filter((contact) =>
      matches(words, nameOfContact(contact), contact.nickname, contact.username),
    );
    const strangers = words && asked === words ? others.filter((user) => !has(listed, user)) : [];
    const rows = [listed, strangers].map((users) => users.map(rowFor).filter(Boolean));
    own.show(rows[0]);
    found.show(rows[1]);
    heading.hidden = !rows[0].length || !rows[1].length;
    if (words && asked !== words) return;
    count.textContent = words ? t("people.count", { count: rows.flat().length }) : "";
    place.replaceChildren();
    if (rows[0].length || rows[1].length) return;
    const [shape, text] = words ? ["search", "nobody"] : ["users", "people.searchHint"];
    place.append(emptyPlace(shape, t(text)));
  }

  update();
  if (q) search();
  return { node, input, update };
}

const has = (users, { id }) => users.some((user) => user.id === id);

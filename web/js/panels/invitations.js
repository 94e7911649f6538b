// The links that lead into a group: made, copied, revoked.

import { openDialog } from "../dialog.js";
import { button, el } from "../dom.js";
import { fullTime } from "../format.js";
import { t } from "../i18n.js";
import { icon } from "../icons.js";
import { attempt, copy, emptyPlace, errorPlace, loading, whileOpen } from "./parts.js";

const HOUR_S = 3600;
const LASTS = { oneHour: HOUR_S, oneDay: 24 * HOUR_S, oneWeek: 168 * HOUR_S, month: 720 * HOUR_S };
const USES = [0, 1, 10, 100];

const linkTo = (code) => `${location.origin}/#/join/${code}`;

/** `gid`: the group's. */
export function open(app, gid) {
  const { client, groups } = app;
  const path = `/api/groups/${gid}/invitations`;
  let invitations = [];
  const wrong = errorPlace();
  const list = el("ul", { className: "people-links", "aria-label": t("links.title") });
  const place = el("div");
  const lasts = select(Object.entries(LASTS).map(([name, s]) => [s, t(`group.${name}`)]));
  lasts.value = String(LASTS.oneWeek);
  const uses = select(USES.map((n) => [n, n ? String(n) : t("links.unlimited")]));
  const make = button("links.make", { className: "primary" }, icon("link"));
  const fields = el(
    "div",
    { className: "people-fields" },
    el("label", {}, t("links.lasts"), lasts),
    el("label", {}, t("links.uses"), uses),
  );
  const form = el("form", {}, fields, el("div", { className: "actions" }, make));
  make.type = "submit";
  const ask = asking();
  const content = [el("p", { className: "hint" }, t("links.text")), wrong, form, list, place];
  const dialog = openDialog({ title: t("links.title"), content });
  const showAsking = () =>
    groups.get(gid)?.join === "request" ? wrong.before(ask) : ask.remove();
  whileOpen(dialog, [[groups, "change"]], showAsking);
  showAsking();
  const read = () => client.request("GET", path);
  loading(place, read, (answer) => {
    invitations = answer.invitations;
    draw();
  });

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    attempt(make, wrong, async () => {
      const body = { expires_in: Number(lasts.value), uses: Number(uses.value) };
      invitations.push(await client.request("POST", path, body));
      draw();
    }, "links");
  });

  function draw() {
    const newest = [...invitations].sort((one, other) => other.created - one.created);
    list.hidden = !newest.length;
    list.replaceChildren(...newest.map(drawn));
    place.replaceChildren(...(newest.length ? [] : [emptyPlace("link", t("links.none"))]));
  }

  function drawn({ id, code, by, expires, uses: left }) {
    const link = linkTo(code);
    const until = t("links.until", { time: fullTime(expires) });
    const often = left ? t("links.left", { count: left }) : t("links.unlimited");
    const maker = t("links.by", { name: by === client.user.id ? t("you") : client.nameOf(by) });
    const revoke = button("links.revoke", { className: "small danger" });
    revoke.addEventListener("click", () =>
      attempt(revoke, wrong, async () => {
        await client.request("DELETE", `${path}/${id}`);
        invitations = invitations.filter((one) => one.id !== id);
        draw();
      }),
    );
    return el(
      "li",
      {},
      el("code", {}, link),
      el("p", { className: "hint" }, [until, often, maker].join(" · ")),
      el("div", { className: "actions" }, copier(link), revoke),
    );
  }

  /** Where others ask to be let in, while the group takes requests. */
  function asking() {
    const link = linkTo(gid);
    const actions = el("div", { className: "actions" }, copier(link));
    const parts = [el("p", {}, t("links.asking")), el("code", {}, link), actions];
    return el("div", { className: "people-asking" }, ...parts);
  }
}

function copier(link) {
  const node = button("links.copy", { className: "small" }, icon("copy"));
  node.addEventListener("click", () => copy(link));
  return node;
}

const select = (options) =>
  el("select", {}, ...options.map(([value, text]) => el("option", { value: String(value) }, text)));

// The members of a group, and what owner and admins do with them.

import { ask, askText, openMenu } from "../dialog.js";
import { button, el } from "../dom.js";
import { fullTime, nameOfUser } from "../format.js";
import { FOR_GOOD, isAdmin } from "../groups.js";
import { language, t } from "../i18n.js";
import { icon } from "../icons.js";
import { nameOfContact } from "../contacts.js";
import { RowList } from "./rows.js";
import { attempt, emptyPlace, loading, matches, searchField } from "./parts.js";

const RANKS = { owner: 0, admin: 1, member: 2 };
const MINUTE_MS = 60_000;
const MUTES = { tenMinutes: 10 * MINUTE_MS, oneHour: 60 * MINUTE_MS, oneDay: 1440 * MINUTE_MS };

/** What oneself calls a member: own name for a contact, name in the group, else theirs. */
export function nameOfMember(app, member) {
  const contact = app.contacts.get(member.id);
  if (contact?.memo) return nameOfContact(contact);
  return member.nick || nameOfUser(member);
}

/** The row of a member, which opens their profile. */
export function memberRow(app, member) {
  const { id, role, muted_until: until } = member;
  const isOwn = id === app.client.user.id;
  const tags = isOwn ? [t("you")] : [];
  if (isAdmin(role)) tags.push(t(role));
  const isMuted = until > Date.now();
  const end = until === FOR_GOOD ? t("group.mutedForGood") : mutedUntil(until);
  const presence = app.contacts.presenceOf(id);
  const url = app.contacts.get(id)?.avatar;
  const name = nameOfMember(app, member);
  const act = async () => (await import("./person.js")).open(app, id);
  return { id, name, url, presence, tags, note: isMuted ? end : "", act };
}

const mutedUntil = (until) => t("group.mutedUntil", { time: fullTime(until) });

/** All members of the group, for its panel. `update()` reads and draws them anew. */
export function membersSection(app, gid, wrong) {
  const { client, groups } = app;
  const own = client.user.id;
  let members = groups.known(gid);
  let words = "";
  const list = new RowList(t("members"));
  const place = el("div");
  const input = searchField(t("group.search"), (text) => {
    words = text;
    draw();
  });
  const add = button("group.add", { className: "small", hidden: true }, icon("user-plus"));
  add.addEventListener("click", async () => (await import("./add-members.js")).open(app, gid));
  const head = el("div", { className: "people-title" }, el("h3", {}, t("members")), add);
  const content = [head, input, list.node, place];
  const node = el("section", { className: "people-section" }, ...content);
  return { node, update };

  function update() {
    const read = () => groups.members(gid);
    const show = (all) => {
      members = all;
      draw();
    };
    if (members) read().then(show, () => {}); // what was known stays, and is read again later
    else loading(place, read, show);
    draw();
  }

  function draw() {
    const group = groups.get(gid);
    add.hidden = !isAdmin(group?.role);
    input.hidden = (members?.length ?? 0) < 10;
    if (!group || !members) return;
    const rows = sorted(members.filter(isWanted)).map((member) => rowFor(group, member));
    list.show(rows);
    place.replaceChildren(...(rows.length ? [] : [emptyPlace("search", t("nobody"))]));
  }

  function isWanted(member) {
    return matches(words, nameOfMember(app, member), member.nick, member.nickname);
  }

  function sorted(found) {
    const { compare } = new Intl.Collator(language, { numeric: true });
    const names = new Map(found.map((member) => [member, nameOfMember(app, member)]));
    const order = (one, other) =>
      RANKS[one.role] - RANKS[other.role] || compare(names.get(one), names.get(other));
    return found.sort(order);
  }

  function rowFor(group, member) {
    const row = memberRow(app, member);
    if (member.id !== own && RANKS[group.role] < RANKS[member.role] && isAdmin(group.role)) {
      const menu = { shape: "ellipsis-vertical", hasMenu: true };
      menu.label = t("group.manage", { name: row.name });
      menu.act = (anchor) => openMemberMenu(anchor, member.id);
      row.controls = [menu];
    }
    return row;
  }

  function openMemberMenu(anchor, id) {
    const member = members.find((one) => one.id === id);
    const name = nameOfMember(app, member);
    const path = `/api/groups/${gid}/members/${id}`;
    const call = (method, body) =>
      attempt(anchor, wrong, async () => {
        await client.request(method, path, body);
        groups.refresh(gid);
      }, "group");
    const set = (body) => call("PATCH", body);
    const sure = async (title, text, confirm) =>
      ask({ title: t(title, { name }), text: t(text), confirm, isDanger: true });

    const roles = [
      member.role === "admin"
        ? { shape: "user", name: "group.makeMember", act: () => set({ role: "member" }) }
        : { shape: "shield", name: "group.makeAdmin", act: () => set({ role: "admin" }) },
      { shape: "crown", name: "group.handOver", act: handOver },
      null,
    ];
    const isMuted = member.muted_until > Date.now();
    const mute = isMuted
      ? { shape: "volume-2", name: "group.unmute", act: () => set({ muted_until: 0 }) }
      : { shape: "mic-off", name: "group.mute", act: () => openMenu(anchor, mutes()) };
    openMenu(anchor, [
      ...(groups.get(gid)?.role === "owner" ? roles : []),
      mute,
      { shape: "pencil", name: "group.nick", act: rename },
      null,
      { shape: "user-x", name: "group.remove", act: remove, isDanger: true },
    ]);

    function mutes() {
      const items = Object.entries(MUTES).map(([mute, ms]) => ({
        name: `group.${mute}`,
        act: () => set({ muted_until: Date.now() + ms }),
      }));
      return [...items, { name: "group.forGood", act: () => set({ muted_until: FOR_GOOD }) }];
    }

    async function handOver() {
      if (await sure("group.handOverSure", "group.handOverNote", "group.handOver")) {
        set({ role: "owner" });
      }
    }

    async function remove() {
      if (await sure("group.removeSure", "group.removeNote", "group.remove")) call("DELETE");
    }

    async function rename() {
      const label = t("group.nickOf", { name });
      const nick = await askText({ title: t("group.nick"), label, value: member.nick });
      if (nick !== null) set({ nick });
    }
  }
}

// What a group is and who is in it; owner and admins change it here.

import { GROUP, keyOf } from "../../sdk/tandem.js";
import { avatar } from "../avatar.js";
import { ask, askText, openDialog } from "../dialog.js";
import { button, el, iconButton, loadStyle, loadWidget } from "../dom.js";
import { isAdmin } from "../groups.js";
import { t } from "../i18n.js";
import { icon } from "../icons.js";
import { attempt, errorPlace, loading, redraw, whileOpen } from "./parts.js";
import { membersSection } from "./members.js";
import { requestsSection } from "./requests.js";

/** `gid`: the group's. */
export async function open(app, gid) {
  await loadStyle("panels");
  const { client, contacts, groups } = app;
  const place = { chat: GROUP, dstid: gid };
  const wrong = errorPlace();
  const state = el("div");
  const [card, entries, end] = ["people-card", "people-entries", "list people-entries"].map(
    (className) => el("div", { className }),
  );
  const requests = requestsSection(app, gid, wrong);
  const members = membersSection(app, gid, wrong);
  const sections = [card, requests.node, entries, members.node, end];
  const content = [wrong, state];
  const dialog = openDialog({ title: t("groupInfo"), className: "tall", content });
  let print = "";
  let isShown = false;
  const targets = [[groups, "change"], [contacts, "change"], [client, "conversations"]];
  whileOpen(dialog, targets, (event) => {
    if (event.type === "conversations" || event.target === contacts) draw();
    else if (event.detail.gid === gid) update();
  });
  loading(state, () => groups.load(gid), () => {
    isShown = true;
    dialog.body.append(...sections);
    update();
  });

  /** Something of the group may have changed. */
  function update() {
    if (!isShown) return;
    if (!groups.get(gid)) return dialog.close(); // one is no member any more
    draw();
    requests.update();
    members.update();
  }

  function draw() {
    const group = groups.get(gid);
    if (!isShown || !group) return;
    const { muted = false } = client.conversation(keyOf(GROUP, gid)) ?? {};
    const looks = JSON.stringify([group, groups.own(gid)?.nick, muted]);
    if (looks === print) return;
    print = looks;
    redraw(card, drawCard(group));
    redraw(entries, drawEntries(group, muted));
    redraw(end, drawEnd(group));
  }

  function drawCard(group) {
    const { id, name, avatar: url, memo, announcement, count, role } = group;
    const picture = avatar(name, { id, chat: GROUP, url, size: "huge" });
    const tags = [el("span", { className: "muted" }, t("memberCount", { count }))];
    if (isAdmin(role)) tags.push(el("span", { className: "tag" }, t(role)));
    const parts = [
      isAdmin(role) ? pictureButton(picture) : picture,
      el("p", { className: "people-name", dir: "auto" }, name),
      el("p", { className: "people-tags" }, ...tags),
    ];
    const words = { muted: memo, note: announcement };
    for (const [className, text] of Object.entries(words)) {
      const props = { className: `people-long ${className}`, dir: "auto" };
      if (text) parts.push(el("p", props, text));
    }
    return parts;
  }

  function pictureButton(picture) {
    const input = el("input", { type: "file", accept: "image/*", hidden: true });
    const node = iconButton("camera", "group.picture", { className: "people-picture" });
    node.prepend(picture);
    node.addEventListener("click", () => input.click());
    input.addEventListener("change", () => {
      const [file] = input.files;
      input.value = "";
      if (file) attempt(node, wrong, () => setPicture(file), "group");
    });
    return el("span", {}, node, input);
  }

  async function setPicture(file) {
    const { cropAvatar } = await loadWidget("crop");
    const blob = await cropAvatar(file);
    if (!blob) return;
    const avatar = await client.upload(blob, { name: "group", type: blob.type });
    await change({ avatar });
  }

  async function change(what) {
    await client.request("PATCH", `/api/groups/${gid}`, what);
    groups.refresh(gid);
  }

  function drawEntries(group, muted) {
    const nick = groups.own(gid)?.nick ?? "";
    const own = entry("user", "group.ownNick", askNick);
    const props = { className: "people-value cut", dir: "auto" };
    own.append(el("span", props, nick || t("group.noNick")));
    const quiet = (on) => client.change(place, { muted: on });
    const parts = [check("bell-off", "group.quiet", muted, quiet), own];
    if (isAdmin(group.role)) {
      const edit = async () => (await import("./group-edit.js")).open(app, gid);
      const links = async () => (await import("./invitations.js")).open(app, gid);
      const onlyAdmins = (on) => change({ muted_all: on });
      parts.push(
        entry("pencil", "group.edit", edit),
        entry("link", "links.title", links),
        check("mic-off", "group.mutedAll", group.muted_all, onlyAdmins),
      );
    }
    if (group.role === "owner") {
      const history = [["joined", "group.historyJoined"], ["all", "group.historyAll"]];
      const join = [["invite", "group.joinInvite"], ["request", "group.joinRequest"]];
      parts.push(
        choice("group.history", history, group.history, (value) => change({ history: value })),
        choice("group.join", join, group.join, (value) => change({ join: value })),
      );
    }
    return parts;
  }

  function entry(shape, name, act, className = "") {
    const node = button(name, { className: `row ${className}` }, icon(shape));
    node.addEventListener("click", () => act(node));
    return node;
  }

  function check(shape, name, isOn, set) {
    const box = el("input", { type: "checkbox", role: "switch", checked: isOn });
    save(box, () => set(box.checked));
    const words = el("span", { className: "grow" }, t(name));
    return el("label", { className: "row toggle" }, icon(shape), words, box);
  }

  function choice(name, options, value, set) {
    const make = ([key, text]) => el("option", { value: key, selected: key === value }, t(text));
    const box = el("select", {}, ...options.map(make));
    save(box, () => set(box.value));
    return el("label", { className: "people-choice" }, t(name), box);
  }

  /** Saves what a field was set to; where that fails it is as before again. */
  function save(box, task) {
    box.addEventListener("change", async () => {
      if (await attempt(box, wrong, task, "group")) return;
      print = "";
      draw();
    });
  }

  async function askNick(node) {
    const value = groups.own(gid)?.nick ?? "";
    const [title, label] = [t("group.ownNick"), t("group.nickLabel")];
    const nick = await askText({ title, label, value });
    if (nick === null) return;
    attempt(node, wrong, async () => {
      await client.request("PATCH", `/api/groups/${gid}/members/${client.user.id}`, { nick });
      groups.refresh(gid);
    }, "group");
  }

  function drawEnd({ role }) {
    if (role === "owner") {
      const hint = el("p", { className: "hint" }, t("group.ownerHint"));
      return [entry("trash-2", "dissolve", dissolve, "danger"), hint];
    }
    return [entry("log-out", "leave", leave, "danger")];
  }

  async function leave(node) {
    const [title, text] = [t("leave"), t("leaveSure")];
    if (!(await ask({ title, text, confirm: "leave", isDanger: true }))) return;
    finish(node, `/api/groups/${gid}/members/${client.user.id}`);
  }

  async function dissolve(node) {
    const [title, text] = [t("dissolve"), t("dissolveSure")];
    if (!(await ask({ title, text, confirm: "dissolve", isDanger: true }))) return;
    finish(node, `/api/groups/${gid}`);
  }

  const finish = (node, path) =>
    attempt(node, wrong, async () => {
      await client.request("DELETE", path);
      dialog.close();
    }, "group");
}

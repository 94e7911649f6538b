// Starting a conversation, making a group, and a group's members.

import { GROUP, SINGLE, keyOf } from "./client.js";
import { badge, button, byId, el, errorText, fullName, tell } from "./dom.js";
import { t } from "./i18n.js";

const SEARCH_MS = 250; // after the last key
const MEMBERS_PAGE = 100;

export class Dialogs {
  #client;
  #session;
  #group = null; // whose members are shown
  #dialog = byId("dialog");

  constructor(client, session) {
    this.#client = client;
    this.#session = session;
    byId("new-chat").addEventListener("click", () => this.#newChat());
    byId("new-group").addEventListener("click", () => this.#newGroup());
    this.#dialog.addEventListener("close", () => (this.#group = null));
    client.addEventListener("group", ({ detail: { dstid } }) => {
      if (dstid !== this.#group) return;
      if (client.conversation(keyOf(GROUP, dstid))) this.showMembers(dstid);
      else this.#dialog.close();
    });
  }

  #show(title, ...parts) {
    byId("dialog-title").textContent = title;
    byId("dialog-body").replaceChildren(...parts);
    if (!this.#dialog.open) this.#dialog.showModal();
    byId("dialog-body").querySelector("input")?.focus();
  }

  #goTo(chat, dstid, name) {
    const { key } = this.#client.openConversation(chat, dstid, name);
    this.#dialog.close();
    location.hash = `#/${key}`;
  }

  #newChat() {
    const search = this.#search((user) => this.#goTo(SINGLE, user.id, fullName(user)));
    this.#show(t("newChat"), search);
  }

  #newGroup() {
    const chosen = new Map();
    const chips = el("ul", { className: "chips", "aria-label": t("chosen") });
    const renderChips = () => {
      chips.replaceChildren(
        ...[...chosen.values()].map((user) => {
          const name = fullName(user);
          const label = t("remove", { name });
          const remove = el("button", { type: "button", "aria-label": label }, "×");
          remove.addEventListener("click", () => {
            chosen.delete(user.id);
            renderChips();
          });
          return el("li", {}, name, remove);
        }),
      );
    };
    const name = el("input", { maxLength: 64, required: true });
    const wrong = el("p", { className: "error", role: "alert", hidden: true });
    const submit = el("button", { className: "primary", type: "submit" }, t("create"));
    const form = el("form", {}, el("label", {}, t("groupName"), name), chips);
    form.append(
      this.#search((user) => {
        if (user.id !== this.#client.userid) chosen.set(user.id, user);
        renderChips();
      }),
      wrong,
      submit,
    );
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      submit.disabled = true;
      const body = { name: name.value.trim(), members: [...chosen.keys()] };
      try {
        const group = await this.#session.request("POST", "/api/groups", body);
        this.#goTo(GROUP, group.id, group.name);
      } catch (error) {
        tell(wrong, errorText(error));
      } finally {
        submit.disabled = false;
      }
    });
    this.#show(t("newGroup"), form);
  }

  /** A group's members, and what this user may do about them. */
  async showMembers(gid) {
    const note = el("p", { className: "note", role: "status", hidden: true });
    const list = el("ul", { className: "people" });
    const actions = el("div", { className: "actions" });
    const isNew = this.#group !== gid;
    this.#group = gid;
    try {
      const group = await this.#session.request("GET", `/api/groups/${gid}`);
      if (this.#group !== gid) return;
      const isAdmin = group.role !== "member";
      const parts = [list, note, actions];
      const draft = byId("dialog-body").querySelector("input[type=search]");
      if (isAdmin) parts.unshift(isNew || !draft ? this.#adder(gid) : draft.closest("details"));
      await this.#fillMembers(gid, list, 0);
      const end = group.role === "owner" ? "dissolve" : "leave";
      const finish = () => this.#end(gid, end, note);
      actions.append(button(end, { className: "danger", onclick: finish }));
      if (this.#group === gid) this.#show(`${group.name} (${group.count})`, ...parts);
    } catch (error) {
      tell(note, errorText(error));
      this.#show(t("members"), note);
    }
  }

  async #fillMembers(gid, list, after) {
    const path = `/api/groups/${gid}/members?after=${after}&limit=${MEMBERS_PAGE}`;
    const { members, more } = await this.#session.request("GET", path);
    for (const member of members) {
      const name = member.nick || member.nickname || String(member.id);
      const role = el("small", { className: "muted" }, t(member.role));
      list.append(el("li", {}, this.#person({ ...member, nickname: name }), role));
    }
    if (!more) return;
    const next = button("more", { className: "link" });
    next.addEventListener("click", () => {
      next.parentNode.remove();
      this.#fillMembers(gid, list, members.at(-1).id).catch(() => list.append(el("li", {}, next)));
    });
    list.append(el("li", {}, next));
  }

  #adder(gid) {
    const note = el("p", { className: "note", role: "status", hidden: true });
    const search = this.#search(async (user) => {
      try {
        await this.#session.request("POST", `/api/groups/${gid}/members`, { id: user.id });
        await this.showMembers(gid);
        tell(note, t("added", { name: fullName(user) }));
      } catch (error) {
        tell(note, errorText(error));
      }
    });
    search.append(note);
    return el("details", { className: "search" }, el("summary", {}, t("addMember")), search);
  }

  async #end(gid, what, note) {
    if (!confirm(t(`${what}Sure`))) return;
    const own = what === "leave" ? `/members/${this.#client.userid}` : "";
    try {
      await this.#session.request("DELETE", `/api/groups/${gid}${own}`);
      this.#dialog.close();
    } catch (error) {
      tell(note, error.status === 409 ? t("errorOwner") : errorText(error));
    }
  }

  /** A search field with its results; `onPick(user)` when one is chosen. */
  #search(onPick) {
    const input = el("input", {
      type: "search", autocomplete: "off", autocapitalize: "none", spellcheck: false, maxLength: 32,
    });
    const results = el("ul", { className: "people" });
    const note = el("p", { className: "muted", role: "status" }, t("searchStart"));
    let timer;
    let latest = "";
    const run = async () => {
      const wanted = (latest = input.value.trim());
      let users = [];
      let text = wanted ? "" : t("searchStart");
      if (wanted) {
        try {
          const path = `/api/users?q=${encodeURIComponent(wanted)}`;
          ({ users } = await this.#session.request("GET", path));
          if (!users.length) text = t("nobody");
        } catch (error) {
          text = errorText(error);
        }
      }
      if (wanted !== latest) return; // an answer that came too late
      tell(note, text);
      results.replaceChildren(
        ...users.map((user) => {
          const pick = el("button", { type: "button" }, this.#person(user));
          pick.addEventListener("click", () => onPick(user));
          return el("li", {}, pick);
        }),
      );
    };
    input.addEventListener("input", () => {
      clearTimeout(timer);
      timer = setTimeout(run, SEARCH_MS);
    });
    input.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.isComposing) return;
      event.preventDefault(); // not the form around it
      clearTimeout(timer);
      run();
    });
    return el("div", { className: "search" }, el("label", {}, t("search"), input), note, results);
  }

  #person(user) {
    const name = fullName(user);
    const row = el("span", { className: "person" }, badge(name, SINGLE, user.id));
    row.append(el("span", { className: "grow", dir: "auto" }, name));
    if (user.username) row.append(el("small", { className: "muted" }, user.username));
    return row;
  }
}

// One's own profile: picture, names, number, and the ways to password, data and leaving.

import { avatar } from "../avatar.js";
import { ask, notify, openDialog } from "../dialog.js";
import { button, el, loadStyle, loadWidget, whileBusy } from "../dom.js";
import { errorText } from "../format.js";
import { t } from "../i18n.js";
import { icon } from "../icons.js";
import { fieldForm, linkRow, section } from "./account-parts.js";
import { loading } from "./parts.js";

/** Opens the profile. */
export async function open(app) {
  await loadStyle("account");
  const dialog = openDialog({ title: t("profile") });
  const { client } = app;
  const load = () => client.request("GET", "/api/me");
  const show = (me) => dialog.body.append(picture(app, me), details(app, me), account(app, me));
  await loading(dialog.body, load, show);
}

async function change({ client }, changes) {
  const me = await client.request("PATCH", "/api/me", changes);
  client.forget(me.id); // the page shows the new names at once
  client.person(me.id);
  return me;
}

function picture(app, me) {
  const input = el("input", { type: "file", accept: "image/*", hidden: true });
  const choose = button("profile.choosePicture", {}, icon("camera"));
  const remove = button("profile.removePicture", { className: "quiet" });
  const place = el("div", { className: "profile-picture" });
  const node = el("div", { className: "profile-head" }, place, choose, remove, input);
  const show = (url) => {
    const name = me.nickname || me.username || String(me.id);
    place.replaceChildren(avatar(name, { id: me.id, url, size: "huge" }));
    remove.hidden = !url;
  };
  const set = (control, getUrl) =>
    whileBusy(control, async () => {
      try {
        const url = await getUrl();
        if (url === null) return;
        await change(app, { avatar: url });
        show(url);
      } catch (error) {
        notify(errorText(error), { isError: true });
      }
    });
  choose.addEventListener("click", () => input.click());
  remove.addEventListener("click", () => set(remove, () => ""));
  input.addEventListener("change", () => {
    const [file] = input.files;
    input.value = "";
    if (file) set(choose, () => uploadPicture(app.client, file));
  });
  show(me.avatar);
  return node;
}

/** The address of the picture as it was cut out; null if that was given up. */
async function uploadPicture(client, file) {
  const { cropAvatar } = await loadWidget("crop");
  const cut = await cropAvatar(file);
  return cut && client.upload(cut, { name: "avatar.jpg", type: cut.type });
}

function details(app, me) {
  const fields = {
    nickname: { label: t("profile.nickname"), maxLength: 64, autocomplete: "nickname" },
    memo: { label: t("profile.memo"), maxLength: 200, isLong: true, rows: 2 },
    sex: { label: t("profile.sex"), maxLength: 16, autocomplete: "sex" },
    username: {
      label: t("username"),
      hint: t("profile.usernameHint"),
      maxLength: 32,
      autocomplete: "username",
      autocapitalize: "none",
      spellcheck: false,
    },
    mobile: {
      label: t("profile.mobile"),
      hint: t("profile.mobileHint"),
      type: "tel",
      maxLength: 24,
      autocomplete: "tel",
      placeholder: "+441632960123",
    },
  };
  for (const [name, field] of Object.entries(fields)) field.value = me[name];
  const { form, inputs } = fieldForm({ fields, confirm: "save", submit });

  async function submit(values) {
    values.mobile = values.mobile.replace(/[\s().-]/g, "");
    values.username = values.username.toLowerCase();
    const changed = Object.entries(values).filter(([name, value]) => value !== me[name]);
    if (!changed.length) return;
    const changes = Object.fromEntries(changed);
    if ("username" in changes && !(await agreeToMove(me, changes.username))) return;
    Object.assign(me, await change(app, changes));
    for (const [name, input] of Object.entries(inputs)) input.value = me[name];
    notify(t("profile.saved"));
  }

  return el("div", { className: "section" }, form);
}

/** Whether the person wants another address. */
function agreeToMove({ id, jid }, username) {
  const next = `${username || id}@${jid.split("@")[1]}`;
  const text = t("profile.moveText", { jid, next });
  return ask({ title: t("profile.moveTitle"), text, confirm: "profile.move" });
}

function account({ client }, me) {
  const save = (row) => whileBusy(row, () => exportData(client, me));
  const rows = [
    linkRow("key-round", "profile.password", () => openPassword(client)),
    linkRow("download", "profile.export", save, t("profile.exportNote")),
    linkRow("trash-2", "profile.delete", () => openFarewell(client, me)),
  ];
  rows.at(-1).classList.add("error");
  return section(t("settings.account"), el("div", { className: "list" }, ...rows));
}

function openPassword(client) {
  const { form } = fieldForm({
    fields: {
      old: { label: t("profile.old"), type: "password", autocomplete: "current-password" },
      new: {
        label: t("profile.new"),
        type: "password",
        autocomplete: "new-password",
        hint: t("errorPassword"),
      },
    },
    confirm: "profile.password",
    submit: async (values, mark) => {
      const length = [...values.new].length;
      if (length < 8 || length > 256) return mark({ new: t("errorPassword") });
      await client.request("POST", "/api/me/password", values);
      dialog.close();
      notify(t("profile.passwordChanged"));
    },
  });
  const text = el("p", { className: "muted" }, t("profile.passwordText"));
  const dialog = openDialog({ title: t("profile.password"), className: "question" });
  dialog.body.append(text, form);
  form.elements.old.focus();
}

async function exportData(client, me) {
  try {
    const found = await client.request("GET", "/api/me/export");
    const file = new Blob([JSON.stringify(found, null, 2)], { type: "application/json" });
    const href = URL.createObjectURL(file);
    const day = new Date().toISOString().slice(0, 10);
    el("a", { href, download: `tandem-${me.username || me.id}-${day}.json` }).click();
    setTimeout(() => URL.revokeObjectURL(href), 60_000); // the browser is still reading it
  } catch (error) {
    notify(errorText(error), { isError: true });
  }
}

function openFarewell(client, me) {
  const word = me.username || String(me.id);
  const { form } = fieldForm({
    fields: {
      password: { label: t("password"), type: "password", autocomplete: "current-password" },
      word: {
        label: t("profile.typeName", { name: word }),
        autocomplete: "off",
        autocapitalize: "none",
        spellcheck: false,
      },
    },
    confirm: "profile.delete",
    isDanger: true,
    submit: async ({ password, word: typed }, mark) => {
      if (!password) return mark({ password: t("errorMissing") });
      if (typed !== word) return mark({ word: t("profile.nameDiffers", { name: word }) });
      client.stop(); // the end of the connection is not to come before the wish to leave
      try {
        await client.request("DELETE", "/api/me", { password });
      } catch (error) {
        client.start();
        throw error;
      }
      await client.logout(); // and forgets what this browser has kept
    },
  });
  const dialog = openDialog({ title: t("profile.delete"), className: "question" });
  dialog.body.append(el("p", {}, t("profile.deleteText")), form);
  form.elements.password.focus();
}

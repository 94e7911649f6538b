// Logging in and registering.

import { byId, tell, whileBusy } from "./dom.js";
import { errorText } from "./format.js";
import { chooseLanguage, language, t } from "./i18n.js";

const FIELDS = ["username", "nickname", "password"];

/** The form; `done()` is called, and waited for, once somebody is logged in. */
export class Entrance {
  #registering = false;
  #form = byId("entrance-form");

  constructor(client, done) {
    const form = this.#form;
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (!this.#isFilled()) return;
      whileBusy(form.querySelector("[type=submit]"), () => this.#submit(client, done));
    });
    const other = byId("entrance-language");
    other.addEventListener("click", () => chooseLanguage(language === "en" ? "zh" : "en"));
    form.querySelector(".switch button").addEventListener("click", () => {
      this.#registering = !this.#registering;
      this.#render();
      form.elements.username.focus();
    });
    document.addEventListener("language", () => this.#render());
    this.#render();
  }

  async #submit(client, done) {
    const { username, password, nickname } = this.#form.elements;
    const name = username.value.trim();
    const account = { username: name, password: password.value };
    if (nickname.value.trim()) account.nickname = nickname.value.trim();
    try {
      if (this.#registering) await client.register(account);
      else await client.login(name, password.value);
    } catch (error) {
      this.#explain(error);
      return;
    }
    password.value = "";
    tell(byId("entrance-note"), "");
    await done();
  }

  /** Shows the form; `note` says why, if that needs saying. */
  show(note) {
    byId("entrance").hidden = false;
    tell(byId("entrance-note"), note);
    this.#form.elements.username.focus();
  }

  hide() {
    byId("entrance").hidden = true;
  }

  #render() {
    const form = this.#form;
    byId("entrance-language").textContent = t("otherLanguage");
    form.classList.toggle("registering", this.#registering);
    form.querySelector("[type=submit]").textContent = t(this.#registering ? "register" : "logIn");
    const question = this.#registering ? "haveAccount" : "noAccount";
    form.querySelector(".question").textContent = t(question);
    form.querySelector(".switch button").textContent = t(this.#registering ? "logIn" : "register");
    form.elements.password.autocomplete = this.#registering ? "new-password" : "current-password";
    this.#mark({});
    tell(byId("entrance-error"), "");
  }

  #isFilled() {
    const { username, password } = this.#form.elements;
    const wrong = {};
    if (this.#registering) {
      const length = [...password.value].length;
      if (!/^[a-z][a-z0-9._-]{2,31}$/i.test(username.value.trim())) {
        wrong.username = t("errorUsername");
      }
      if (length < 8 || length > 256) wrong.password = t("errorPassword");
    }
    if (!username.value.trim()) wrong.username = t("errorMissing");
    if (!password.value) wrong.password = t("errorMissing");
    this.#mark(wrong);
    tell(byId("entrance-error"), "");
    return !Object.keys(wrong).length;
  }

  #explain(error) {
    let text;
    if (error.status === 409) this.#mark({ username: t("errorTaken") });
    else if (error.status === 422) this.#mark(error.errors);
    if (error.status === 401) text = t("errorPair");
    else if (error.status === 403) text = t("errorClosed");
    else if (error.status === 409) text = "";
    else if (FIELDS.some((field) => field in (error.errors ?? {}))) text = t("errorFields");
    else text = errorText(error);
    tell(byId("entrance-error"), text);
  }

  /** Writes what is wrong beside each field and goes to the first of them. */
  #mark(wrong) {
    for (const field of FIELDS) {
      tell(byId(`error-${field}`), wrong[field] ?? "");
      this.#form.elements[field].setAttribute("aria-invalid", String(field in wrong));
    }
    const first = FIELDS.find((field) => field in wrong);
    if (first) this.#form.elements[first].focus();
  }
}

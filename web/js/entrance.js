// Logging in and registering.

import { byId, errorText, tell } from "./dom.js";
import { t } from "./i18n.js";

const FIELDS = ["username", "nickname", "password"];

/** The form; `done()` is called once the session has a user. */
export class Entrance {
  #registering = false;
  #form = byId("entrance-form");

  constructor(session, done) {
    const form = this.#form;
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      const submit = form.querySelector("[type=submit]");
      if (!this.#isFilled()) return;
      submit.disabled = true;
      const { username, password, nickname } = form.elements;
      try {
        const name = username.value.trim();
        if (this.#registering) {
          await session.register(name, password.value, nickname.value.trim());
        } else {
          await session.login(name, password.value);
        }
        password.value = "";
        tell(byId("entrance-note"), "");
        done();
      } catch (error) {
        this.#explain(error);
      } finally {
        submit.disabled = false;
      }
    });
    form.querySelector(".switch button").addEventListener("click", () => {
      this.#registering = !this.#registering;
      this.#render();
      form.elements.username.focus();
    });
    document.addEventListener("language", () => this.#render());
    this.#render();
  }

  /** Shows the form; `note` says why, if that needs saying. */
  show(note) {
    byId("entrance").hidden = false;
    tell(byId("entrance-note"), note);
    this.#form.elements.username.focus();
  }

  #render() {
    const form = this.#form;
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

// What this browser remembers of how its user wants the page. All tabs follow at once.

const PREFIX = "tandem:";
const NAMES = ["theme", "sound", "notifications", "enterSends"];
const THEMES = new Set(["system", "light", "dark"]);

/**
 * Fires `change` with the preference's name as `detail`, whichever tab changed it. (The language is
 * in i18n.js.)
 */
export class Preferences extends EventTarget {
  #storage;

  /** `storage`: `localStorage`. */
  constructor(storage) {
    super();
    this.#storage = storage;
    addEventListener("storage", ({ key }) => {
      if (key === null) NAMES.forEach((name) => this.#fire(name));
      else if (NAMES.some((name) => key === PREFIX + name)) this.#fire(key.slice(PREFIX.length));
    });
  }

  /** `system`, `light` or `dark`. */
  get theme() {
    const chosen = this.#storage.getItem(`${PREFIX}theme`);
    return THEMES.has(chosen) ? chosen : "system";
  }

  set theme(value) {
    this.#set("theme", value);
  }

  /** Whether a message that is not looked at makes a sound. */
  get sound() {
    return this.#flag("sound", true);
  }

  set sound(value) {
    this.#set("sound", value);
  }

  /** Whether notifications are wanted; the browser has to allow them besides. */
  get notifications() {
    return this.#flag("notifications", false);
  }

  set notifications(value) {
    this.#set("notifications", value);
  }

  /** Whether the user has said yes or no to notifications. */
  get hasChosenNotifications() {
    return this.#storage.getItem(`${PREFIX}notifications`) !== null;
  }

  /** Whether Enter sends and Shift+Enter begins a line; if not, it is Ctrl+Enter that sends. */
  get enterSends() {
    // Keyboards on a screen have no Shift+Enter.
    return this.#flag("enterSends", matchMedia("(pointer: fine)").matches);
  }

  set enterSends(value) {
    this.#set("enterSends", value);
  }

  /** Shows the page in the chosen colours from now on, following the choice and the system. */
  startTheme() {
    const dark = matchMedia("(prefers-color-scheme: dark)");
    const show = () => {
      const { theme } = this;
      const isDark = theme === "dark" || (theme === "system" && dark.matches);
      const root = document.documentElement;
      root.dataset.theme = isDark ? "dark" : "light";
      const colour = getComputedStyle(document.body).backgroundColor;
      const bars = document.querySelectorAll('meta[name="theme-color"]'); // one for each scheme
      for (const bar of bars) bar.content = colour;
    };
    dark.addEventListener("change", show);
    this.addEventListener("change", ({ detail }) => detail === "theme" && show());
    show();
  }

  #flag(name, otherwise) {
    const stored = this.#storage.getItem(PREFIX + name);
    return stored === null ? otherwise : stored === "true";
  }

  #set(name, value) {
    this.#storage.setItem(PREFIX + name, String(value));
    this.#fire(name);
  }

  #fire(name) {
    this.dispatchEvent(new CustomEvent("change", { detail: name }));
  }
}

// The page's language: English or Chinese, as chosen before, else the browser's.

const KEY = "tandem:language";

let texts = {};

/** `en` or `zh`. */
export let language = "en";

/** The text called `name`, with `{…}` replaced from `values`; the name itself where there is none. */
export function t(name, values = {}) {
  const text = texts[name] ?? name;
  return text.replace(/\{(\w+)\}/g, (_, key) => values[key] ?? "");
}

/** Whether there is a text of this name. */
export const hasText = (name) => name in texts;

/** Loads the language to begin with. */
export function startLanguage() {
  const preferred = localStorage.getItem(KEY) ?? navigator.language;
  return show(preferred.startsWith("zh") ? "zh" : "en");
}

/** Shows the page in `en` or `zh` from now on; fires `language` at the document. */
export async function chooseLanguage(chosen) {
  localStorage.setItem(KEY, chosen);
  await show(chosen);
  document.dispatchEvent(new Event("language"));
}

/** Puts the texts into what has `data-i18n…` under `root`. */
export function translate(root) {
  const fill = (attribute, put) => {
    const nodes = root.querySelectorAll(`[${attribute}]`);
    for (const node of nodes) put(node, t(node.getAttribute(attribute)));
  };
  fill("data-i18n", (node, text) => (node.textContent = text));
  fill("data-i18n-label", (node, text) => node.setAttribute("aria-label", text));
  fill("data-i18n-title", (node, text) => (node.title = text));
  fill("data-i18n-placeholder", (node, text) => (node.placeholder = text));
}

async function show(chosen) {
  ({ default: texts } = await import(`./texts/${chosen}.js`));
  language = chosen;
  document.documentElement.lang = chosen === "zh" ? "zh-CN" : "en";
  translate(document);
}

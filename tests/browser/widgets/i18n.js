// Stands in for the page's js/i18n.js, until that reads js/texts/ itself.

import en from "/js/texts/en.js";
import zh from "/js/texts/zh.js";

const texts = { en, zh };

export let language = "en";

export function t(key, values = {}) {
  if (!(key in texts[language])) throw new Error(`no text "${key}"`);
  return texts[language][key].replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

export function setLanguage(chosen) {
  language = chosen;
  document.documentElement.lang = chosen === "zh" ? "zh-CN" : "en";
}

// The page's texts: complete in both languages, and there wherever a script asks for one by name.

import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { test } from "node:test";

import en from "../../web/js/texts/en.js";
import zh from "../../web/js/texts/zh.js";

const ROOT = new URL("../../web/", import.meta.url);

const placeholders = (text) => [...text.matchAll(/\{(\w+)\}/g)].map(([, name]) => name).sort();

const scripts = readdirSync(new URL("js/", ROOT), { recursive: true })
  .filter((name) => name.endsWith(".js") && !name.startsWith("texts"))
  .map((name) => readFileSync(new URL(`js/${name}`, ROOT), "utf8"));

test("Both languages have the same texts", () => {
  assert.deepEqual(Object.keys(zh).sort(), Object.keys(en).sort());
});

test("Both languages have the same placeholders", () => {
  const of = (texts) => Object.entries(texts).map(([name, text]) => [name, placeholders(text)]);
  assert.deepEqual(Object.fromEntries(of(zh)), Object.fromEntries(of(en)));
});

test("No name stands for two texts", () => {
  for (const language of ["en", "zh"]) {
    const source = readFileSync(new URL(`js/texts/${language}.js`, ROOT), "utf8");
    const names = [...source.matchAll(/^ {2}(?:"([^"]+)"|(\w+)):/gm)].map(([, one, two]) => one ?? two);
    assert.deepEqual(names.filter((name, place) => names.indexOf(name) < place), []);
  }
});

test("Chinese texts are Chinese", () => {
  const isLatin = (text) => /[a-z]{2}/i.test(text.replace(/\{\w+\}/g, ""));
  const latin = Object.entries(zh).filter(([, text]) => isLatin(text));
  const same = latin.filter(([name, text]) => text === en[name]).map(([name]) => name);
  assert.deepEqual(same, ["xmpp.websocket"]);
});

test("Every text that is asked for by its name is there", () => {
  const asked = /\b(?:(?:t|button)\(|iconButton\(\s*"[\w-]+",)\s*"([\w.-]+)"/g;
  const askedWithoutButtons = /\bt\(\s*"([\w.-]+)"/g; // widgets have a button() of their own
  const named = /\b(?:data-i18n(?:-\w+)?)="([\w.-]+)"/g;
  const page = readFileSync(new URL("index.html", ROOT), "utf8");
  const names = [
    ...scripts.flatMap((source) => {
      const isOurs = /import \{[^}]*\bbutton\b[^}]*\} from "[./]*dom\.js"/.test(source);
      return [...source.matchAll(isOurs ? asked : askedWithoutButtons)];
    }),
    ...page.matchAll(named),
  ].map(([, name]) => name);
  assert.ok(names.length > 100);
  assert.deepEqual([...new Set(names)].filter((name) => !(name in en)), []);
});

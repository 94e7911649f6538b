// What the account's panels make of search results and of what clients call themselves.

import assert from "node:assert/strict";
import { test } from "node:test";

import { startLanguage } from "../../web/js/i18n.js";
import { deviceName } from "../../web/js/panels/devices.js";
import { highlighted } from "../../web/js/panels/highlight.js";

globalThis.document ??= {
  createElement: (tag) => ({ tag, text: "", append(...texts) { this.text += texts.join(""); } }),
};

/** The text with what is marked in brackets. */
const shown = (text, q) =>
  highlighted(text, q).map((node) => (typeof node === "string" ? node : `[${node.text}]`)).join("");

test("What was looked for is marked without regard to case and accents", () => {
  assert.equal(shown("the quick Brown Fox", "brown  fox"), "the quick [Brown] [Fox]");
  assert.equal(shown("Café cafe\u0301s", "CAFE"), "[Café] [cafe\u0301]s");
  assert.equal(shown("ﬁne fine", "i"), "[ﬁ]ne f[i]ne");
  assert.equal(shown("你好世界", "世界"), "你好[世界]");
});

test("Matches that overlap are one", () => {
  assert.equal(shown("aaaa b", "aa aaa"), "[aaaa] b");
});

test("What has no match is shown as it is", () => {
  assert.equal(shown("nothing", "else"), "nothing");
  assert.equal(shown("", "else"), "");
  assert.equal(shown("<b>.*</b>", ".*"), "<b>[.*]</b>");
});

test("A long text is shown from where the match is, without cutting a character in two", () => {
  const text = `${"word ".repeat(40)}harbour${" word".repeat(200)}`;
  const found = shown(text, "harbour");
  assert.match(found, /^…(word ){7}\[harbour\] word/);
  assert.ok(found.length < 450);
  assert.match(shown(`a${"😀".repeat(60)}z`, "z"), /^…(😀)+\[z\]$/u);
});

test("Devices are called by browser and system", async () => {
  globalThis.localStorage = { getItem: () => "en" };
  Object.assign(document, { documentElement: {}, querySelectorAll: () => [] });
  await startLanguage();
  const windows = "Mozilla/5.0 (Windows NT 10.0; Win64; x64)";
  const names = {
    [`${windows} AppleWebKit/537.36 Chrome/130.0 Safari/537.36 Edg/130.0`]: "Edge on Windows",
    [`${windows} AppleWebKit/537.36 Chrome/130.0 Safari/537.36`]: "Chrome on Windows",
    "Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0": "Firefox on Linux",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Safari/604.1":
      "Safari on iPhone",
    "Mozilla/5.0 (Linux; Android 15; Pixel 9) Chrome/130.0 Mobile Safari/537.36":
      "Chrome on Android",
    "Tornado/6.6.1": "Tornado",
    node: "node",
    "": "Unknown device",
  };
  for (const [agent, name] of Object.entries(names)) assert.equal(deviceName(agent), name);
});

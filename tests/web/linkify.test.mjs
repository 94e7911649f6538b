// Message text as nodes, against hostile input: `node --test tests/web/`.

import assert from "node:assert/strict";
import { test } from "node:test";

class FakeNode {
  childNodes = [];
  constructor(tag, text = "") {
    this.tag = tag;
    this.text = text;
  }
  append(...nodes) {
    for (const node of nodes) {
      this.childNodes.push(typeof node === "string" ? new FakeNode("#text", node) : node);
    }
  }
  get textContent() {
    return this.text + this.childNodes.map((node) => node.textContent).join("");
  }
}

globalThis.document = {
  createElement: (tag) => new FakeNode(tag),
  createTextNode: (text) => new FakeNode("#text", text),
};

const { isOnlyEmoji, textNodes } = await import("../../web/js/widgets/linkify.js");

const joined = (nodes) => nodes.map((node) => node.textContent).join("");
const links = (text) => textNodes(text).filter(({ tag }) => tag === "a").map((a) => a.textContent);
const named = (text, mentions) =>
  textNodes(text, { mentions })
    .filter(({ className }) => className === "mention")
    .map((node) => node.textContent);

test("a link ends where its sentence goes on", () => {
  for (const [text, ...expected] of [
    ["see https://example.org.", "https://example.org"],
    ["see https://example.org/a?b=c&d=%20#e, and", "https://example.org/a?b=c&d=%20#e"],
    ["(https://example.org/a)", "https://example.org/a"],
    ["https://example.org/wiki/A_(b)", "https://example.org/wiki/A_(b)"],
    ["(see https://example.org/wiki/A_(b))?!", "https://example.org/wiki/A_(b)"],
    ["[https://example.org/[a]]", "https://example.org/[a]"],
    ['"https://example.org/a"', "https://example.org/a"],
    ["<https://example.org/a>", "https://example.org/a"],
    ["'https://example.org/it's'", "https://example.org/it's"],
    ["看https://example.org/a。好", "https://example.org/a"],
    ["看（https://example.org/a），好", "https://example.org/a"],
    ["https://example.org看看", "https://example.org"],
    ["https://zh.wikipedia.org/wiki/维基百科", "https://zh.wikipedia.org/wiki/维基百科"],
    ["https://例子.中国/路", "https://例子.中国/路"],
    ["https://münchen.de/ä", "https://münchen.de/ä"],
    ["HTTP://EXAMPLE.ORG", "HTTP://EXAMPLE.ORG"],
    ["http://127.0.0.1:8080/a http://[::1]:80/b", "http://127.0.0.1:8080/a", "http://[::1]:80/b"],
    ["https://medium.com/@ann", "https://medium.com/@ann"],
    ["https://a.org\nhttps://b.org", "https://a.org", "https://b.org"],
    ["https://good.org\u202egro.live//:sptth", "https://good.org"],
    [`https://example.org/${"a".repeat(5000)}.`, `https://example.org/${"a".repeat(5000)}`],
  ]) {
    assert.deepEqual(links(text), expected, text);
  }
});

test("what is no web address is no link", () => {
  for (const text of [
    "javascript:alert(1)",
    "data:text/html,<script>alert(1)</script>",
    "ftp://example.org",
    "file:///etc/passwd",
    "xhttps://example.org",
    "https://",
    "http://...",
    "https:///path",
    "http://999.999.999.999",
    "example.org",
  ]) {
    assert.deepEqual(links(text), [], text);
  }
});

test("a link leads to where it says, and tells the real name of a foreign one", () => {
  const [foreign] = textNodes("https://еxample.org/"); // its first letter is Cyrillic
  assert.equal(foreign.title, "https://xn--xample-2of.org/");
  const [trick] = textNodes("https://good.example:80@evil.example/");
  assert.equal(trick.textContent, "https://good.example:80");
  assert.equal(trick.rel, "noopener noreferrer");
});

test("mentions are the longest of the names, as words", () => {
  const names = new Map([["Ann", 1], ["Ann Lee", 2], ["小明", 3], ["<b>", 4]]);
  assert.deepEqual(named("@Ann Lee, @Ann! @Anna ann@Ann", names), ["@Ann Lee", "@Ann"]);
  assert.deepEqual(named("你好@小明你好 @<b>", names), ["@小明", "@<b>"]);
  assert.deepEqual(named("@Ann @Ben", ["Ann"]), ["@Ann"]);
  assert.deepEqual(named("@__proto__ @constructor", []), []);
  const heard = [];
  const onMention = (...all) => heard.push(all);
  const [button] = textNodes("@Ann Lee", { mentions: names, onMention });
  button.onclick();
  assert.deepEqual(heard, [[2, "Ann Lee"]]);
});

test("characters that turn text around are kept from the text", () => {
  const nodes = textNodes("a\u202eb\u2069\u202ec\u2066\u2067d\u202c");
  const shape = nodes.map(({ tag, textContent }) => [tag, textContent]);
  assert.deepEqual(shape, [
    ["#text", "a"],
    ["bdi", "\u202e"],
    ["#text", "b"],
    ["bdi", "\u2069\u202e"],
    ["#text", "c"],
    ["bdi", "\u2066\u2067"],
    ["#text", "d"],
    ["bdi", "\u202c"],
  ]);
});

/** The same numbers each time. */
function random(seed) {
  let state = seed;
  return (below) => {
    state = (state * 1664525 + 1013904223) % 2 ** 32;
    return Math.floor((state / 2 ** 32) * below);
  };
}

test("nothing is lost, added or made an element of, whatever the text", () => {
  const pieces = [
    ..."@.,;:!?'\"()[]{}<>/\\#&%=-_~*|`^\n\t\0 aZ0é中。，（）》\u3000\u200b\u200d\ufeff\ud800\udc00",
    ..."\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c\u05d0\u0628",
    ...["http://", "https://", "HTTPS://x.", "javascript:", "example.org", "@Ann", "@Ann Lee"],
    ...["<script>", "<img src=x onerror=alert(1)>", "&lt;", "xn--", ":80", "[::1]", "user:pw@"],
    ...["👍🏽", "👨‍👩‍👧", "🇨🇳"],
  ];
  const pick = random(7);
  for (let round = 0; round < 20_000; round += 1) {
    const text = Array.from({ length: pick(14) }, () => pieces[pick(pieces.length)]).join("");
    const nodes = textNodes(text, { mentions: ["Ann", "Ann Lee"] });
    assert.equal(joined(nodes), text);
    for (const { tag, href, textContent, childNodes } of nodes) {
      assert.ok(["#text", "a", "bdi"].includes(tag), tag);
      assert.ok(childNodes.every((child) => child.tag === "#text"));
      if (tag === "a") assert.match(href, /^https?:\/\/[^@/]+\//);
      if (tag !== "bdi") assert.doesNotMatch(textContent, /[\u202a-\u202e\u2066-\u2069]/);
    }
  }
});

test("the longest messages take no time to speak of", () => {
  const most = 20_000;
  for (const piece of [
    ...["https://", "http://a", "https://a.b看", "https://a.b)", "https://a.b/(", "https://a.b/]"],
    ...["https://a.b/.", "http://@", "://", "a.", "@", "@Ann ", "\u202ea", "\u2069\u202e"],
    ...["👍", "👨‍👩‍👧", "🇨"],
  ]) {
    const text = piece.repeat(most / piece.length);
    for (const hostile of [text, `https://example.org/${text}`, `https://${text}`]) {
      const start = performance.now();
      assert.equal(joined(textNodes(hostile, { mentions: ["Ann"] })), hostile);
      isOnlyEmoji(hostile);
      assert.ok(performance.now() - start < 250, piece);
    }
  }
});

test("one to three emoji alone are shown large, and nothing else is", async () => {
  const [{ default: groups }, en, zh] = await Promise.all(
    ["emoji", "emoji-en", "emoji-zh"].map((name) => import(`../../web/vendor/${name}.js`)),
  );
  const all = groups.flatMap((group) => group.split(" "));
  assert.ok(all.length > 1800);
  assert.equal(new Set(all).size, all.length);
  for (const { default: words } of [en, zh]) assert.equal(words.split("\n").length, all.length);
  for (const emoji of all) assert.ok(isOnlyEmoji(emoji), emoji);
  const large = ["👍👍👍", " 👍 ❤️ ", "👍🏽", "👨‍👩‍👧‍👦🏴󠁧󠁢󠁥󠁮󠁧󠁿🇨🇳", "1️⃣"];
  for (const text of large) assert.ok(isOnlyEmoji(text), text);
  const small = ["", " ", "1", "123", "#", "*", "©", "👍👍👍👍", "👍 a", "a", "🇨", "\u200d", "\ufe0f"];
  for (const text of small) assert.ok(!isOnlyEmoji(text), text);
});

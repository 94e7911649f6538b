// Message text as nodes: links, mentions, and text that cannot disturb what stands around it.

import { el } from "../dom.js";

// A URL ends where people end it: at spaces, quotes, and punctuation as Chinese has it.
const HOST = String.raw`(?:[\p{L}\p{M}\p{N}._-]+|\[[\da-f:.]+\])`;
const PATH = String.raw`[/?#][^\s\p{Cc}\p{Cf}\p{Co}<>"\x60{}|\\^，。、；：！？（）【】《》〈〉「」『』“”‘’…—～]*`;
const PIECE = new RegExp(
  String.raw`(?<![a-z\d])https?://${HOST}(?::\d{1,5})?(?:${PATH})?` +
    String.raw`|@|[\u202a-\u202e\u2066-\u2069]+`,
  "giu",
);
const PAIRS = { ")": "(", "]": "[" };

const LARGE_EMOJI = 3;
const TONE = String.raw`\ufe0f?\p{EMod}?`;
const SINGLE = String.raw`(?:\p{EPres}|\p{Emoji}\ufe0f|\p{EBase})${TONE}`;
const JOINED = String.raw`(?![\d#*\p{RI}])${SINGLE}(?:\u200d\p{Emoji}${TONE})*`;
const FLAG = String.raw`\p{RI}{2}|\u{1f3f4}[\u{e0061}-\u{e007a}]+\u{e007f}`;
const ONLY_EMOJI = new RegExp(
  String.raw`^(?:(?:${FLAG}|[\d#*]\ufe0f\u20e3|${JOINED})\s*){1,${LARGE_EMOJI}}$`,
  "u",
);

/**
 * The nodes of a message's text; their `textContent`, joined, is the text. Put them into an
 * element with `dir="auto"`. Takes time in proportion to the text's length.
 * @param {string} text
 * @param {object} [options]
 * @param {Map<string, *> | string[]} [options.mentions] Names that count after an "@", of those
 *   whom this message mentions. A map's values are handed to `onMention`.
 * @param {(who: *, name: string) => void} [options.onMention] Makes mentions buttons.
 * @returns {Node[]} Text, `<a>`, `<bdi>`, and `<button>` if there is an `onMention`.
 */
export function textNodes(text, { mentions = [], onMention } = {}) {
  const names = new Map(Array.isArray(mentions) ? mentions.map((name) => [name, name]) : mentions);
  const lengths = [...new Set([...names.keys()].map((name) => name.length))].sort((a, b) => b - a);
  const nodes = [];
  let done = 0;
  const add = (start, piece, node) => {
    if (start > done) nodes.push(document.createTextNode(text.slice(done, start)));
    nodes.push(node);
    done = PIECE.lastIndex = start + piece.length;
  };
  PIECE.lastIndex = 0;
  for (let found; (found = PIECE.exec(text)); ) {
    const [piece] = found;
    const start = found.index;
    if (piece === "@") {
      const name = nameAt(text, start + 1, names, lengths);
      if (name) add(start, `@${name}`, mention(name, names.get(name), onMention));
    } else if (/^h/i.test(piece)) {
      const address = trimmed(piece);
      const url = parsed(address);
      if (url) add(start, address, link(address, url));
    } else {
      // What turns text around gets a box of its own, by CSS, so that it turns nothing around.
      // An isolate would not do: such characters can close it, or open one that it then closes.
      add(start, piece, el("bdi", { className: "turning" }, piece));
    }
  }
  if (done < text.length) nodes.push(document.createTextNode(text.slice(done)));
  return nodes;
}

/** Whether the text is one to three emoji and nothing else: such are shown large. */
export function isOnlyEmoji(text) {
  const short = text.length <= LARGE_EMOJI * 40 && text.trim();
  return !!short && ONLY_EMOJI.test(short);
}

/** Without what closes the sentence and not the address. */
function trimmed(piece) {
  const count = (sign) => piece.split(sign).length - 1;
  const open = { "(": count("("), "[": count("[") };
  const closed = { ")": count(")"), "]": count("]") };
  let end = piece.length;
  for (; ; end -= 1) {
    const last = piece[end - 1];
    if (last in PAIRS) {
      if (closed[last] <= open[PAIRS[last]]) break;
      closed[last] -= 1;
    } else if (!".,;:!?'*".includes(last)) break;
  }
  // No top-level domain mixes scripts: Chinese right after ".com" is the sentence going on.
  const host = /^https?:\/\/[^/?#:]+\.[a-z\d-]+(?=[^\p{ASCII}])/iu.exec(piece.slice(0, end));
  const last = host && /^[^/?#:]*/.exec(piece.slice(host[0].length, end))[0];
  return host && !last.includes(".") ? host[0] : piece.slice(0, end);
}

function parsed(address) {
  try {
    return new URL(address);
  } catch {
    return null;
  }
}

function link(address, url) {
  const real = url.host.startsWith("xn--") || url.host.includes(".xn--") ? url.href : "";
  const props = { href: url.href, target: "_blank", rel: "noopener noreferrer", dir: "ltr" };
  return el("a", { ...props, className: "link", title: real }, address);
}

/** The longest of the names that stands here as a word. */
function nameAt(text, start, names, lengths) {
  if (/[\w.+-]/.test(text[start - 2] ?? "")) return null; // ann@example.org
  for (const length of lengths) {
    const name = text.slice(start, start + length);
    const goesOn = /\w$/.test(name) && /\w/.test(text[start + length] ?? "");
    if (names.has(name) && !goesOn) return name;
  }
  return null;
}

function mention(name, who, onMention) {
  const shown = el("bdi", { className: "mention" }, `@${name}`);
  if (!onMention) return shown;
  const act = () => onMention(who, name);
  return el("button", { type: "button", className: "mention-button", onclick: act }, shown);
}

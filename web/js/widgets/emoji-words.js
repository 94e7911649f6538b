// All emoji by category, the words that they are found by, and which were used last.

const KEY = "tandem:emoji";
const RECENT = 24;
const WORDS = {
  en: () => import("../../vendor/emoji-en.js"),
  zh: () => import("../../vendor/emoji-zh.js"),
};

let groups = [];
const lines = {}; // by language, one for each emoji: its name and more words
const texts = {}; // and as they are searched, once they are

/** Loads the emoji and their names in a language; rejects if that cannot be. */
export async function loadEmoji(language) {
  const [all] = await Promise.all([import("../../vendor/emoji.js"), loadWords(language)]);
  groups = all.default.map((group) => group.split(" "));
}

/** Words of one more language to find them by. */
export async function loadWords(language) {
  if (lines[language]) return;
  const { default: words } = await WORDS[language]();
  lines[language] = words.split("\n");
}

/** `[emoji, name][]` by category: smileys, people, nature, food, travel, and so on. */
export function emojiGroups(language) {
  let at = 0;
  const name = () => lines[language][at++].split(",", 1)[0];
  return groups.map((group) => group.map((emoji) => [emoji, name()]));
}

/** The emoji that have all words of a query, in any language that was loaded. */
export function findEmoji(query) {
  const wanted = query.toLowerCase().trim();
  // English words are found by how they begin; Chinese ones have no spaces between them.
  const terms = wanted.split(/\s+/).map((term) => (/^[!-~]+$/.test(term) ? ` ${term}` : term));
  const all = groups.flat();
  const named = new Set(); // whose name begins so: they come first
  const others = new Set();
  for (const language of Object.keys(lines)) {
    texts[language] ??= lines[language].map(
      (line) => ` ${line.toLowerCase().replaceAll(",", " ")}`,
    );
    for (const [at, text] of texts[language].entries()) {
      if (!terms.every((term) => text.includes(term))) continue;
      (text.startsWith(` ${wanted}`) ? named : others).add(all[at]);
    }
  }
  return [...new Set([...named, ...others])];
}

/** Those used last, the newest first. */
export function recentEmoji() {
  return (localStorage.getItem(KEY) ?? "").split(" ").filter(Boolean);
}

export function rememberEmoji(emoji) {
  const kept = [emoji, ...recentEmoji().filter((other) => other !== emoji)];
  localStorage.setItem(KEY, kept.slice(0, RECENT).join(" "));
}

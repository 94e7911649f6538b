// What of a text was looked for.

import { el } from "../dom.js";

const IN_SIGHT = 60; // characters that the lines of a result show on a phone
const LEAD = 40; // characters before the first match, where that lies further back
const LONG = 400; // no more of a text is shown

/**
 * The text as nodes, with what matches any part of `q` in `<mark>`: without regard to case and
 * accents, as the server looks for it. A long text is cut to where the first match is.
 */
export function highlighted(text, q) {
  const ranges = find(text, q.split(/\s+/));
  const first = ranges[0]?.[0] ?? 0;
  const begin = first > IN_SIGHT ? beginning(text, first - LEAD, first) : 0;
  const end = whole(text, begin + LONG);
  const nodes = begin ? ["…"] : [];
  let at = begin;
  for (const [from, to] of ranges.filter(([start]) => start < end)) {
    nodes.push(text.slice(at, from), el("mark", {}, text.slice(from, to)));
    at = to;
  }
  if (at < end) nodes.push(text.slice(at, end));
  return nodes.filter((node) => node !== "");
}

/** Where the parts are, in order and without overlaps: `[from, to]`. */
function find(text, parts) {
  const { folded, starts, ends } = fold(text);
  const found = [];
  for (const part of parts.map((one) => fold(one).folded).filter(Boolean)) {
    let at = folded.indexOf(part);
    for (; at >= 0; at = folded.indexOf(part, at + part.length)) {
      found.push([starts[at], ends[at + part.length - 1]]);
    }
  }
  found.sort(([one], [other]) => one - other);
  const merged = [];
  for (const range of found) {
    const last = merged.at(-1);
    if (last && range[0] < last[1]) last[1] = Math.max(last[1], range[1]);
    else merged.push(range);
  }
  return merged;
}

/** The text without case and accents; where in it each letter begins and ends in the original. */
function fold(text) {
  let folded = "";
  let place = 0;
  const starts = [];
  const ends = [];
  for (const letter of text) {
    const plain = letter.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
    const end = place + letter.length;
    if (plain === "" && ends.length) ends[ends.length - 1] = end; // an accent goes with its letter
    for (let unit = 0; unit < plain.length; unit++) {
      starts.push(place);
      ends.push(end);
    }
    folded += plain;
    place = end;
  }
  return { folded, starts, ends };
}

/** A place from `from` on that does not cut a word in two, if there is one before `before`. */
function beginning(text, from, before) {
  const space = text.indexOf(" ", from);
  return space >= 0 && space < before ? space + 1 : whole(text, from);
}

/** The place itself, or the next one where it would cut a character in two. */
const whole = (text, place) => (/[\udc00-\udfff]/.test(text[place] ?? "") ? place + 1 : place);

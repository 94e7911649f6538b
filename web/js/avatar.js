// The picture of a person or a group, or its first letter on a colour of its own.

import { GROUP } from "../sdk/tandem.js";
import { el } from "./dom.js";
import { icon } from "./icons.js";

const TINTS = 8;

/**
 * `size`: `small`, `large`, `huge`, or nothing. Hidden from screen readers: the name stands beside it.
 * `chat` 11 draws a group. `presence`: `online`, `away`, `dnd`, or nothing. `shape`: an icon instead.
 */
export function avatar(name, { id, chat = 10, url = "", size = "", presence = "", shape = "" }) {
  const node = el("span", {
    className: `avatar ${size} tint-${id % TINTS}`,
    "aria-hidden": "true",
  });
  node.classList.toggle("group", chat === GROUP);
  const letter = shape ? icon(shape) : el("span", {}, [...name.trim()][0]?.toUpperCase() ?? "?");
  node.append(letter);
  if (!shape && /^https?:\/\//i.test(url)) {
    const picture = el("img", { alt: "", loading: "lazy", decoding: "async", draggable: false });
    picture.referrerPolicy = "no-referrer";
    picture.addEventListener("error", () => picture.remove());
    picture.src = url;
    node.append(picture);
  }
  if (presence && presence !== "offline") node.append(el("i", { className: `dot ${presence}` }));
  return node;
}

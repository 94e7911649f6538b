// What a message carries beside its text: pictures, voice, video, files, cards and links.

import { avatar } from "./avatar.js";
import { el, loadWidget } from "./dom.js";
import { fileSize, playTime } from "./format.js";
import { icon } from "./icons.js";
import { t } from "./i18n.js";

const isAddress = (url) => /^https?:\/\//i.test(url ?? "") && URL.canParse(url);

/** A part of an address in letters, where it says letters. */
function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** The node for `media` 2 to 10 and those of other applications. */
export function attachment(app, message) {
  const { media, url } = message;
  const draw = {
    2: card,
    3: voice,
    4: picture,
    5: packet,
    6: picture,
    7: card,
    8: video,
    9: person,
  };
  if (media === 9 || media === 5 || isAddress(url)) return (draw[media] ?? file)(message, app);
  return unknown(message);
}

function picture(message) {
  const { url, pic, memo, media } = message;
  const image = el("img", { alt: memo || t("kind.picture"), loading: "lazy", decoding: "async" });
  image.referrerPolicy = "no-referrer";
  image.src = isAddress(pic) ? pic : url;
  const node = el("button", { type: "button", className: "picture" }, image);
  node.classList.toggle("sticker", media === 6);
  node.setAttribute("aria-label", memo ? `${t("kind.picture")}: ${memo}` : t("kind.picture"));
  image.addEventListener("error", () => node.replaceChildren(icon("image"), t("gone")));
  image.addEventListener("load", () => node.classList.add("is-loaded"));
  node.addEventListener("click", () => view([{ url, alt: memo, kind: "picture" }]));
  return node;
}

function video({ url, pic, memo }) {
  const film = el("video", { controls: true, preload: "metadata", playsInline: true, src: url });
  film.setAttribute("aria-label", memo || t("kind.video"));
  if (isAddress(pic)) film.poster = pic;
  return el("div", { className: "video" }, film);
}

async function view(items) {
  const { openViewer } = await loadWidget("viewer");
  openViewer(items, 0);
}

/** A place for the player, which is loaded when the first voice message is shown. */
function voice({ url, amount, id, cid }) {
  const place = el(
    "div",
    { className: "voice" },
    el("span", { className: "muted" }, playTime(amount ?? 0)),
  );
  loadWidget("player").then(({ voicePlayer }) => {
    place.replaceChildren(voicePlayer({ url, seconds: amount ?? 0, id: id ?? cid }));
  });
  return place;
}

function packet({ amount, content, memo }) {
  const words = el(
    "span",
    { className: "row-name", dir: "auto" },
    memo || content || t("kind.packet"),
  );
  const sum = el("span", { className: "row-note" }, String(amount ?? ""));
  return el(
    "div",
    { className: "card-link" },
    el("span", { className: "packet" }, "🧧"),
    el("span", { className: "row-text" }, words, sum),
  );
}

function card({ url, pic, content, memo }) {
  const { host, pathname } = new URL(url);
  const title = content || memo || decoded(pathname).slice(0, 80);
  const link = el("a", {
    className: "card-link",
    href: url,
    target: "_blank",
    rel: "noopener noreferrer",
  });
  if (isAddress(pic)) {
    const image = el("img", { alt: "", loading: "lazy", src: pic });
    image.referrerPolicy = "no-referrer";
    image.addEventListener("error", () => image.remove());
    link.append(image);
  } else {
    link.append(icon("link"));
  }
  const text = el(
    "span",
    { className: "row-text" },
    el("span", { className: "row-name", dir: "auto" }, title),
  );
  if (content && memo) text.append(el("span", { className: "row-note", dir: "auto" }, memo));
  text.append(el("span", { className: "row-note" }, host));
  link.append(text);
  return link;
}

function file({ url, memo, amount }) {
  const fallback = decoded(new URL(url).pathname.split("/").pop());
  const name = memo || fallback || t("kind.file");
  const props = {
    className: "card-link file",
    href: url,
    target: "_blank",
    rel: "noopener noreferrer",
  };
  const link = el(
    "a",
    { ...props, download: name },
    el("span", { className: "file-sign" }, icon("file-text")),
  );
  const text = el("span", { className: "row-text" }, el("bdi", { className: "row-name" }, name));
  if (amount > 0) text.append(el("span", { className: "row-note" }, fileSize(amount)));
  link.append(text, icon("download"));
  return link;
}

function person({ amount, content }, { client, openPanel }) {
  const id = amount || Number(content) || 0;
  const known = client.person(id);
  const name = known ? client.nameOf(id) : content || String(id);
  const node = el("button", { type: "button", className: "card-link" });
  const note = el("span", { className: "row-note" }, t("kind.contactCard"));
  node.append(
    avatar(name, { id, url: known?.avatar }),
    el(
      "span",
      { className: "row-text" },
      el("span", { className: "row-name", dir: "auto" }, name),
      note,
    ),
  );
  node.addEventListener("click", () => openPanel("person", id));
  return node;
}

function unknown({ content, memo }) {
  const words = [t("kind", { kind: t("kind.other") }), memo || content].filter(Boolean).join(" ");
  return el("p", { className: "text muted", dir: "auto" }, words);
}

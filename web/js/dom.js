// The few things that every part of the page needs from the document.

import { GROUP } from "./client.js";
import { language, t } from "./i18n.js";

export const byId = (id) => document.getElementById(id);

/** An element; `props` are properties or, with a hyphen or `role`, attributes. Text stays text. */
export function el(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (name.includes("-") || name === "role") node.setAttribute(name, value);
    else node[name] = value;
  }
  node.append(...children);
  return node;
}

export const button = (name, props = {}) =>
  el("button", { type: "button", textContent: t(name), ...props });

/** A function that runs `task` soon, once for all calls until then. */
export function coalesced(task) {
  let timer = null;
  return () => {
    timer ??= setTimeout(() => {
      timer = null;
      task();
    }, 16);
  };
}

/** Makes `list` hold exactly these nodes in this order; those in place are not touched. */
export function arrange(list, nodes) {
  const wanted = new Set(nodes);
  for (const node of [...list.children]) if (!wanted.has(node)) node.remove();
  let place = list.firstElementChild;
  for (const node of nodes) {
    if (node === place) place = place.nextElementSibling;
    else list.insertBefore(node, place);
  }
}

/** Shows `text` in a place for errors and notes, or hides the place where there is none. */
export function tell(node, text) {
  node.textContent = text;
  node.hidden = !text;
}

/** A call's error in words. */
export function errorText(error) {
  if (!("status" in error)) throw error; // a bug of ours
  if (error.status === 0) return t("errorNetwork");
  if (error.status === 429) return t("errorWait", { wait: duration(error.retryAfter ?? 60) });
  if (error.status === 503) return t("errorBusy");
  const [field] = Object.entries(error.errors).map(([name, text]) => `${name}: ${text}`);
  return t("errorOther", { detail: field ?? error.detail ?? error.message });
}

function duration(seconds) {
  if (seconds < 90) return t("seconds", { n: Math.max(1, Math.ceil(seconds)) });
  return t("minutes", { n: Math.ceil(seconds / 60) });
}

const format = (ts, options) => new Intl.DateTimeFormat(language, options).format(ts);

export const clock = (ts) => format(ts, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });

/** Today, yesterday or the date. */
export function dayName(ts) {
  const days = Math.round((startOfDay(Date.now()) - startOfDay(ts)) / 86_400_000);
  if (days === 0) return t("today");
  if (days === 1) return t("yesterday");
  const sameYear = new Date(ts).getFullYear() === new Date().getFullYear();
  return format(ts, { month: "short", day: "numeric", ...(!sameYear && { year: "numeric" }) });
}

export const startOfDay = (ts) => new Date(ts).setHours(0, 0, 0, 0);

/** What a list or a reader says of a message. */
export function summary({ media = 1, content = "", memo = "" }) {
  if (media === 1) return content;
  const kind = t(media <= 10 ? `media${media}` : "mediaOther");
  return `${t("media", { kind })} ${memo || content}`.trim();
}

/** A round picture made of the name's first character. */
export function badge(name, chat, id) {
  const first = [...name.trim()][0] ?? "?";
  const shape = chat === GROUP ? "badge group" : "badge";
  return el("span", { className: `${shape} tint-${id % 6}`, "aria-hidden": "true" }, first);
}

export const fullName = (user) => user.nickname || user.username || String(user.id);

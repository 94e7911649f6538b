// Times, sizes, errors and messages in words.

import { hasText, language, t } from "./i18n.js";

const formats = new Map();

/** One of `Intl`'s for the page's language, kept: to make one takes far longer than to use it. */
export function formatOf(Kind, options) {
  const name = `${Kind.name} ${language} ${JSON.stringify(options)}`;
  if (!formats.has(name)) formats.set(name, new Kind(language, options));
  return formats.get(name);
}

const format = (ts, options) => formatOf(Intl.DateTimeFormat, options).format(ts);

export const startOfDay = (ts) => new Date(ts).setHours(0, 0, 0, 0);

export const clock = (ts) => format(ts, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });

/** Today, yesterday or the date. */
export function dayName(ts) {
  const days = Math.round((startOfDay(Date.now()) - startOfDay(ts)) / 86_400_000);
  if (days === 0) return t("today");
  if (days === 1) return t("yesterday");
  const sameYear = new Date(ts).getFullYear() === new Date().getFullYear();
  return format(ts, { month: "short", day: "numeric", ...(!sameYear && { year: "numeric" }) });
}

/** The time of today, the name of another day. */
export const shortTime = (ts) => (ts >= startOfDay(Date.now()) ? clock(ts) : dayName(ts));

/** Day and time. */
export const fullTime = (ts) => format(ts, { dateStyle: "medium", timeStyle: "short" });

/** `1.4 MB`. */
export function fileSize(bytes) {
  const units = ["byte", "kilobyte", "megabyte", "gigabyte"];
  let place = 0;
  let size = bytes;
  for (; size >= 1000 && place < 3; place++) size /= 1000;
  const options = { style: "unit", unit: units[place], unitDisplay: place ? "short" : "long" };
  const digits = { maximumFractionDigits: size < 10 && place ? 1 : 0 };
  return formatOf(Intl.NumberFormat, { ...options, ...digits }).format(size);
}

/** `1:05`. */
export function playTime(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

/** How long to wait, in words. */
export function waitTime(seconds) {
  if (seconds < 90) return t("seconds", { n: Math.max(1, Math.ceil(seconds)) });
  return t("minutes", { n: Math.ceil(seconds / 60) });
}

/** A failed call in words (`ApiError`, `Refusal`, `WidgetError`). Throws what is a bug of ours. */
export function errorText(error) {
  if (error.key) return t(error.key);
  if (error.code !== undefined && error.status === undefined) return refusalText(error.reason);
  if (error.status === undefined) throw error;
  if (error.status === 0) return t("errorNetwork");
  if (error.status === 429) return t("errorWait", { wait: waitTime(error.retryAfter ?? 60) });
  if (error.status === 503) return t("errorBusy");
  if (hasText(`reason.${error.reason}`)) return t(`reason.${error.reason}`);
  const [field] = Object.entries(error.errors).map(([name, text]) => `${name}: ${text}`);
  return t("errorOther", { detail: field || error.detail || error.message });
}

/** Why a message was refused. */
export function refusalText(slug) {
  return hasText(`reason.${slug}`) ? t(`reason.${slug}`) : t("reason.other", { slug });
}

const ATTACHMENT = { 2: "article", 3: "voice", 4: "picture", 5: "packet", 6: "sticker", 7: "link" };
Object.assign(ATTACHMENT, { 8: "video", 9: "contactCard", 10: "file" });

/** What a list, a quote or a screen reader says of a message, in one line. */
export function summary({ media = 1, content = "", memo = "", recalled = false }) {
  if (recalled) return t("recalledMessage");
  if (media === 1 || (media === 6 && content)) return content.replace(/\s+/g, " ");
  const kind = t(`kind.${ATTACHMENT[media] ?? "other"}`);
  const text = media === 10 ? memo || content : content || memo;
  return `${t("kind", { kind })} ${text.replace(/\s+/g, " ")}`.trim();
}

/** What to call somebody who is no more: see `deleted` of a user. */
export const nameOfUser = (user) =>
  user.deleted ? t("deletedAccount") : user.nickname || user.username || String(user.id);

// What of the wire protocol all parts share.

export const SINGLE = 10;
export const GROUP = 11;
export const VOID = 9;
export const RECALL = 14;
export const EDIT = 15;
export const REACTION = 16;
/** Code points that one message's text may have. */
export const CONTENT_CHARS = 20_000;

/** What a message is made of, as far as its sender says it. */
export const CONTENT = ["media", "content", "pic", "url", "memo", "amount", "ref", "at"];

export const keyOf = (chat, dstid) => `${chat}/${dstid}`;
export const isMessage = ({ cmd }) => cmd === SINGLE || cmd === GROUP;
export const isAct = ({ cmd }) => cmd >= RECALL && cmd <= REACTION;
/** Whether a frame has a seq of its own. */
export const isEntry = (frame) => isMessage(frame) || isAct(frame) || frame.cmd === VOID;

/** Where a frame belongs, for the user `me`: a 1:1 conversation is named by the other one. */
export function placeOf({ cmd, chat, userid, dstid }, me) {
  const kind = isMessage({ cmd }) ? cmd : chat;
  return { chat: kind, dstid: kind === SINGLE && dstid === me && userid ? userid : dstid };
}

/** `text` as the server takes it: LF line ends, nothing that XML cannot carry. */
export function cleanText(text) {
  return text
    .replace(/\r\n?/g, "\n")
    .replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g, "")
    .replace(/\p{Surrogate}/gu, "\ufffd");
}

/** 32 characters nobody makes twice: a message's cid, a tab's name. */
export function freshId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** The fields of `from` that are there, by name. */
export function pick(from, names) {
  const found = {};
  for (const name of names) if (from[name] !== undefined) found[name] = from[name];
  return found;
}

// What recalls, edits and reactions do to the messages that are here. A changed message is another
// object, so that whoever draws it sees by `===` whether to draw it anew.

import { EDIT, REACTION, RECALL, isMessage, pick } from "./protocol.js";

/** What a recall leaves of a message. */
const LEFT = ["id", "userid", "cmd", "dstid", "cid", "seq", "ts"];

function without(entry, name) {
  const { [name]: _, ...rest } = entry;
  return rest;
}

function reacted(reactions = {}, { userid, content }) {
  const left = {};
  for (const [text, users] of Object.entries(reactions)) {
    const others = users.filter((user) => user !== userid);
    if (others.length) left[text] = others;
  }
  if (content) left[content] = [...(left[content] ?? []), userid];
  return left;
}

/** `entry` after `act`: itself, if the act does nothing to it. Again is no change. */
export function changed(entry, act) {
  if (entry.cmd === EDIT && act.cmd === RECALL && entry.ref === act.ref) {
    return without(entry, "content");
  }
  if (entry.id !== act.ref || !isMessage(entry) || entry.recalled) return entry;
  if (act.cmd === RECALL) return { ...pick(entry, LEFT), recalled: true };
  if (act.cmd === EDIT) {
    const edited = { ...entry, content: act.content, edited: act.ts };
    return act.content ? edited : without(edited, "content");
  }
  if (act.cmd !== REACTION) return entry;
  const reactions = reacted(entry.reactions, act);
  if (Object.keys(reactions).length) return { ...entry, reactions };
  return without(entry, "reactions");
}

/** Does `act` to ascending entries. Ids grow with seqs, so those before the message are not met. */
export function applyAct(entries, act) {
  for (let place = entries.length - 1; place >= 0; place--) {
    if (entries[place].id < act.ref) return;
    entries[place] = changed(entries[place], act);
  }
}

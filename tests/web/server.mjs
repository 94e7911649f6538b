// A server small enough to be read: the logs of one user, ME, and whoever is connected as ME.

import { ANN, ME, http } from "./support.mjs";

export const GROUP_ID = 20000;

/** What `entry` is now, after all that was done to it up to the log's end. */
function present(entry, log) {
  const acts = log.filter(({ ref, cmd }) => ref === entry.id && cmd >= 14);
  const last = (cmd) => acts.findLast((act) => act.cmd === cmd);
  if (entry.cmd === 15) {
    const isGone = log.some(({ cmd, ref }) => cmd === 14 && ref === entry.ref);
    const { content, ...rest } = entry;
    return isGone ? rest : entry;
  }
  if (entry.cmd > 11) return entry;
  if (last(14)) {
    const { id, userid, cmd, dstid, cid, seq, ts } = entry;
    return { id, userid, cmd, dstid, ...(cid && { cid }), seq, ts, recalled: true };
  }
  const now = { ...entry };
  if (last(15)) Object.assign(now, { content: last(15).content, edited: last(15).ts });
  const reactions = {};
  for (const act of acts) {
    if (act.cmd !== 16) continue;
    const isLast = acts.findLast((one) => one.cmd === 16 && one.userid === act.userid) === act;
    if (isLast && act.content) (reactions[act.content] ??= []).push(act.userid);
  }
  return Object.keys(reactions).length ? { ...now, reactions } : now;
}

export class Server {
  logs = new Map();
  read = new Map(); // key → ME's pointer
  sockets = new Set();
  received = [];
  #ids = 5000;
  #now = 1000;
  /** Gives the frames that a socket gets in place of one of another person's entries. */
  mangle = (entry) => [entry];
  /** Gives a refusal of an entry, or null. */
  refuse = () => null;
  /** Whether frames to and from clients wait for `flush`. */
  isSlow = false;

  constructor() {
    const server = this;
    this.http = http({
      "POST /api/ticket": { ticket: "t" },
    });
    this.WebSocket = class {
      waiting = []; // of both directions, in order
      constructor() {
        setImmediate(() => {
          if (this.isClosed) return;
          server.sockets.add(this);
          this.onopen?.();
        });
      }
      send(text) {
        this.#pass(() => server.handle(this, JSON.parse(text)));
      }
      close() {
        this.isClosed = true;
        server.sockets.delete(this);
      }
      give(frame) {
        this.#pass(() => this.onmessage?.({ data: JSON.stringify(frame) }));
      }
      #pass(task) {
        if (server.isSlow || this.waiting.length) this.waiting.push(task);
        else queueMicrotask(() => this.isClosed || task());
      }
    };
  }

  /** Lets `count` waiting frames through. */
  flush(count = Infinity) {
    for (const socket of this.sockets) {
      for (let i = 0; i < count && socket.waiting.length && !socket.isClosed; i++) {
        socket.waiting.shift()();
      }
    }
  }

  /** Closes all connections; what was on the way is lost. */
  cut(code = 1006) {
    for (const socket of [...this.sockets]) {
      socket.close();
      socket.waiting.length = 0;
      socket.onclose?.({ code });
    }
  }

  log(key) {
    if (!this.logs.has(key)) this.logs.set(key, []);
    return this.logs.get(key);
  }

  /** Everything, in its present state. */
  state(key) {
    return this.log(key).map((entry) => present(entry, this.log(key)));
  }

  unread(key) {
    const read = this.read.get(key) ?? 0;
    const isUnread = ({ cmd, userid, seq, recalled }) =>
      (cmd === 10 || cmd === 11) && userid !== ME && seq > read && !recalled;
    return this.state(key).filter(isUnread).length;
  }

  /** Somebody's entry: stored, and given to all connections but `origin`. */
  say(key, fields, origin) {
    const [chat, dstid] = key.split("/").map(Number);
    const log = this.log(key);
    const userid = fields.userid ?? ANN;
    const isMessage = fields.cmd === undefined || fields.cmd <= 11;
    const entry = {
      ...{ id: ++this.#ids, userid, cmd: chat, dstid: chat === 11 || userid === ME ? dstid : ME },
      ...(isMessage ? { media: 1 } : { chat }),
      ...fields,
      ...{ seq: log.length + 1, ts: ++this.#now },
    };
    log.push(entry);
    for (const socket of this.sockets) {
      if (socket === origin) continue;
      for (const frame of this.mangle(entry)) socket.give(frame);
    }
    return entry;
  }

  handle(socket, frame) {
    this.received.push(frame);
    const { cmd, rid, cid, dstid } = frame;
    const key = `${cmd === 10 || cmd === 11 ? cmd : frame.chat}/${dstid}`;
    if (cmd === 0) socket.give({ cmd: 0, ts: this.#now });
    else if (cmd === 30) socket.give({ cmd, rid, conversations: this.rows(), more: false });
    else if (cmd === 31) socket.give({ cmd, rid, ...this.page(key, frame) });
    else if (cmd === 12 && frame.state === "read") {
      this.read.set(key, Math.max(this.read.get(key) ?? 0, frame.seq));
    } else if (cid) {
      const refusal = this.refuse(frame);
      if (refusal) {
        socket.give({ cmd: 2, cid, ...refusal });
        return;
      }
      const known = this.log(key).find((one) => one.cid === cid);
      const { id, seq, ts } = known ?? this.say(key, { ...frame, userid: ME }, socket);
      socket.give({ cmd: 1, cid, id, seq, ts, ...(known && { dup: true }) });
    }
  }

  rows() {
    const rows = [...this.logs].filter(([, log]) => log.length).map(([key, log]) => {
      const [chat, dstid] = key.split("/").map(Number);
      const last = this.state(key).findLast(({ cmd }) => cmd === 10 || cmd === 11);
      return {
        ...{ chat, dstid, name: `name of ${dstid}`, avatar: "", seq: log.length, last },
        ...{ read: this.read.get(key) ?? 0, unread: this.unread(key), mentioned: false },
        ...{ pinned: false, muted: false, archived: false, draft: "" },
      };
    });
    return rows.sort((one, other) => other.last.ts - one.last.ts);
  }

  page(key, { after, before = Infinity, limit = 50 }) {
    const all = this.state(key);
    if (after !== undefined) {
      const behind = all.filter(({ seq }) => seq > after);
      return { messages: behind.slice(0, limit), more: behind.length > limit };
    }
    const older = all.filter(({ seq }) => seq < before);
    return { messages: older.slice(-limit), more: older.length > limit };
  }
}

/** Numbers that a seed gives again: `next(n)` is a whole one below `n`. */
export function dice(seed) {
  let state = seed * 2654435761 + 1;
  const next = (sides) => {
    state = (Math.imul(state ^ (state >>> 15), 2246822519) + 3266489917) >>> 0;
    return state % sides;
  };
  next(2);
  return next;
}

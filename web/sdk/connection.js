// One user's WebSocket: opened with a ticket, kept alive, opened again when it is lost.

const SILENCE_MS = 30_000; // of our own, then a heartbeat; the server closes after 75 s
const ANSWER_MS = 15_000; // the peer is taken to be gone when a heartbeat gets nothing for so long
const QUESTION_MS = 30_000;
const RETRY_CAP_MS = 30_000;
const RESTART_MS = 5_000;
const STEADY_MS = 10_000; // a connection that lived so long was a good one

const CLOSED_BY_US = 1000;
const RESTART = 1012;
const SESSION_ENDED = 4401;
const DISABLED = 4403;
const REPLACED = 4409;

/** A frame that was refused (cmd 2), or a question that got no answer (`code` 0). */
export class Refusal extends Error {
  constructor({ code = 0, reason = "no-answer", detail = "", retry_after = null } = {}) {
    super(detail || reason);
    this.code = code;
    this.reason = reason;
    this.retryAfter = retry_after;
  }

  /** Whether the same may succeed later. */
  get passes() {
    return this.code === 429 || this.code === 503;
  }
}

/**
 * States: `stopped`, `connecting`, `open`, `waiting` (to connect again at `retryAt`), `replaced`
 * (by a newer connection of this user; `takeOver()` comes back).
 *
 * `onState()`: the state has changed. `onFrame(frame)`: something came that answers no question.
 */
export class Connection {
  #session;
  #WebSocket;
  #random;
  #onState;
  #onFrame;
  #socket = null;
  #timers = {};
  #failures = 0;
  #openSince = 0;
  #questions = new Map();
  #lastRid = 0;

  constructor({ session, WebSocket = globalThis.WebSocket, random, onState, onFrame }) {
    this.#session = session;
    this.#WebSocket = WebSocket;
    this.#random = random;
    this.#onState = onState;
    this.#onFrame = onFrame;
    this.state = "stopped";
    this.retryAt = 0;
  }

  start() {
    if (this.state === "stopped") this.#connect();
  }

  /** Begins as a connection that gave way. */
  startReplaced() {
    this.#setState("replaced");
  }

  stop() {
    this.#drop();
    this.#setState("stopped");
  }

  /** Connects at once, where it would have waited. */
  retryNow() {
    if (this.state === "waiting") this.#connect();
  }

  /** Comes back after another connection of this user took this one's place. */
  takeOver() {
    if (this.state === "replaced") this.#connect();
  }

  /** Whether the other end is there shows soon. */
  check() {
    if (this.state === "open") this.#heartbeat(ANSWER_MS / 3);
  }

  send(frame) {
    this.#socket.send(JSON.stringify(frame));
    const silence = SILENCE_MS * (0.9 + 0.2 * this.#random());
    this.#after("silence", silence, () => this.#heartbeat(ANSWER_MS));
  }

  /** Sends a question (cmd 30, 31); gives its answer, throws `Refusal`. */
  ask(frame) {
    const rid = String(++this.#lastRid);
    return new Promise((resolve, reject) => {
      if (this.state !== "open") throw new Refusal();
      const timer = setTimeout(() => settle(reject)(new Refusal()), QUESTION_MS);
      const settle = (done) => (value) => {
        clearTimeout(timer);
        this.#questions.delete(rid);
        done(value);
      };
      this.#questions.set(rid, { resolve: settle(resolve), reject: settle(reject) });
      this.send({ ...frame, rid });
    });
  }

  async #connect() {
    this.#drop();
    const attempt = (this.#socket = {}); // stands for the socket until there is one
    this.#setState("connecting");
    try {
      const { ticket } = await this.#session.request("POST", "/api/ticket");
      if (this.#socket !== attempt) return;
      const base = this.#session.base.replace(/^http/, "ws");
      const { id } = this.#session.user;
      this.#open(`${base}/chat?id=${id}&token=${encodeURIComponent(ticket)}`);
    } catch (error) {
      if (this.#socket !== attempt) return;
      if (error.status === 401) this.stop();
      else this.#retryLater(this.#backOff() + (error.retryAfter ?? 0) * 1000);
    }
  }

  #open(url) {
    const socket = new this.#WebSocket(url);
    this.#socket = socket;
    this.#after("answer", ANSWER_MS, () => this.#lost(0));
    socket.onopen = () => this.#opened();
    socket.onmessage = (event) => this.#handle(JSON.parse(event.data));
    socket.onclose = (event) => this.#lost(event.code);
    socket.onerror = () => {}; // its close event follows
  }

  #opened() {
    this.#openSince = Date.now();
    this.#after("answer", 0, null);
    this.#after("silence", SILENCE_MS, () => this.#heartbeat(ANSWER_MS));
    this.#setState("open");
  }

  #handle(frame) {
    this.#after("answer", 0, null);
    const question = this.#questions.get(frame.rid);
    if (!question) this.#onFrame(frame);
    else if (frame.cmd === 2) question.reject(new Refusal(frame));
    else question.resolve(frame);
  }

  #heartbeat(patience) {
    this.send({ cmd: 0 });
    this.#after("answer", patience, () => this.#lost(0));
  }

  #lost(code) {
    if (this.state === "open" && Date.now() - this.#openSince > STEADY_MS) this.#failures = 0;
    this.#drop();
    if (code === SESSION_ENDED || code === DISABLED) {
      this.#setState("stopped");
      this.#session.end(false);
    } else if (code === REPLACED) {
      this.#setState("replaced");
    } else {
      this.#retryLater(code === RESTART ? this.#random() * RESTART_MS : this.#backOff());
    }
  }

  /** Lets go of the connection, if there is one. */
  #drop() {
    for (const name of Object.keys(this.#timers)) this.#after(name, 0, null);
    const socket = this.#socket;
    this.#socket = null;
    if (socket?.close) {
      // Not by its close event: for a dead peer that comes very late.
      socket.onopen = socket.onmessage = socket.onclose = null;
      socket.close(CLOSED_BY_US);
    }
    for (const { reject } of [...this.#questions.values()]) reject(new Refusal());
  }

  /** Exponential with full jitter, so that a server's clients do not come back all at once. */
  #backOff() {
    return this.#random() * Math.min(RETRY_CAP_MS, 1000 * 2 ** this.#failures++);
  }

  #retryLater(delay) {
    this.retryAt = Date.now() + delay;
    this.#setState("waiting");
    this.#after("retry", delay, () => this.#connect());
  }

  /** Sets the one timer of this name anew; it ends with the connection. `task` null: stops it. */
  #after(name, delay, task) {
    clearTimeout(this.#timers[name]);
    if (task) this.#timers[name] = setTimeout(task, delay);
    else delete this.#timers[name];
  }

  #setState(state) {
    this.state = state;
    this.#onState();
  }
}

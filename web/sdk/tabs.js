// One connection for all tabs of a browser. The leader is the tab that holds a lock; it alone has
// the socket. The others send and ask through it over a channel, and hear every frame that it
// hears. A leader that does not answer (phones freeze pages) is robbed of the lock.

import { Connection, Refusal } from "./connection.js";
import { freshId } from "./protocol.js";

const LEADER_MS = 4000; // without a word, and the leader is taken to be frozen or gone
const LATE_MS = 2000; // a timer that is so late says that we were frozen ourselves
const LOOK_MS = 20_000; // between two looks at whether the leader is there
const QUESTION_MS = 35_000; // longer than the leader's own patience

/**
 * `on`, what the tab does with it:
 * - `state()`: `state`, `retryAt` or `epoch` has changed; an epoch is one connection's life;
 * - `frame(frame)`: came from the server and answers no question, in every tab the same;
 * - `completed(frame)`, only in the leader: the frame as all tabs, its own too, are to get it;
 * - `post(message)`: what another tab told with `post`;
 * - `lead()`: this tab becomes the leader, and connects when this resolves;
 * - `asked(cids)`: gives those of a new tab's cids that the leader does not know.
 *
 * States are those of `Connection`.
 */
export class Link {
  #on;
  #locks;
  #channel = null;
  #connection;
  #lockName;
  #tab = freshId();
  #leader = "";
  #turn = 0; // of our requests for the lock; an older one counts no more
  #queued = null;
  #release = null;
  #doubt = null;
  #looking = null;
  #opened = 0;
  #questions = new Map();
  #lastRid = 0;

  constructor({ session, WebSocket, random, shared, on }) {
    this.#on = on;
    this.#locks = globalThis.navigator?.locks;
    this.#lockName = `tandem:${session.user?.id}:leader`;
    this.isShared = shared;
    this.leads = false;
    this.state = "stopped";
    this.retryAt = 0;
    this.epoch = "";
    this.#connection = new Connection({
      ...{ session, WebSocket, random },
      onState: () => this.leads && this.#connectionChanged(),
      onFrame: (frame) => this.#received(frame),
    });
  }

  /** Hears the other tabs from now on. */
  join() {
    if (!this.isShared || this.#channel) return;
    this.#channel = new BroadcastChannel(this.#lockName);
    this.#channel.unref?.(); // Node's: no reason to go on running
    this.#channel.onmessage = ({ data }) => this.#heard(data);
  }

  /** Becomes the leader if there is none, else asks the leader which of `cids` it has not. */
  start(cids = []) {
    this.#setState("connecting", 0, "");
    for (const name of ["online", "offline", "pageshow"]) {
      globalThis.addEventListener?.(name, this.#awake);
    }
    globalThis.document?.addEventListener("visibilitychange", this.#awake);
    globalThis.document?.addEventListener("resume", this.#awake);
    if (!this.isShared) {
      this.#lead(++this.#turn);
      return;
    }
    this.#queue();
    this.#tell({ hello: cids });
    this.#watch();
    this.#looking = setInterval(() => this.#watch(), LOOK_MS);
    this.#looking.unref?.();
  }

  stop() {
    for (const name of ["online", "offline", "pageshow"]) {
      globalThis.removeEventListener?.(name, this.#awake);
    }
    globalThis.document?.removeEventListener("visibilitychange", this.#awake);
    globalThis.document?.removeEventListener("resume", this.#awake);
    clearInterval(this.#looking);
    this.#trust();
    this.#turn++;
    this.#queued?.abort();
    this.#rejectAll();
    const led = this.leads;
    this.leads = false;
    if (led) this.#connection.stop();
    this.#release?.();
    this.#channel?.close();
    this.#channel = null;
    this.#setState("stopped", 0, "");
  }

  retryNow() {
    if (this.leads) this.#connection.retryNow();
    else this.#tell({ wish: "retryNow" });
  }

  takeOver() {
    if (this.leads) this.#connection.takeOver();
    else this.#tell({ wish: "takeOver" });
  }

  /** Sends a frame; false: it could not be sent, and is not kept. */
  send(frame) {
    if (this.state !== "open") return false;
    if (this.leads) this.#connection.send(frame);
    else this.#tell({ frame });
    return true;
  }

  /** Sends a question (cmd 30, 31); gives its answer, throws `Refusal`. */
  ask(frame) {
    if (this.leads) return this.#connection.ask(frame);
    return new Promise((resolve, reject) => {
      if (this.state !== "open") throw new Refusal();
      const rid = ++this.#lastRid;
      const timer = setTimeout(() => this.#answered(rid, null), QUESTION_MS);
      this.#questions.set(rid, { resolve, reject, timer });
      this.#tell({ question: frame, rid });
      this.#watch();
    });
  }

  /** Tells the other tabs something of the upper layers. */
  post(message) {
    this.#tell({ post: message });
  }

  #tell(fields) {
    this.#channel?.postMessage({ from: this.#tab, ...fields });
  }

  // As the leader

  async #lead(turn) {
    if (turn !== this.#turn) return;
    const wasReplaced = this.state === "replaced";
    this.leads = true;
    this.#leader = this.#tab;
    this.#trust();
    this.#rejectAll();
    const released = new Promise((release) => (this.#release = release));
    this.#setState(wasReplaced ? "replaced" : "connecting", 0, "");
    await this.#on.lead();
    if (turn === this.#turn && this.leads) {
      if (wasReplaced) this.#connection.startReplaced();
      else this.#connection.start();
    }
    await released;
  }

  #connectionChanged() {
    const { state, retryAt } = this.#connection;
    const epoch = state === "open" ? `${this.#tab}:${++this.#opened}` : "";
    this.#setState(state, retryAt, epoch);
  }

  #received(frame) {
    const whole = this.#on.completed(frame);
    this.#tell({ heard: whole });
    this.#on.frame(whole);
  }

  #announce(gone) {
    const { state, retryAt, epoch } = this;
    this.#tell({ leader: { state, retryAt, epoch }, gone });
  }

  /** Something that a follower wants. */
  #serve({ from, hello, question, rid, frame, wish }) {
    if (question) {
      const answer = (fields) => this.#tell({ to: from, rid, ...fields });
      this.#connection.ask(question).then(
        (found) => answer({ answer: found }),
        ({ code, reason, message, retryAfter }) =>
          answer({ refusal: { code, reason, detail: message, retry_after: retryAfter } }),
      );
    } else if (frame && this.state === "open") {
      this.#connection.send(frame);
    } else if (wish) {
      this.#connection[wish]();
    }
    this.#announce(hello && { tab: from, cids: this.#on.asked(hello) });
  }

  /** Another tab has taken the lock from us. */
  #robbed() {
    this.leads = false;
    this.#connection.stop();
    this.#setState("connecting", 0, "");
    this.#queue();
    this.#watch();
  }

  // As a follower

  #queue() {
    this.#queued = new AbortController();
    this.#request({ signal: this.#queued.signal });
  }

  async #request(options) {
    const turn = ++this.#turn;
    try {
      await this.#locks.request(this.#lockName, options, () => this.#lead(turn));
    } catch (error) {
      if (turn !== this.#turn) return;
      if (error.name !== "AbortError") this.#lead(turn); // no locks for this page: it does without
      else if (this.leads) this.#robbed();
    }
  }

  #rob() {
    this.#queued.abort();
    this.#request({ steal: true });
  }

  /** Wants a word from the leader, whatever it is, or takes its place. */
  #watch() {
    if (this.leads || this.#doubt || !this.#channel) return;
    this.#tell({});
    const due = Date.now() + LEADER_MS;
    this.#doubt = setTimeout(() => {
      this.#doubt = null;
      if (Date.now() > due + LATE_MS) this.#watch();
      else this.#rob();
    }, LEADER_MS);
    this.#doubt.unref?.();
  }

  #trust() {
    clearTimeout(this.#doubt);
    this.#doubt = null;
  }

  #heard({ from, post, heard, leader, gone, to, ...rest }) {
    if (post) {
      this.#on.post(post);
    } else if (heard || leader || to) {
      if (this.leads) return; // from one that we robbed, or that has just robbed us
      this.#trust();
      if (to === this.#tab) this.#answered(rest.rid, rest);
      if (leader) this.#follow(from, leader, gone);
      if (heard) this.#on.frame(heard);
    } else if (this.leads) {
      this.#serve({ from, ...rest });
    }
  }

  #follow(from, { state, retryAt, epoch }, gone) {
    if (from !== this.#leader || epoch !== this.epoch) this.#rejectAll();
    this.#leader = from;
    if (gone?.tab === this.#tab) this.#on.post({ gone: gone.cids });
    this.#setState(state, retryAt, epoch);
  }

  #answered(rid, told) {
    const question = this.#questions.get(rid);
    if (!question) return;
    this.#questions.delete(rid);
    clearTimeout(question.timer);
    if (told?.answer) question.resolve(told.answer);
    else question.reject(new Refusal(told?.refusal));
  }

  #rejectAll() {
    for (const rid of [...this.#questions.keys()]) this.#answered(rid, null);
  }

  /** The network came or went, or the page is looked at again: find out what is true now. */
  #awake = () => {
    if (globalThis.document?.visibilityState === "hidden") return;
    this.retryNow();
    if (this.leads) this.#connection.check();
    else this.#watch();
  };

  #setState(state, retryAt, epoch) {
    const isSame = state === this.state && retryAt === this.retryAt && epoch === this.epoch;
    Object.assign(this, { state, retryAt, epoch });
    if (isSame) return;
    if (this.leads) this.#announce();
    this.#on.state();
  }
}

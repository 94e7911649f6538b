// What tells of messages that nobody is looking at: the title, the icon, a notification, a sound.

import { GROUP } from "../sdk/tandem.js";
import { button, byId, coalesced, el, iconButton, loadStyle } from "./dom.js";
import { summary } from "./format.js";
import { icon } from "./icons.js";
import { t } from "./i18n.js";

const LEADER = "tandem:notifier"; // the lock of the one tab that notifies
const WATCHING = "tandem:watching:"; // the locks of tabs in which a conversation is looked at
const OPEN = /^#\/(1[01]\/\d+)/;
const PREVIEW_CHARS = 200;
const NAMES_MS = 2000; // for the names of who writes, and of where
const QUIET_MS = 2000; // a busy group rings no more often than this

/** Whether the browser notifies: `granted`, `denied`, `default` (not asked yet), or `none`. */
export const permission = () => globalThis.Notification?.permission ?? "none";

/** Asks for leave to notify, by a click only; gives what `permission` gives. */
export async function askPermission(preferences) {
  const answer = await Notification.requestPermission().catch(() => "default");
  if (answer !== "default") preferences.notifications = answer === "granted";
  return answer;
}

/** Works by itself. Of several tabs one notifies, if no tab shows the conversation. */
export class Notifier {
  #app;
  #title = document.title;
  #favicon = document.querySelector('link[rel="icon"]');
  #plainIcon = this.#favicon?.href;
  #notes = new Map(); // conversation's key → seq of the message that a notification tells of
  #turn = Promise.resolve();
  #isLeader = !navigator.locks;
  #watched = null;
  #stopWatching = () => {};
  #rangAt = 0;
  #bar = null;
  #mayOffer = true; // once: to look up the permission takes 2 ms, and nobody likes to be asked twice
  #count = -1;

  constructor(app) {
    this.#app = app;
    const { client } = app;
    navigator.locks?.request(LEADER, () => {
      this.#isLeader = true;
      return new Promise(() => {}); // until the tab is gone
    });
    client.on("message", ({ conversation, message }) => this.#hear(conversation, message));
    client.on(
      "conversations",
      coalesced(() => this.#update()),
    );
    client.on("ended", () => this.#mark(0));
    navigator.serviceWorker?.addEventListener("message", ({ data }) => app.go(data.key, data.seq));
    this.#withWorker(async (worker) => {
      for (const { data } of await worker.getNotifications()) this.#notes.set(data.key, data.seq);
      this.#update();
    });
    addEventListener("hashchange", () => this.#watch());
    document.addEventListener("visibilitychange", () => this.#watch());
    document.addEventListener("language", () => this.#bar && this.#offer());
    app.preferences.addEventListener("change", () => this.#dismiss());
    this.#watch();
    this.#update();
  }

  /** Says to the other tabs which conversation is looked at in this one. */
  #watch() {
    const [, key = null] = (!document.hidden && OPEN.exec(location.hash)) || [];
    if (key === this.#watched) return;
    this.#watched = key;
    this.#stopWatching();
    const ended = new Promise((done) => (this.#stopWatching = done));
    if (key) navigator.locks?.request(WATCHING + key, { mode: "shared" }, () => ended);
  }

  async #isLookedAt(key) {
    if (key === this.#watched) return true;
    const { held = [] } = (await navigator.locks?.query()) ?? {};
    return held.some(({ name }) => name === WATCHING + key);
  }

  async #hear(conversation, message) {
    const { client, preferences } = this.#app;
    const isMention = message.at?.some((id) => id === 0 || id === client.user.id);
    if (conversation.muted && !isMention) return;
    if (this.#mayOffer && !preferences.hasChosenNotifications) this.#offer();
    if (!this.#isLeader || (await this.#isLookedAt(conversation.key))) return;
    if (conversation.read >= message.seq) return;
    if (preferences.sound && Date.now() - this.#rangAt > QUIET_MS) {
      this.#rangAt = Date.now();
      ring();
    }
    if (!preferences.notifications || permission() !== "granted") return;
    await this.#introduced(conversation, message.userid);
    if (conversation.read < message.seq) this.#show(conversation, message);
  }

  /** Resolves when the names are known that a notification tells, or will not be soon. */
  async #introduced(conversation, userid) {
    const { client, nameOf } = this.#app;
    const isKnown = () =>
      client.person(userid) && nameOf(conversation) !== String(conversation.dstid);
    if (isKnown()) return;
    await new Promise((done) => {
      const ends = ["people", "conversations"].map((type) => client.on(type, look));
      const timer = setTimeout(end, NAMES_MS);
      function look() {
        if (isKnown()) end();
      }
      function end() {
        clearTimeout(timer);
        for (const stop of ends) stop();
        done();
      }
    });
  }

  #show(conversation, { userid, seq, ...message }) {
    const { client, nameOf } = this.#app;
    const { key, chat } = conversation;
    const title = nameOf(conversation);
    const text = (chat === GROUP ? `${client.nameOf(userid)}: ` : "") + summary(message);
    const body = [...text].slice(0, PREVIEW_CHARS).join("");
    // One for each conversation: the next message takes the place of the last one's.
    const options = { body, tag: key, renotify: true, silent: true, data: { key, seq } };
    this.#notes.set(key, seq);
    this.#withWorker((worker) => worker.showNotification(title, options));
  }

  #takeBack(key) {
    this.#notes.delete(key);
    this.#withWorker(async (worker) => {
      for (const note of await worker.getNotifications({ tag: key })) note.close();
    });
  }

  /** In turn. Phones show notifications of a worker only; it is told of clicks, too (sw.js). */
  #withWorker(task) {
    const next = async () => task(await navigator.serviceWorker.ready);
    this.#turn = this.#turn.then(next).catch(() => {}); // the browser does not let us
  }

  /** Shows how many messages are unread, and takes back what told of those that have been read. */
  #update() {
    const { client } = this.#app;
    let count = 0;
    for (const { muted, mentioned, unread } of client.conversations) {
      if (!muted) count += unread;
      else if (mentioned && unread) count += 1;
    }
    this.#mark(count);
    if (!client.synced) return;
    for (const [key, seq] of this.#notes) {
      if ((client.conversation(key)?.read ?? seq) >= seq) this.#takeBack(key);
    }
  }

  #mark(count) {
    if (count === this.#count) return;
    this.#count = count;
    document.title = count ? `(${count > 99 ? "99+" : count}) ${this.#title}` : this.#title;
    const marked = new URL("../icon-unread.svg", import.meta.url).href;
    const wanted = count ? marked : this.#plainIcon;
    if (this.#favicon && this.#favicon.href !== wanted) this.#favicon.href = wanted;
    const done = count ? navigator.setAppBadge?.(count) : navigator.clearAppBadge?.();
    done?.catch(() => {}); // only installed pages have one
  }

  /** A line below the list that offers notifications, once somebody has written. */
  async #offer() {
    this.#mayOffer = false;
    if (permission() !== "default") return;
    const { preferences } = this.#app;
    await loadStyle("account");
    const yes = button("notify.allow", { className: "small" });
    yes.addEventListener("click", () => askPermission(preferences).then(() => this.#dismiss()));
    const no = iconButton("x", "notify.no");
    no.addEventListener("click", () => (preferences.notifications = false));
    const text = el("span", { className: "grow" }, t("notify.offer"));
    this.#dismiss();
    this.#bar = el("div", { className: "notify-bar", role: "status" }, icon("bell"), text, yes, no);
    byId("sidebar").append(this.#bar);
  }

  #dismiss() {
    this.#bar?.remove();
    this.#bar = null;
  }
}

/** Two soft notes, where the page may make a sound: browsers want to have been clicked first. */
function ring() {
  if (!navigator.userActivation?.hasBeenActive) return;
  const audio = new AudioContext();
  const volume = new GainNode(audio, { gain: 0 });
  volume.connect(audio.destination);
  const tone = new OscillatorNode(audio, { frequency: 660 });
  tone.connect(volume);
  const start = audio.currentTime + 0.02;
  tone.frequency.setValueAtTime(880, start + 0.11);
  for (const note of [start, start + 0.11]) {
    volume.gain.setValueAtTime(0, note);
    volume.gain.linearRampToValueAtTime(0.07, note + 0.015);
    volume.gain.exponentialRampToValueAtTime(0.001, note + 0.1);
  }
  tone.start(start);
  tone.stop(start + 0.25);
  tone.addEventListener("ended", () => audio.close());
}

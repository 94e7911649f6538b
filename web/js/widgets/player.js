// Playing voice messages: one at a time, by one `Audio` for all of them.

import { el } from "../dom.js";
import { t } from "../i18n.js";
import { icon } from "../icons.js";
import { clockTime, drawWave, peaksOf, waveNode } from "./wave.js";

const SPEEDS = [1, 1.5, 2];
const STEP_S = 5; // for one press of an arrow key
const DECODED_S = 120; // longer ones are not fetched only to draw them
const DECODED_BYTES = 2 * 1024 * 1024;
const REMEMBERED = 200;

let audio = null;
let current = null; // the player that the audio belongs to
let speed = SPEEDS[0];
const decoded = new Map(); // promises of peaks, by url

/**
 * A voice message that can be played.
 * @param {object} voice
 * @param {string} voice.url
 * @param {number} voice.seconds
 * @param {string | number} [voice.id] A new node with the id of what is playing goes on with it.
 * @param {number[]} [voice.peaks] 0 to 100; without them a file of up to two minutes is fetched
 *   when it comes into view, and drawn if that succeeds.
 * @returns {HTMLElement}
 */
export function voicePlayer({ url, seconds, id = url, peaks }) {
  return new Player(url, seconds, id, peaks).node;
}

class Player {
  #seconds;
  #start = el("button", { type: "button", className: "icon voice-start" });
  #track = el("div", { className: "voice-track", role: "slider", tabIndex: 0 });
  #time = el("span", { className: "voice-time" });
  #speed = el("button", { type: "button", className: "voice-speed" });
  #failed = false;

  constructor(url, seconds, id, peaks) {
    this.url = url;
    this.id = id;
    this.#seconds = seconds;
    const parts = [this.#start, this.#track, this.#time, this.#speed];
    this.node = el("div", { className: "voice" }, ...parts);
    this.#track.append(waveNode("wave-all"), waveNode("wave-played"));
    this.#track.setAttribute("aria-label", t("voicePlace"));
    this.#track.setAttribute("aria-valuemin", 0);
    this.#start.addEventListener("click", () => this.#toggle());
    this.#track.addEventListener("click", (event) => this.#click(event));
    this.#track.addEventListener("keydown", (event) => this.#steer(event));
    this.#speed.addEventListener("click", () => {
      speed = SPEEDS[(SPEEDS.indexOf(speed) + 1) % SPEEDS.length];
      audio.playbackRate = speed;
      this.show();
    });
    if (peaks) this.draw(peaks);
    else if (seconds <= DECODED_S) drawWhenSeen(this);
    if (current?.id === id) current = this;
    this.show();
  }

  get #duration() {
    const known = current === this ? audio.duration : NaN; // Infinity, for what a browser recorded
    const wrong = Number.isFinite(known) && Math.abs(known - this.#seconds) >= 1;
    return wrong ? known : this.#seconds;
  }

  /** Shows where it is. */
  show() {
    const mine = current === this;
    const playing = mine && !audio.paused;
    const place = mine ? Math.min(audio.currentTime, this.#duration) : 0;
    const all = clockTime(this.#duration);
    this.#sign(playing ? "pause" : "play", t(playing ? "voicePause" : "voicePlay"));
    this.#time.textContent = mine && (playing || place) ? `${clockTime(place)} / ${all}` : all;
    if (this.#failed) this.#time.textContent = t("voiceUnplayable");
    this.#speed.hidden = !mine || this.#failed;
    this.#speed.textContent = `${speed}×`;
    this.#speed.setAttribute("aria-label", t("voiceSpeed", { speed: `${speed}×` }));
    const part = this.#duration > 0 ? place / this.#duration : 0;
    this.#track.style.setProperty("--played", `${(part * 100).toFixed(2)}%`);
    this.#track.setAttribute("aria-valuemax", Math.round(this.#duration));
    this.#track.setAttribute("aria-valuenow", Math.round(place));
    this.#track.setAttribute("aria-valuetext", t("voiceOf", { now: clockTime(place), all }));
  }

  draw(peaks) {
    for (const wave of this.#track.children) drawWave(wave, peaks);
    this.#track.classList.add("drawn");
  }

  fail() {
    this.#failed = true;
    this.show();
  }

  #sign(name, label) {
    if (this.#start.dataset.sign === name) return;
    this.#start.dataset.sign = name;
    this.#start.setAttribute("aria-label", label);
    this.#start.replaceChildren(icon(name));
  }

  #toggle() {
    if (current === this && !audio.paused) audio.pause();
    else this.#play();
  }

  #play() {
    this.#take();
    audio.play().catch((error) => {
      if (error.name !== "AbortError") this.fail(); // that is: paused, or another one, meanwhile
    });
  }

  /** Makes the audio this one's. */
  #take() {
    if (current === this && !this.#failed) return;
    this.#failed = false;
    audio ??= newAudio();
    const before = current;
    current = this;
    audio.src = this.url;
    audio.playbackRate = speed;
    before?.show();
    this.show();
  }

  #click(event) {
    const { left, width } = this.#track.getBoundingClientRect();
    const part = Math.min(1, Math.max(0, (event.clientX - left) / width));
    this.#seek(part * this.#duration);
    if (audio.paused) this.#play();
  }

  #steer(event) {
    const now = current === this ? audio.currentTime : 0;
    const to = {
      ArrowRight: now + STEP_S,
      ArrowUp: now + STEP_S,
      ArrowLeft: now - STEP_S,
      ArrowDown: now - STEP_S,
      Home: 0,
      End: this.#duration,
    }[event.key];
    if (to !== undefined) this.#seek(to);
    else if (event.key === " " || event.key === "Enter") this.#toggle();
    else return;
    event.preventDefault();
  }

  #seek(place) {
    this.#take();
    audio.currentTime = Math.min(Math.max(0, place), this.#duration);
    this.show();
  }
}

function newAudio() {
  const made = new Audio();
  made.preload = "metadata";
  for (const kind of ["play", "pause", "timeupdate", "seeked", "durationchange"]) {
    made.addEventListener(kind, () => current.show());
  }
  made.addEventListener("ended", () => (made.currentTime = 0));
  made.addEventListener("error", () => current.fail());
  return made;
}

/** Fetches and draws the waveform once the player has come into view. */
function drawWhenSeen(player) {
  seen ??= new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) {
      if (!isIntersecting) continue;
      seen.unobserve(target);
      players.get(target)?.();
    }
  });
  players.set(player.node, async () => {
    const peaks = await wave(player.url);
    if (peaks) player.draw(peaks);
  });
  seen.observe(player.node);
}

let seen = null;
const players = new WeakMap();

function wave(url) {
  if (!decoded.has(url)) {
    if (decoded.size >= REMEMBERED) decoded.delete(decoded.keys().next().value);
    decoded.set(
      url,
      decode(url).catch(() => null), // of another host, broken, too big: then without a waveform
    );
  }
  return decoded.get(url);
}

async function decode(url) {
  const answer = await fetch(url);
  const size = Number(answer.headers.get("Content-Length"));
  if (!answer.ok || size > DECODED_BYTES) {
    await answer.body?.cancel();
    return null;
  }
  const context = new OfflineAudioContext(1, 1, 8000);
  const sound = await context.decodeAudioData(await answer.arrayBuffer());
  return peaksOf(sound.getChannelData(0));
}

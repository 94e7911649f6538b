// Recording a voice message.

import { el, iconButton } from "../dom.js";
import { t } from "../i18n.js";
import { WidgetError } from "./error.js";
import { clockTime, drawWave, peaksOf, waveNode } from "./wave.js";

const LIMIT_S = 300;
const TICK_MS = 100;
const BITS_PER_SECOND = 32_000; // Opus: speech as good as it gets
const TYPES = ["audio/webm;codecs=opus", "audio/ogg;codecs=opus", "audio/mp4"];
const REFUSALS = { NotAllowedError: "voiceRefused", NotFoundError: "voiceNoMicrophone" };
const BAR_PX = 6;

/**
 * One recording. Events: `level`, ten times a second; `ended`, when it stopped by itself, at its
 * limit or because the microphone went away: `stop` then gives what there is.
 */
export class VoiceRecorder extends EventTarget {
  #limit;
  #stream = null;
  #recorder = null;
  #chunks = [];
  #levels = [];
  #context = null;
  #analyser = null;
  #samples = new Float32Array(1024);
  #timer = null;
  #startedAt = 0;
  #endedAt = 0;
  #stopped = null;
  #asked = false; // to end
  #cancelled = false;

  /** @param {{ limit?: number }} [options] `limit` in seconds. */
  constructor({ limit = LIMIT_S } = {}) {
    super();
    this.#limit = limit;
  }

  /**
   * Asks for the microphone and begins. False if it was cancelled meanwhile.
   * @throws {WidgetError} `voiceRefused`, `voiceNoMicrophone`, `voiceUnsupported`, `voiceFailed`.
   */
  async start() {
    const type = window.MediaRecorder && TYPES.find((one) => MediaRecorder.isTypeSupported(one));
    if (!type || !navigator.mediaDevices) throw new WidgetError("voiceUnsupported");
    try {
      this.#stream = await navigator.mediaDevices.getUserMedia({ audio: true });
      if (this.#cancelled) return this.#release();
      const options = { mimeType: type, audioBitsPerSecond: BITS_PER_SECOND };
      this.#recorder = new MediaRecorder(this.#stream, options);
      this.#listen();
      this.#recorder.start();
    } catch (error) {
      this.#release();
      throw new WidgetError(REFUSALS[error.name] ?? "voiceFailed", error);
    }
    this.#startedAt = performance.now();
    this.#timer = setInterval(() => this.#tick(), TICK_MS);
    return true;
  }

  /** Seconds so far. */
  get elapsed() {
    if (!this.#startedAt) return 0;
    return ((this.#endedAt || performance.now()) - this.#startedAt) / 1000;
  }

  /** How loud it was each time, 0 to 1. */
  get levels() {
    return this.#levels;
  }

  /** Ends it: `{ blob, type, seconds, peaks }`; `peaks` are 48 numbers of 0 to 100. */
  async stop() {
    this.#asked = true;
    if (this.#recorder.state !== "inactive") this.#recorder.stop();
    await this.#stopped;
    const [type] = this.#recorder.mimeType.split(";");
    const seconds = Math.round(this.elapsed * 10) / 10;
    return { blob: new Blob(this.#chunks, { type }), type, seconds, peaks: peaksOf(this.#levels) };
  }

  /** Throws it away. */
  cancel() {
    this.#asked = this.#cancelled = true;
    if (this.#recorder?.state === "recording") this.#recorder.stop();
    else this.#release();
  }

  #listen() {
    this.#context = new AudioContext();
    this.#analyser = this.#context.createAnalyser();
    this.#analyser.fftSize = this.#samples.length;
    this.#context.createMediaStreamSource(this.#stream).connect(this.#analyser);
    this.#recorder.addEventListener("dataavailable", ({ data }) => this.#chunks.push(data));
    this.#stopped = new Promise((done) => {
      this.#recorder.addEventListener("stop", () => {
        this.#endedAt = performance.now();
        this.#release();
        done();
        if (!this.#asked) this.dispatchEvent(new Event("ended"));
      });
    });
  }

  #tick() {
    this.#analyser.getFloatTimeDomainData(this.#samples);
    const power = this.#samples.reduce((sum, one) => sum + one * one, 0) / this.#samples.length;
    this.#levels.push(Math.min(1, Math.sqrt(power) * 4)); // speech is about a quarter
    this.dispatchEvent(new Event("level"));
    if (this.elapsed >= this.#limit && this.#recorder.state === "recording") this.#recorder.stop();
  }

  #release() {
    clearInterval(this.#timer);
    for (const track of this.#stream?.getTracks() ?? []) track.stop();
    if (this.#context?.state !== "closed") this.#context?.close();
    return false;
  }
}

/**
 * Records at once, with a bar at the end of `container`: discard, waveform, time, send. Esc
 * discards. What goes wrong is told in the bar.
 * @param {HTMLElement} container
 * @param {{ limit?: number, signal?: AbortSignal }} [options] `limit` in seconds; the signal
 *   discards, when the place is needed for something else.
 * @returns {Promise<{ blob: Blob, type: string, seconds: number, peaks: number[] } | null>} null
 *   when there is nothing to send.
 */
export function recordVoice(container, { limit, signal } = {}) {
  const recorder = new VoiceRecorder({ limit });
  const discard = iconButton("trash-2", "voiceCancel", { className: "icon voice-discard" });
  const send = iconButton("send", "voiceSend", { className: "primary icon" });
  const wave = waveNode("wave-live");
  const time = el("span", { className: "voice-time", role: "timer" }, clockTime(0));
  const note = el("p", { className: "voice-note", role: "status" }, t("voiceAsking"));
  const bar = el("div", { className: "voice-bar", role: "group" }, discard, note);
  bar.setAttribute("aria-label", t("voiceRecording"));
  container.append(bar);
  discard.focus();

  return new Promise((done) => {
    const end = (result) => {
      signal?.removeEventListener("abort", cancel);
      bar.remove();
      done(result);
    };
    const cancel = () => {
      recorder.cancel();
      end(null);
    };
    signal?.addEventListener("abort", cancel);
    discard.addEventListener("click", cancel);
    bar.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      event.stopPropagation();
      cancel();
    });
    send.addEventListener("click", async () => end(await recorder.stop()), { once: true });
    recorder.addEventListener("level", () => {
      const shown = Math.max(1, Math.floor(wave.clientWidth / BAR_PX));
      const last = recorder.levels.slice(-shown).map((level) => level * 100);
      drawWave(wave, [...Array(shown - last.length).fill(0), ...last]);
      time.textContent = clockTime(recorder.elapsed);
    });
    recorder.addEventListener("ended", () => {
      bar.classList.add("ended");
      note.textContent = t("voiceEnded");
      time.before(note);
    });
    recorder.start().then(
      (started) => {
        if (!started) return;
        bar.replaceChildren(discard, el("span", { className: "voice-dot" }), wave, time, send);
        send.focus();
      },
      (error) => {
        if (!(error instanceof WidgetError)) throw error;
        note.textContent = t(error.key);
        note.role = "alert";
        const close = iconButton("x", "close", { className: "icon" });
        close.addEventListener("click", cancel);
        bar.replaceChildren(note, close);
        close.focus();
      },
    );
  });
}

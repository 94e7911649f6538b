// The tray of files that wait to be sent: looked at, captioned, uploaded one after the other.

import { el, iconButton } from "../dom.js";
import { fileSize } from "../format.js";
import { t } from "../i18n.js";
import { icon } from "../icons.js";
import { pickFiles } from "./files.js";

const CAPTION = 1000; // characters

/**
 * A tray of files. Put its `node` into the page; it leaves by itself when all are sent or thrown
 * away. One file is uploaded at a time, in order; one that fails stays, and the others go on.
 * @param {File[]} files
 * @param {object} acts
 * @param {(file: File, options: { onProgress: (part: number) => void, signal: AbortSignal }) =>
 *   Promise<*>} acts.upload
 * @param {(file: File, uploaded: *, caption: string) => void} acts.onSent With what `upload`
 *   gave; the caption goes with the first.
 * @param {() => void} [acts.onClose] It has left.
 * @param {(error: Error) => string} [acts.explain] Why an upload failed, for people.
 * @returns {Tray} Its `node`, `add(files)`, `focus()` for when it is in the page, and `close()`,
 *   which cancels what is under way.
 */
export function attachmentTray(files, acts) {
  const tray = new Tray(acts);
  tray.add(files);
  return tray;
}

class Tray {
  #acts;
  #entries = [];
  #sending = false;
  #closed = false;
  #list = el("ul", { className: "tray-list" });
  #caption = el("input", { maxLength: CAPTION, autocomplete: "off", dir: "auto" });
  #send = el("button", { type: "submit", className: "primary" }, t("traySend"));

  constructor(acts) {
    this.#acts = acts;
    this.#caption.placeholder = t("trayCaption");
    this.#caption.setAttribute("aria-label", t("trayCaption"));
    this.#list.setAttribute("aria-label", t("trayFiles"));
    const add = iconButton("plus", "trayAdd");
    const discard = iconButton("x", "trayDiscard");
    const line = el("div", { className: "tray-line" }, add, this.#caption, this.#send);
    const head = el("div", { className: "tray-head" }, el("p", {}, t("trayFiles")), discard);
    this.node = el("form", { className: "tray" }, head, this.#list, line);
    add.addEventListener("click", async () => this.add(await pickFiles()));
    discard.addEventListener("click", () => this.close());
    this.node.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#sendAll();
    });
    this.node.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || event.isComposing) return;
      event.stopPropagation();
      this.close();
    });
  }

  add(files) {
    for (const file of files) {
      const entry = new TrayEntry(file, {
        remove: () => this.#remove(entry),
        retry: () => {
          entry.wait();
          this.#sendAll();
        },
      });
      this.#entries.push(entry);
      this.#list.append(entry.node);
    }
    if (files.length) this.focus();
  }

  focus() {
    this.#caption.focus();
  }

  close() {
    if (this.#closed) return;
    this.#closed = true;
    for (const entry of this.#entries) entry.end();
    this.node.remove();
    this.#acts.onClose?.();
  }

  #remove(entry) {
    const place = this.#entries.indexOf(entry);
    this.#entries.splice(place, 1);
    entry.end();
    const next = this.#entries[place] ?? this.#entries[place - 1];
    if (!next) this.close();
    else if (!document.activeElement || document.activeElement === document.body) next.focus();
  }

  async #sendAll() {
    for (const entry of this.#entries) entry.wait();
    if (this.#sending) return;
    this.#sending = true;
    for (let entry; (entry = this.#entries.find(({ waiting }) => waiting)); ) {
      if (await entry.upload(this.#acts)) this.#sent(entry);
    }
    this.#sending = false;
  }

  #sent(entry) {
    const caption = this.#caption.value.trim();
    this.#caption.value = "";
    this.#acts.onSent(entry.file, entry.uploaded, caption);
    this.#remove(entry);
  }
}

class TrayEntry {
  #state = "new"; // then waiting, sending, and failed or ended
  #abort = new AbortController();
  #thumb = null; // an object URL
  #progress = el("progress", { max: 1, value: 0, hidden: true });
  #detail = el("span", { className: "tray-detail" });
  #retry;
  #remove;

  constructor(file, { remove, retry }) {
    this.file = file;
    const { name } = file;
    this.#progress.setAttribute("aria-label", t("traySending", { name }));
    this.#retry = iconButton("refresh-cw", "trayRetry", {}, { name });
    this.#remove = iconButton("x", "trayRemove", {}, { name });
    this.#retry.addEventListener("click", retry);
    this.#remove.addEventListener("click", remove);
    const text = el("div", { className: "tray-text" }, el("bdi", { title: name }, name));
    text.append(this.#detail, this.#progress);
    const picture = el("span", { className: "tray-picture" }, this.#picture());
    this.node = el("li", { className: "tray-entry" }, picture, text, this.#retry, this.#remove);
    this.#show("new", fileSize(file.size));
  }

  get waiting() {
    return this.#state === "waiting";
  }

  /** To be sent, if it is not being sent. */
  wait() {
    if (this.#state === "new" || this.#state === "failed") this.#show("waiting", t("trayWaiting"));
  }

  /** Whether it went; `uploaded` is then what `upload` gave. */
  async upload({ upload, explain }) {
    const { signal } = this.#abort;
    const onProgress = (part) => {
      this.#progress.value = part;
      const [size, done] = [fileSize(this.file.size), `${Math.round(part * 100)} %`];
      if (!signal.aborted) this.#show("sending", `${size} · ${done}`);
    };
    onProgress(0);
    try {
      this.uploaded = await upload(this.file, { onProgress, signal });
      return !signal.aborted;
    } catch (error) {
      if (!signal.aborted) this.#show("failed", explain?.(error) ?? t("trayFailed"));
      return false;
    }
  }

  /** Gone: what is under way is cancelled. */
  end() {
    this.#state = "ended";
    this.#abort.abort();
    if (this.#thumb) URL.revokeObjectURL(this.#thumb);
    this.node.remove();
  }

  focus() {
    this.#remove.focus();
  }

  #show(state, detail) {
    const { name } = this.file;
    this.#state = this.node.dataset.state = state;
    this.#detail.textContent = detail;
    this.#detail.role = state === "failed" ? "alert" : null;
    this.#progress.hidden = state !== "sending";
    this.#retry.hidden = state !== "failed";
    const label = t(state === "sending" ? "trayCancel" : "trayRemove", { name });
    this.#remove.setAttribute("aria-label", label);
    this.#remove.title = label;
  }

  #picture() {
    const [kind] = this.file.type.split("/");
    if (kind !== "image" && kind !== "video") return this.#sign();
    this.#thumb = URL.createObjectURL(this.file);
    const node =
      kind === "image"
        ? el("img", { src: this.#thumb, alt: "" })
        : el("video", { src: this.#thumb, muted: true, playsInline: true, preload: "metadata" });
    if (kind === "video") node.setAttribute("aria-hidden", "true");
    node.addEventListener("error", () => node.replaceWith(this.#sign()));
    return node;
  }

  /** For what has no picture: a sheet with the ending of the name. */
  #sign() {
    const ending = /\.([a-z\d]{1,4})$/i.exec(this.file.name)?.[1] ?? "";
    return el("span", { className: "tray-sign", "aria-hidden": "true" }, icon("file-text"), ending);
  }
}

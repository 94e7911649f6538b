// Pictures and videos over the whole window.

import { el } from "../dom.js";
import { t } from "../i18n.js";
import { icon } from "../icons.js";
import { onGestures } from "./gestures.js";

const MOST = 8; // times larger than what fits
const TWICE = 2.5; // and by a double click
const KEY_ZOOM = 1.25;
const KEY_PX = 80;
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const SWIPE_PX = 60;
const CLOSE_PX = 110;

/**
 * Shows the item of this index; the others are reached by keys, buttons and swipes.
 * @param {{ url: string, kind?: "picture" | "video", preview?: string, name?: string,
 *   alt?: string, caption?: string }[]} items `preview` is shown until the picture is there;
 *   `name` is what a download is called.
 * @param {number} [index]
 * @returns {() => void} Closes it.
 */
export function openViewer(items, index = 0) {
  const viewer = new Viewer(items, index);
  return () => viewer.close();
}

class Viewer {
  #items;
  #index;
  #layer = null; // null for a video, whose own controls need the pointer
  #scale = 1;
  #x = 0; // where the picture's left top corner is, scaled
  #y = 0;
  #title = el("p", { className: "viewer-title" });
  #count = el("p", { className: "viewer-count", role: "status" });
  #caption = el("p", { className: "viewer-caption", dir: "auto" });
  #stage = el("div", { className: "viewer-stage" });
  #download = el("a", { className: "viewer-button", target: "_blank", rel: "noopener" });
  #previous = button("chevron-left", "viewerPrevious", "viewer-previous");
  #next = button("chevron-right", "viewerNext", "viewer-next");
  #close = button("x", "close");
  #dialog;

  constructor(items, index) {
    this.#items = items;
    label(this.#download, "download", "viewerDownload");
    const tools = el("div", { className: "viewer-tools" }, this.#download, this.#close);
    const text = el("div", { className: "viewer-text" }, this.#title, this.#count);
    this.#dialog = el(
      "dialog",
      { className: "viewer", "aria-label": t("viewer") },
      this.#stage,
      el("div", { className: "viewer-head" }, text, tools),
      this.#previous,
      this.#next,
      this.#caption,
    );
    this.#close.addEventListener("click", () => this.close());
    this.#previous.addEventListener("click", () => this.#go(-1));
    this.#next.addEventListener("click", () => this.#go(1));
    this.#dialog.addEventListener("keydown", (event) => this.#steer(event));
    this.#dialog.addEventListener("close", () => {
      this.#stage.replaceChildren(); // stops a video
      this.#dialog.remove();
    });
    document.body.append(this.#dialog);
    this.#dialog.showModal();
    this.#close.focus();
    this.#show(index);
  }

  close() {
    this.#dialog.close();
  }

  #show(index) {
    this.#index = index;
    const item = this.#items[index];
    const count = this.#items.length;
    this.#title.textContent = item.name ?? "";
    this.#count.textContent = count > 1 ? t("viewerPlace", { n: index + 1, count }) : "";
    this.#caption.textContent = item.caption ?? "";
    this.#caption.hidden = !item.caption;
    this.#download.href = item.url;
    this.#download.download = item.name ?? "";
    this.#previous.hidden = index === 0;
    this.#next.hidden = index === count - 1;
    const focused = document.activeElement;
    // Keys are heard only from within.
    if (focused.hidden || !this.#dialog.contains(focused)) this.#close.focus();
    this.#layer = null;
    this.#scale = 1;
    this.#x = this.#y = 0;
    this.#stage.className = "viewer-stage loading";
    this.#stage.replaceChildren(...this.#nodes(item));
    for (const near of [this.#items[index + 1], this.#items[index - 1]]) {
      if (near && near.kind !== "video") new Image().src = near.url;
    }
  }

  #nodes({ url, kind, preview, alt }) {
    const waiting = el("div", { className: "viewer-waiting", role: "status" });
    waiting.setAttribute("aria-label", t("loading"));
    const loaded = () => {
      this.#stage.classList.remove("loading");
      if (this.#layer?.childElementCount > 1) this.#layer.firstChild.remove(); // the preview
    };
    const failed = () => {
      this.#layer = null;
      const words = el("p", { className: "viewer-failed", role: "alert" }, t("viewerFailed"));
      this.#stage.replaceChildren(words);
      loaded();
    };
    if (kind === "video") {
      const video = el("video", { src: url, controls: true, playsInline: true });
      video.preload = "metadata";
      if (preview) video.poster = preview;
      video.setAttribute("aria-label", alt || t("viewer"));
      video.addEventListener("loadedmetadata", loaded);
      video.addEventListener("error", failed);
      return [video, waiting];
    }
    const picture = el("img", { src: url, alt: alt || t("viewerPicture"), draggable: false });
    picture.addEventListener("load", loaded);
    picture.addEventListener("error", failed);
    this.#layer = el("div", { className: "viewer-layer" }, picture);
    if (preview) this.#layer.prepend(el("img", { src: preview, alt: "", draggable: false }));
    const surface = el("div", { className: "viewer-surface" }, this.#layer);
    onGestures(surface, {
      move: (step) => this.#move(step),
      end: (way) => this.#end(way),
      twice: (x, y) => this.#zoom(this.#scale > 1 ? 1 / this.#scale : TWICE, x, y),
    });
    return [surface, waiting];
  }

  #go(by) {
    if (this.#items[this.#index + by]) this.#show(this.#index + by);
  }

  #move({ dx, dy, factor, x, y }) {
    this.#x += dx;
    this.#y += dy;
    if (factor !== 1) this.#zoom(factor, x, y);
    else this.#put();
  }

  /** A picture that is not zoomed was dragged: to the next one, or away, or not far enough. */
  #end({ dx, dy, fingers }) {
    if (this.#scale > 1) return;
    this.#x = this.#y = 0;
    this.#put();
    if (fingers > 1) return;
    if (Math.abs(dx) > Math.max(SWIPE_PX, Math.abs(dy))) this.#go(dx < 0 ? 1 : -1);
    else if (dy > Math.max(CLOSE_PX, Math.abs(dx))) this.close();
  }

  /** Zooms about a point of the stage; from the middle, if none is given. */
  #zoom(factor, x = this.#stage.clientWidth / 2, y = this.#stage.clientHeight / 2) {
    const before = this.#scale;
    this.#scale = Math.min(Math.max(before * factor, 1), MOST);
    const grown = this.#scale / before;
    this.#x = x - (x - this.#x) * grown;
    this.#y = y - (y - this.#y) * grown;
    this.#put();
  }

  #put() {
    if (this.#scale > 1) {
      const least = 1 - this.#scale;
      this.#x = Math.min(0, Math.max(this.#x, least * this.#stage.clientWidth));
      this.#y = Math.min(0, Math.max(this.#y, least * this.#stage.clientHeight));
    }
    if (!this.#layer) return;
    this.#layer.style.transform = `translate(${this.#x}px, ${this.#y}px) scale(${this.#scale})`;
    this.#layer.classList.toggle("zoomed", this.#scale > 1);
  }

  #steer(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.localName === "video") return; // it has keys of its own
    const [x, y] = ARROWS[event.key] ?? [0, 0];
    if (this.#scale > 1 && (x || y)) {
      this.#move({ dx: -x * KEY_PX, dy: -y * KEY_PX, factor: 1 });
    } else if (x) this.#go(x);
    else if (event.key === "+" || event.key === "=") this.#zoom(KEY_ZOOM);
    else if (event.key === "-") this.#zoom(1 / KEY_ZOOM);
    else if (event.key === "0") this.#zoom(1 / this.#scale);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }
}

function label(node, sign, key) {
  node.append(icon(sign));
  node.title = t(key);
  node.setAttribute("aria-label", t(key));
}

function button(sign, key, className = "") {
  const node = el("button", { type: "button", className: `viewer-button ${className}` });
  label(node, sign, key);
  return node;
}

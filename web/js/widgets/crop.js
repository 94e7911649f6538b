// The dialog in which one chooses the part of a picture that becomes one's avatar.

import { el } from "../dom.js";
import { t } from "../i18n.js";
import { onGestures } from "./gestures.js";
import { decode } from "./picture.js";

const SIDE = 512; // of the result
const MOST = 6; // times larger than what just fills the square
const STEP = 0.04; // of the square, for one press of an arrow key
const QUALITY = 0.9;
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/**
 * Lets a person choose a square of the picture.
 * @param {File} file
 * @returns {Promise<Blob | null>} A JPEG of 512x512 pixels; null if the dialog was left.
 * @throws {WidgetError} `pictureBroken`.
 */
export async function cropAvatar(file) {
  const bitmap = await decode(file);
  try {
    const crop = new Crop(bitmap);
    return (await crop.shown()) ? await crop.cut() : null;
  } finally {
    bitmap.close();
  }
}

class Crop {
  #bitmap;
  #zoom = 1;
  #x; // the middle of the square, in the picture
  #y;
  #canvas = el("canvas", { width: SIDE, height: SIDE, tabIndex: 0 });
  #slider = el("input", { type: "range", min: 0, max: 1, step: 0.01, value: 0 });

  constructor(bitmap) {
    this.#bitmap = bitmap;
    this.#x = bitmap.width / 2;
    this.#y = bitmap.height / 2;
    this.#canvas.setAttribute("role", "application"); // which gets the arrow keys
    this.#canvas.setAttribute("aria-label", t("cropArea"));
    this.#canvas.setAttribute("aria-describedby", "crop-hint");
    this.#canvas.addEventListener("keydown", (event) => this.#steer(event));
    this.#slider.addEventListener("input", () => this.#zoomTo(MOST ** this.#slider.value));
    onGestures(this.#canvas, {
      move: ({ dx, dy, factor, x, y }) => {
        const shown = SIDE / this.#canvas.clientWidth; // canvas pixels in one of the page's
        this.#move(-dx * shown, -dy * shown);
        this.#zoomTo(this.#zoom * factor, x * shown, y * shown);
      },
    });
  }

  /** Whether the person said yes. */
  shown() {
    const cancel = el("button", { value: "", formNoValidate: true }, t("cancel"));
    const use = el("button", { value: "use", className: "primary" }, t("cropUse"));
    const dialog = el(
      "dialog",
      { className: "crop", "aria-labelledby": "crop-title" },
      el("h2", { id: "crop-title" }, t("cropTitle")),
      el("div", { className: "crop-frame" }, this.#canvas),
      el("label", { className: "crop-zoom" }, el("span", {}, t("cropZoom")), this.#slider),
      el("p", { id: "crop-hint", className: "muted" }, t("cropHint")),
      el("form", { method: "dialog", className: "crop-buttons" }, cancel, use),
    );
    document.body.append(dialog);
    dialog.showModal();
    this.#canvas.focus();
    this.#draw();
    return new Promise((done) => {
      dialog.addEventListener("close", () => {
        dialog.remove();
        done(dialog.returnValue === "use");
      });
    });
  }

  cut() {
    const canvas = new OffscreenCanvas(SIDE, SIDE);
    this.#drawOn(canvas.getContext("2d"));
    return canvas.convertToBlob({ type: "image/jpeg", quality: QUALITY });
  }

  get #scale() {
    return (this.#zoom * SIDE) / Math.min(this.#bitmap.width, this.#bitmap.height);
  }

  #move(dx, dy) {
    const half = SIDE / 2 / this.#scale;
    const within = (value, length) => Math.min(Math.max(value, half), length - half);
    this.#x = within(this.#x + dx / this.#scale, this.#bitmap.width);
    this.#y = within(this.#y + dy / this.#scale, this.#bitmap.height);
    this.#draw();
  }

  /** Zooms; what is shown at `x`, `y` stays there. */
  #zoomTo(zoom, x = SIDE / 2, y = SIDE / 2) {
    const before = this.#scale;
    this.#zoom = Math.min(Math.max(zoom, 1), MOST);
    const grown = this.#scale / before - 1;
    this.#slider.value = Math.log(this.#zoom) / Math.log(MOST);
    this.#move((x - SIDE / 2) * grown, (y - SIDE / 2) * grown);
  }

  #steer(event) {
    const [x, y] = ARROWS[event.key] ?? [0, 0];
    if (x || y) this.#move(x * SIDE * STEP, y * SIDE * STEP);
    else if (event.key === "+" || event.key === "=") this.#zoomTo(this.#zoom * 1.1);
    else if (event.key === "-") this.#zoomTo(this.#zoom / 1.1);
    else return;
    event.preventDefault();
  }

  #draw() {
    this.#drawOn(this.#canvas.getContext("2d"));
  }

  #drawOn(context) {
    const side = SIDE / this.#scale;
    const corner = [this.#x - side / 2, this.#y - side / 2];
    context.fillStyle = "#fff"; // under what is transparent
    context.fillRect(0, 0, SIDE, SIDE);
    context.imageSmoothingQuality = "high";
    context.drawImage(this.#bitmap, ...corner, side, side, 0, 0, SIDE, SIDE);
  }
}

// Where files come from: the chooser, the clipboard, and what is dragged over the page.

import { el } from "../dom.js";
import { t } from "../i18n.js";
import { icon } from "../icons.js";

/**
 * Opens the system's file chooser; call it from a click.
 * @param {{ accept?: string, multiple?: boolean }} [options] `accept` as in HTML.
 * @returns {Promise<File[]>} Empty if it was left.
 */
export function pickFiles({ accept = "", multiple = true } = {}) {
  const input = el("input", { type: "file", accept, multiple });
  return new Promise((done) => {
    input.addEventListener("change", () => done([...input.files]));
    input.addEventListener("cancel", () => done([]));
    input.click();
  });
}

/**
 * Calls `act` with files that are pasted into a node; pasted text goes where it always does.
 * @param {HTMLElement} node
 * @param {(files: File[]) => void} act
 * @returns {() => void} Ends it.
 */
export function onPastedFiles(node, act) {
  const paste = (event) => {
    const files = [...event.clipboardData.files];
    // Office programs put a picture of the text beside the text.
    if (!files.length || event.clipboardData.types.includes("text/plain")) return;
    event.preventDefault();
    act(files);
  };
  node.addEventListener("paste", paste);
  return () => node.removeEventListener("paste", paste);
}

/**
 * Calls `act` with files that are dropped on a node, and covers it while they hang over it.
 * Folders are left out.
 * @param {HTMLElement} node
 * @param {(files: File[]) => void} act
 * @returns {() => void} Ends it.
 */
export function onDroppedFiles(node, act) {
  const cover = el("div", { className: "drop-cover" }, icon("download"), t("trayDrop"));
  const hasFiles = ({ dataTransfer }) => dataTransfer.types.includes("Files");
  const over = (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    event.dataTransfer.dropEffect = "copy";
    if (cover.isConnected) return;
    const { left, top, width, height } = node.getBoundingClientRect();
    for (const [name, value] of Object.entries({ left, top, width, height })) {
      cover.style[name] = `${value}px`;
    }
    document.body.append(cover);
  };
  const leave = ({ relatedTarget }) => {
    if (!node.contains(relatedTarget)) cover.remove();
  };
  const drop = (event) => {
    cover.remove();
    if (!hasFiles(event)) return;
    event.preventDefault();
    const items = [...event.dataTransfer.items].filter(({ kind }) => kind === "file");
    const files = items.filter((item) => !item.webkitGetAsEntry?.()?.isDirectory);
    if (files.length) act(files.map((item) => item.getAsFile()));
  };
  const listeners = { dragenter: over, dragover: over, dragleave: leave, drop };
  for (const [kind, act] of Object.entries(listeners)) node.addEventListener(kind, act);
  return () => {
    cover.remove();
    for (const [kind, act] of Object.entries(listeners)) node.removeEventListener(kind, act);
  };
}

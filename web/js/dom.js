// The few things that every part of the page needs from the document.

import { icon } from "./icons.js";
import { t } from "./i18n.js";

export const byId = (id) => document.getElementById(id);

/** An element; `props` are properties or, with a hyphen or `role`, attributes. Text stays text. */
export function el(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (name.includes("-") || name === "role") node.setAttribute(name, value);
    else node[name] = value;
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

/** A button with the text called `name`. */
export const button = (name, props = {}, ...children) =>
  el("button", { type: "button", ...props }, ...children, el("span", {}, t(name)));

/** A button that is only an icon; the text called `name` is its label and tooltip. */
export const iconButton = (shape, name, props = {}, values = {}) => {
  const label = t(name, values);
  const named = { title: label, "aria-label": label };
  return el("button", { type: "button", className: "icon", ...named, ...props }, icon(shape));
};

/** A function that runs `task` in the next frame, once for all calls until then. */
export function coalesced(task) {
  let isDue = false;
  return () => {
    if (isDue) return;
    isDue = true;
    const run = () => {
      if (!isDue) return;
      isDue = false;
      task();
    };
    requestAnimationFrame(run);
    setTimeout(run, 100); // hidden pages have no frames
  };
}

/** Makes `list` hold exactly these nodes in this order; those in place are not touched. */
export function arrange(list, nodes) {
  const wanted = new Set(nodes);
  for (const node of [...list.children]) if (!wanted.has(node)) node.remove();
  let place = list.firstElementChild;
  for (const node of nodes) {
    if (node === place) place = place.nextElementSibling;
    else list.insertBefore(node, place);
  }
}

/** Shows `text` in a place for errors and notes, or hides the place where there is none. */
export function tell(node, text) {
  node.textContent = text;
  node.hidden = !text;
}

/** Runs `task` while `control` cannot be used a second time; gives what it gives. */
export async function whileBusy(control, task) {
  if (control.disabled) return undefined;
  control.disabled = true;
  control.setAttribute("aria-busy", "true");
  try {
    return await task();
  } finally {
    control.disabled = false;
    control.removeAttribute("aria-busy");
  }
}

const styles = new Map();

/** Loads a stylesheet beside this page's scripts, `css/<name>.css`, once; resolves when it holds. */
export function loadStyle(name) {
  if (!styles.has(name)) {
    const link = el("link", {
      rel: "stylesheet",
      href: new URL(`../css/${name}.css`, import.meta.url),
    });
    styles.set(name, new Promise((done) => (link.onload = link.onerror = done)));
    document.head.append(link);
  }
  return styles.get(name);
}

/** Loads a module of js/widgets and the widgets' stylesheet; gives what the module exports. */
export async function loadWidget(name) {
  const [widget] = await Promise.all([import(`./widgets/${name}.js`), loadStyle("widgets")]);
  return widget;
}

// A log of made-up messages in a virtual list, for test_virtual_list.py, which drives it by `lab`.

import { el } from "/web/js/dom.js";
import { VirtualList } from "/web/js/widgets/virtual-list.js";

const scroller = document.getElementById("scroller");
const words = "it is not far to walk if the path along the river is dry, they say".split(" ");

/** Message `n`: of one to some thirty lines, always the same. */
function message(n, more = {}) {
  const count = 1 + ((Math.abs(n) * 7919) % 23) ** 2 % 90;
  const text = Array.from({ length: count }, (_, i) => words[(i + Math.abs(n)) % words.length]);
  return { n, text: text.join(" "), version: 0, ...more };
}

const messages = (from, to, more) =>
  Array.from({ length: to - from }, (_, i) => message(from + i, more));

function render({ n, text, picture }) {
  const parts = [el("b", {}, `${n} `), text, " ", el("button", { type: "button" }, "Reply")];
  if (picture) parts.unshift(el("img", { src: `/late/${n}.svg`, alt: "" }));
  const row = el("li", { tabIndex: -1 }, el("p", {}, ...parts));
  row.dataset.n = n;
  return row;
}

const list = new VirtualList(scroller, {
  list: document.getElementById("rows"),
  key: (item) => `m${item.n}`,
  looks: (item) => `${item.version}`,
  position: ({ n }, _, items) => ({ posinset: n - items[0].n + 1, setsize: items.length }),
  estimate: () => 60,
  render,
});
let items = [];
let last = null;
list.addEventListener("scroll", (event) => (last = event.detail));

const frame = () => new Promise(requestAnimationFrame);
const row = (n) => scroller.querySelector(`[data-n="${n}"]`);
const view = () => scroller.getBoundingClientRect();

// Resize observers are told last before painting, and in the order in which they were made.
const probe = document.body.appendChild(el("div", { id: "probe" }));
let told = () => {};
new ResizeObserver(() => told()).observe(probe);

/** Resolves when a frame is about to be painted and nobody moves anything any more. */
async function painted() {
  await frame();
  probe.style.width = probe.style.width === "1px" ? "2px" : "1px";
  await new Promise((done) => (told = done));
}

const lab = {
  list,
  scroller,
  message,
  messages,
  row,
  frame,
  painted,
  errors: [],
  get items() {
    return items;
  },
  get last() {
    return last;
  },
  show(next) {
    items = next;
    list.set(items);
  },
  prepend(count, more) {
    lab.show([...messages(items[0].n - count, items[0].n, more), ...items]);
  },
  append(count, more) {
    const next = items.at(-1).n + 1;
    lab.show([...items, ...messages(next, next + count, more)]);
  },
  change(n, more) {
    const change = (item) => ({ ...item, ...more, version: item.version + 1 });
    lab.show(items.map((item) => (item.n === n ? change(item) : item)));
  },
  /** From the top of the view, px. */
  top: (n) => row(n).getBoundingClientRect().top - view().top,
  /** The messages that are wholly in view. */
  inView() {
    const { top, bottom } = view();
    return [...scroller.querySelectorAll("li")]
      .filter((node) => {
        const rect = node.getBoundingClientRect();
        return rect.top >= top - 1 && rect.bottom <= bottom + 1; // rounded
      })
      .map((node) => Number(node.dataset.n));
  },
  /** Px between the last message and the end of the view. */
  below: () => view().bottom - row(items.at(-1).n).getBoundingClientRect().bottom,
  /** Waits until nothing has changed for some frames, and the scrolling is at rest. */
  async settled() {
    const state = () => `${scroller.scrollTop} ${scroller.scrollHeight} ${scroller.innerText}`;
    for (let before = state(), same = 0; same < 12; ) {
      await frame();
      const now = state();
      same = now === before ? same + 1 : 0;
      before = now;
    }
  },
  /** What `look` gives of each frame as it is painted, until `done` resolves. */
  async watch(look, done) {
    const seen = [];
    let isDone = false;
    done.finally(() => (isDone = true));
    while (!isDone) {
      await painted();
      seen.push(look());
    }
    await done;
    return seen;
  },
  /** Where each message is, from the top of the view, px. */
  places() {
    const rows = [...scroller.querySelectorAll("li")];
    return Object.fromEntries(rows.map(({ dataset: { n } }) => [n, lab.top(n)]));
  },
};
addEventListener("error", ({ message }) => lab.errors.push(message));
window.lab = lab;

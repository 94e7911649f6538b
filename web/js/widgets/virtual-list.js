// A list of any length of which only the rows near the view are in the document. Heights are
// estimated until a row is drawn; what is in view stays where it is whatever is learnt or changed
// around it. While somebody scrolls, the space above the rows gives way (`scrollTop` is theirs);
// once they rest, it gets its true size, and `scrollTop` with it.
//
// To the owner: the stylesheet is css/virtual-list.css. Rows have no margins (use padding). Give
// the scroller `role="log"` only with `aria-live="off"`, as rows come and go by scrolling, too.

import { Hand } from "./hand.js";
import { spanFor } from "./heights.js";
import { Items, moved } from "./items.js";
import { Rows } from "./rows.js";

const AT_END = 80; // px from the end that count as being there
const NEAR = 2; // viewports from the first or last item that count as near
const SPARE_ROWS = 6; // drawn a frame ahead of need
const PASSES = 4; // in a frame, until what was measured fills the view
const ENOUGH = 2000; // px of space below the rows that nobody comes to the end of in a frame
const ROUNDING = 0.01; // px that sums of heights may be wrong by
const HIGHLIGHT_MS = 2000;

/**
 * Event `scroll`, a CustomEvent, once a frame where something may have changed; its detail is
 * `{ atEnd, nearStart, nearEnd, firstKey, lastKey }`. The keys are those of the first and last item
 * in view, null in an empty list; near: within two viewports.
 * @template T
 */
export class VirtualList extends EventTarget {
  #scroller;
  #list;
  #items;
  #heights;
  #rows;
  #hand;
  #extent = 0; // px from the list's start to its end, spaces included
  #anchor = { index: 0, y: 0 }; // an item in view, and its place in the scroller's content
  #target = null; // where to jump in the next frame
  #isFollowing = true; // stays at the end
  #isGrown = false; // something to follow
  #isChanged = false; // items are not drawn yet
  #isUpward = true;
  #spare = 0; // rows to be drawn ahead of need in this frame
  #isHidden = false;
  #atEnd = true;
  #frame = 0;
  #observer = new ResizeObserver((entries) => this.#resized(entries));
  #abort = new AbortController();

  /**
   * @param {HTMLElement} scroller gets the class `virtual-scroller`, and can be focused
   * @param {object} options
   * @param {(item: T) => string} options.key told apart by it; no two items have the same
   * @param {(item: T, index: number, items: T[], old: HTMLElement | null) => HTMLElement}
   *   options.render the row, an `li`; may change and return `old`, which is there where it looks
   *   different from before
   * @param {(item: T, index: number, items: T[]) => string} [options.looks] a row is rendered again
   *   where this differs
   * @param {(item: T) => number} [options.estimate] px, for items not drawn yet
   * @param {(item: T, index: number, items: T[]) => { posinset: number, setsize: number } | null}
   *   [options.position] said to screen readers
   * @param {HTMLElement} [options.list] the `ol`, a child of the scroller; by default one is put
   *   there. Its siblings may change their size, and may be hidden
   */
  constructor(scroller, options) {
    super();
    const { key, render, looks = () => "", estimate = () => 64, position } = options;
    const { list = scroller.appendChild(document.createElement("ol")) } = options;
    this.#scroller = scroller;
    this.#list = list;
    this.#items = new Items(key, estimate);
    this.#heights = this.#items.heights;
    this.#rows = new Rows(list, { render, looks, position }, this.#observer);
    scroller.classList.add("virtual-scroller");
    list.classList.add("virtual-list");
    if (!scroller.hasAttribute("tabindex")) scroller.tabIndex = 0;
    this.#observer.observe(scroller);
    for (const node of scroller.children) if (node !== list) this.#observer.observe(node);
    const { signal } = this.#abort;
    scroller.addEventListener("keydown", (event) => this.#pressed(event), { signal });
    this.#hand = new Hand(scroller, signal, () => this.#schedule(), () => {
      this.#isFollowing = this.#atEnd;
      this.#schedule();
    });
  }

  /** Whether the end is in view, or nearly. */
  get atEnd() {
    return this.#atEnd;
  }

  /** The row of this item, null where it is not in the document. */
  node(key) {
    return this.#rows.get(key)?.node ?? null;
  }

  /**
   * Shows these items instead, in the next frame. Cheap where most of the items are the same
   * objects as before, or have the same keys, in the same order. An empty list forgets everything,
   * so that the next one begins at its end.
   */
  set(items) {
    if (!items.length) {
      this.#target = null;
      this.#isFollowing = true;
      this.#rows.clear(); // what comes next may have the same keys, and be something else
    }
    const inView = this.#fromAnchor();
    const anchorKey = this.#items.keys[this.#anchor.index];
    const steps = this.#items.set(items);
    const survivor = inView.find((item) => moved(item.index, steps) >= 0);
    if (survivor) {
      this.#anchor = { index: moved(survivor.index, steps), y: survivor.y };
    } else {
      const again = this.#items.keys.indexOf(anchorKey);
      const index = Math.min(this.#anchor.index, Math.max(0, items.length - 1));
      this.#anchor.index = again < 0 ? index : again;
    }
    this.#rows.move((index) => moved(index, steps));
    this.#isGrown ||= steps.length > 0;
    this.refresh();
  }

  /** Asks again for what rows look like, in the next frame: names or the language have changed. */
  refresh() {
    this.#isChanged = true;
    this.#schedule();
  }

  /** Goes to the end and stays there while more comes. */
  scrollToEnd() {
    this.#target = null;
    this.#isFollowing = this.#isGrown = true;
    this.#schedule();
  }

  /** Goes to the first item, and to what stands before it in the scroller. */
  scrollToStart() {
    if (this.#items.length) this.scrollTo(this.#items.keys[0], { block: "top" });
  }

  /**
   * Goes to an item in the next frame.
   * @param {string} key
   * @param {object} [options]
   * @param {"start" | "center" | "end" | "nearest"} [options.block] where in the view it is to be;
   *   nearest: as little as possible is scrolled
   * @param {boolean} [options.highlight] its row has the class `is-highlighted` for two seconds
   * @param {boolean} [options.focus] its row, which has a tabindex then, gets the focus
   * @returns {boolean} false: there is no such item here
   */
  scrollTo(key, { block = "center", highlight = false, focus = false } = {}) {
    if (!this.#items.keys.includes(key)) return false;
    this.#target = { key, block, highlight, focus };
    this.#schedule();
    return true;
  }

  /** Takes the rows out and listens to nothing any more. */
  destroy() {
    this.#abort.abort();
    this.#observer.disconnect();
    cancelAnimationFrame(this.#frame);
    this.#rows.clear();
    this.#list.style.padding = "";
  }

  /** The browser would go to where the end is by estimates. */
  #pressed(event) {
    const { altKey, defaultPrevented, key, metaKey, shiftKey, target } = event;
    const isOurs = !defaultPrevented && !altKey && !metaKey && !shiftKey;
    const isText = target.isContentEditable || target.matches("input, textarea, select");
    if (!isOurs || isText || (key !== "Home" && key !== "End")) return;
    event.preventDefault();
    if (key === "End") this.scrollToEnd();
    else this.scrollToStart();
  }

  #resized(entries) {
    this.#isHidden ||= !this.#scroller.clientHeight;
    if (!this.#scroller.clientHeight) return;
    // Hidden, it may have lost its place.
    if (this.#isHidden) this.#scroller.scrollTop = this.#hand.top;
    let isChanged = this.#isHidden;
    this.#isHidden = false;
    for (const { target, borderBoxSize } of entries) {
      const row = this.#rows.of(target);
      if (!row) isChanged = true;
      else if (row.index >= 0 && target.isConnected) {
        isChanged = this.#items.measure(row.index, borderBoxSize[0].blockSize) || isChanged;
      }
    }
    if (!isChanged) return;
    this.#isGrown = true;
    // Before anything is painted; but not where the rows are about to be others.
    if (!this.#isChanged && !this.#target) this.#settle(this.#look());
    this.#schedule();
  }

  /** The anchor and the rows below it, with their places. */
  #fromAnchor() {
    const found = [];
    let { index, y } = this.#anchor;
    for (; index < this.#rows.last; index++) {
      found.push({ index, y });
      y += this.#heights.get(index);
    }
    return found;
  }

  // Drawing: once a frame

  #schedule() {
    if (!this.#abort.signal.aborted) this.#frame ||= requestAnimationFrame(() => this.#draw());
  }

  #look() {
    const { clientHeight, scrollTop } = this.#scroller;
    // Not by rectangles, which lose half a px where the list begins millions of px above the view.
    return { top: scrollTop, height: clientHeight, start: this.#list.offsetTop };
  }

  #draw() {
    this.#frame = 0;
    const view = this.#look();
    if (!view.height) return;
    this.#notice(view);
    if (this.#target) this.#target.index = this.#items.keys.indexOf(this.#target.key);
    if (this.#target?.index < 0) this.#target = null; // gone since
    this.#spare = SPARE_ROWS;
    let isReady = false;
    for (let pass = 0; pass < PASSES && !isReady; pass++) isReady = !this.#show(view);
    this.#settle(view);
    if (!isReady || this.#spare < SPARE_ROWS) this.#schedule();
  }

  /** Takes in how far somebody has scrolled. */
  #notice(view) {
    const way = view.top - this.#hand.top;
    if (!way) return;
    const gap = this.#scroller.scrollHeight - view.top - view.height;
    this.#hand.top = view.top;
    this.#isUpward = way < 0;
    this.#isFollowing = way > 0 ? gap <= AT_END : gap < 2;
    this.#isGrown ||= gap < 2; // by estimates; this makes it the true end
    const y = this.#place(view);
    const start = this.#heights.offset(this.#rows.first);
    const isLeap = y + view.height <= start || y >= this.#heights.offset(this.#rows.last);
    // Nothing that was in view has to stay then.
    if (isLeap) this.#anchor = { index: 0, y: view.start };
    this.#pick(view);
  }

  /** The first item of which the beginning is in view is the anchor, or else the first in view. */
  #pick({ top, height }) {
    const y = this.#place({ top });
    let index = Math.max(0, this.#heights.indexAt(y));
    const next = this.#heights.offset(index + 1);
    const isCut = this.#heights.offset(index) < y && index + 1 < this.#heights.length;
    const isUsed = this.node(this.#items.keys[index])?.contains(document.activeElement);
    if (isCut && !isUsed && next < y + height / 2) index++;
    const { index: old, y: at } = this.#anchor;
    this.#anchor = { index, y: at + this.#items.between(old, index) };
  }

  /** Where the view begins, px from the first item. */
  #place({ top }) {
    return top - this.#anchor.y + this.#heights.offset(this.#anchor.index);
  }

  /** Where it is to begin. */
  #goal(view) {
    const end = Math.max(0, this.#heights.total - view.height);
    const now = this.#place(view);
    if (!this.#target) return this.#isFollowing && this.#isGrown ? end : now;
    const { block, index } = this.#target;
    const y = this.#heights.offset(index);
    const room = Math.max(0, view.height - this.#heights.get(index));
    const nearest = Math.max(0, Math.min(y - now, room));
    const below = { top: Infinity, start: 0, center: room / 2, end: room, nearest }[block];
    return Math.max(0, Math.min(y - below, end));
  }

  /** Has the rows in the document that it takes now. Gives whether any had to be measured. */
  #show(view) {
    const at = { y: this.#goal(view), height: view.height };
    const rows = this.#rows;
    const { first, last, spare } = spanFor(this.#heights, at, rows, this.#spare, this.#isUpward);
    this.#spare = spare;
    const isChanged = this.#isChanged;
    if (first === rows.first && last === rows.last && !isChanged) return false;
    const fresh = rows.show(this.#items, first, last, isChanged);
    this.#isChanged = false;
    this.#pad(Math.max(0, this.#space(view))); // lest the browser finds less to scroll
    const heights = fresh.map(({ node }) => node.getBoundingClientRect().height);
    const news = fresh.filter((row, i) => this.#items.measure(row.index, heights[i]));
    this.#isGrown ||= isChanged && news.length > 0;
    return fresh.length > 0;
  }

  /** The space above the rows that leaves the anchor where it is. */
  #space({ start }) {
    return this.#anchor.y - start - this.#items.between(this.#rows.first, this.#anchor.index);
  }

  /** Puts all in its place, now that the rows are there and measured. */
  #settle(view) {
    const { top, height, start } = view;
    const target = this.#target;
    const isToEnd = !target && this.#isFollowing && this.#isGrown;
    const truth = this.#heights.offset(this.#rows.first);
    let to = top;
    if (target) {
      to = target.block === "top" ? 0 : start + this.#goal(view);
      this.#anchor = { index: target.index, y: start + this.#heights.offset(target.index) };
    } else if (isToEnd) {
      this.#anchor = { index: this.#rows.first, y: start + truth };
    } else {
      const space = this.#space(view);
      const isTight = space < 0 || this.#rows.first === 0 || top - start < height;
      if (isTight || !this.#hand.isMoving) {
        // Whole px, as `scrollTop` may have no others; the rest stays in the space.
        const less = Math.ceil(truth - space - ROUNDING);
        this.#anchor.y += less;
        to += less;
      }
    }
    this.#pad(Math.max(0, this.#space(view)));
    if (isToEnd) to = this.#scroller.scrollHeight;
    if (to !== this.#scroller.scrollTop) this.#scroller.scrollTop = to;
    this.#target = null;
    this.#isGrown = false;
    this.#land(view, target, isToEnd);
  }

  #land(view, target, isToEnd) {
    const { height } = view;
    const { scrollHeight, scrollTop: top } = this.#scroller;
    this.#hand.top = top;
    const gap = scrollHeight - top - height;
    this.#atEnd = gap <= AT_END;
    if (target) {
      this.#isFollowing = this.#atEnd;
      this.#point(target);
    }
    const offset = this.#anchor.y - top;
    if (isToEnd || offset < -this.#heights.get(this.#anchor.index) || offset > height) {
      this.#pick({ top, height });
    }
    const y = this.#place({ top });
    this.dispatchEvent(
      new CustomEvent("scroll", {
        detail: {
          atEnd: this.#atEnd,
          nearStart: y < NEAR * height,
          nearEnd: this.#heights.total - y - height < NEAR * height,
          firstKey: this.#items.keyAt(y),
          lastKey: this.#items.keyAt(y + height - 1),
        },
      }),
    );
  }

  #point({ key, highlight, focus }) {
    const node = this.node(key);
    if (focus) node.focus({ preventScroll: true });
    if (!highlight) return;
    node.classList.add("is-highlighted");
    setTimeout(() => node.classList.remove("is-highlighted"), HIGHLIGHT_MS);
  }

  #pad(above) {
    const used = above + this.#items.between(this.#rows.first, this.#rows.last);
    const truth = Math.max(0, this.#heights.total - this.#heights.offset(this.#rows.last));
    // A scrollbar that is dragged must not change: browsers ignore the hand then.
    const same = this.#extent - used;
    const isSame = this.#hand.isMoving && this.#rows.last < this.#heights.length;
    const below = isSame && same >= Math.min(truth, ENOUGH) ? same : truth;
    this.#extent = used + below;
    const { style } = this.#list;
    if (style.paddingTop !== `${above}px`) style.paddingTop = `${above}px`;
    if (style.paddingBottom !== `${below}px`) style.paddingBottom = `${below}px`;
    this.#rows.placeAway((index) => above + this.#items.between(this.#rows.first, index));
  }
}

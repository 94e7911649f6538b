// A list of any length of which only the rows near the view are in the document. Heights are
// estimated until a row is drawn; what is in view stays where it is whatever is learnt or changed
// around it. While somebody scrolls, the space above the rows gives way (`scrollTop` is theirs);
// once they rest, it gets its true size, and `scrollTop` with it.
//
// To the owner: the stylesheet is css/virtual-list.css. Rows have no margins (use padding). Give
// the scroller `role="log"` only with `aria-live="off"`, as rows come and go by scrolling, too.

import { edits, moved } from "./edits.js";
import { Heights } from "./heights.js";
import { Rows } from "./rows.js";

const AT_END = 80; // px from the end that count as being there
const NEAR = 2; // viewports from the first or last item that count as near
// Viewports beyond the view: drawn at once, drawn a few rows a frame, kept.
const MUST = 0.25;
const WANT = 1;
const KEEP = 1.5;
const SPARE_ROWS = 6; // drawn a frame ahead of need
const PASSES = 4; // in a frame, until what was measured fills the view
const ENOUGH = 2000; // px of space below the rows that nobody comes to the end of in a frame
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
  #key;
  #estimate;
  #rows;
  #items = [];
  #keys = [];
  #heights = new Heights();
  #measured = new Map(); // key → px
  #first = 0; // of the rows in the document
  #last = 0; // past them
  #anchor = { index: 0, y: 0 }; // an item in view, and its place in the scroller's content
  #target = null; // where to jump in the next frame
  #isFollowing = true; // stays at the end
  #isGrown = false; // something to follow
  #isChanged = false; // items are not drawn yet
  #isMoving = false; // somebody scrolls
  #isTouched = false;
  #isUpward = true;
  #isHidden = false;
  #extent = 0; // px from the list's start to its end, spaces included
  #seenTop = 0; // `scrollTop` as we know it
  #atEnd = true;
  #frame = 0;
  #resting = 0;
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
   * @param {HTMLElement} [options.list] the `ol` in the scroller; by default one is put there. Its
   *   siblings may change their size, and may be hidden
   */
  constructor(scroller, options) {
    super();
    const { key, render, looks = () => "", estimate = () => 64, position } = options;
    const { list = scroller.appendChild(document.createElement("ol")) } = options;
    this.#scroller = scroller;
    this.#list = list;
    this.#key = key;
    this.#estimate = estimate;
    this.#rows = new Rows(list, { render, looks, position }, this.#observer);
    scroller.classList.add("virtual-scroller");
    list.classList.add("virtual-list");
    if (!scroller.hasAttribute("tabindex")) scroller.tabIndex = 0;
    this.#observer.observe(scroller);
    for (const node of scroller.children) if (node !== list) this.#observer.observe(node);
    this.#listen();
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
    if (!items.length) this.#forget();
    const key = this.#key;
    const keys = this.#keys;
    const before = this.#items;
    const isSame = (old, now) => items[now] === before[old] || key(items[now]) === keys[old];
    const steps = edits(before.length, items.length, isSame);
    this.#move(steps, items);
    const own = this.#items;
    for (let i = 0; i < items.length; i++) own[i] = items[i]; // new objects of the same keys
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
    if (this.#keys.length) this.scrollTo(this.#keys[0], { block: "top" });
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
    if (!this.#keys.includes(key)) return false;
    this.#target = { key, block, highlight, focus };
    this.#schedule();
    return true;
  }

  /** Takes the rows out and listens to nothing any more. */
  destroy() {
    this.#abort.abort();
    this.#observer.disconnect();
    cancelAnimationFrame(this.#frame);
    clearTimeout(this.#resting);
    this.#rows.clear();
    this.#pad(0, 0);
  }

  // Listening

  #listen() {
    const { signal } = this.#abort;
    const on = (type, act) => this.#scroller.addEventListener(type, act, { signal, passive: true });
    on("scroll", () => this.#scrolled());
    on("scrollend", () => this.#rest());
    on("touchstart", () => (this.#isTouched = true));
    for (const type of ["touchend", "touchcancel"]) {
      on(type, (event) => (this.#isTouched = event.touches.length > 0));
    }
    this.#scroller.addEventListener("keydown", (event) => this.#pressed(event), { signal });
  }

  #scrolled() {
    if (this.#scroller.scrollTop === this.#seenTop) return; // that was us
    this.#isMoving = true;
    clearTimeout(this.#resting);
    // Without `scrollend`, or where it does not come.
    this.#resting = setTimeout(() => this.#rest(), "onscrollend" in window ? 1000 : 150);
    this.#schedule();
  }

  #rest() {
    clearTimeout(this.#resting);
    if (this.#isTouched) this.#resting = setTimeout(() => this.#rest(), 150);
    else if (this.#isMoving) {
      this.#isMoving = false;
      this.#isFollowing = this.#atEnd;
      this.#schedule();
    }
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
    if (this.#isHidden) this.#scroller.scrollTop = this.#seenTop;
    let isChanged = this.#isHidden;
    this.#isHidden = false;
    for (const { target, borderBoxSize } of entries) {
      const row = this.#rows.of(target);
      if (!row) isChanged = true;
      else if (row.index >= 0 && target.isConnected) {
        isChanged = this.#measure(row, borderBoxSize[0].blockSize) || isChanged;
      }
    }
    if (!isChanged) return;
    this.#isGrown = true;
    // Before anything is painted; but not where the rows are about to be others.
    if (!this.#isChanged && !this.#target) this.#settle(this.#look());
    this.#schedule();
  }

  #measure({ key, index }, height) {
    if (this.#heights.get(index) === height) return false;
    this.#heights.set(index, height);
    this.#measured.set(key, height);
    return true;
  }

  // Items

  #forget() {
    this.#measured.clear();
    this.#target = null;
    this.#isFollowing = true;
  }

  #move(steps, items) {
    const anchor = this.#anchor;
    const anchorKey = this.#keys[anchor.index];
    let survivor = null;
    for (let i = anchor.index; i < Math.max(this.#last, anchor.index + 1) && !survivor; i++) {
      const index = moved(i, steps);
      if (index >= 0) survivor = { index, y: anchor.y + this.#between(anchor.index, i) };
    }
    for (const { at, removed, added } of steps) {
      const news = items.slice(at, at + added);
      const keys = news.map((item) => this.#key(item));
      const heights = news.map((item, i) => this.#measured.get(keys[i]) ?? this.#estimate(item));
      this.#heights.splice(at, removed, heights);
      this.#keys = spliced(this.#keys, at, removed, keys);
      this.#items = spliced(this.#items, at, removed, news);
      if (this.#first >= at + removed) this.#first += added - removed;
      if (this.#last >= at + removed) this.#last += added - removed;
    }
    this.#rows.move((index) => moved(index, steps));
    const again = survivor ? -1 : this.#keys.indexOf(anchorKey);
    const index = again < 0 ? Math.max(0, Math.min(anchor.index, items.length - 1)) : again;
    this.#anchor = survivor ?? { index, y: anchor.y };
  }

  /** Px from where one item begins to where the other does. */
  #between(one, other) {
    return this.#heights.offset(other) - this.#heights.offset(one);
  }

  // Drawing: once a frame

  #schedule() {
    if (!this.#abort.signal.aborted) this.#frame ||= requestAnimationFrame(() => this.#draw());
  }

  #look() {
    const { clientHeight, clientTop, scrollTop } = this.#scroller;
    const edge = this.#scroller.getBoundingClientRect().top + clientTop;
    const start = this.#list.getBoundingClientRect().top - edge + scrollTop;
    return { top: scrollTop, height: clientHeight, start, spare: SPARE_ROWS };
  }

  #draw() {
    this.#frame = 0;
    const view = this.#look();
    if (!view.height) return;
    this.#notice(view);
    let isReady = false;
    for (let pass = 0; pass < PASSES && !isReady; pass++) isReady = !this.#show(view);
    this.#settle(view);
    if (!isReady || view.spare < SPARE_ROWS) this.#schedule();
  }

  /** Takes in how far somebody has scrolled. */
  #notice(view) {
    const way = view.top - this.#seenTop;
    if (!way) return;
    const gap = this.#scroller.scrollHeight - view.top - view.height;
    this.#seenTop = view.top;
    this.#isUpward = way < 0;
    this.#isFollowing = way > 0 ? gap <= AT_END : gap < 2;
    this.#isGrown ||= gap < 2; // by estimates; this makes it the true end
    const y = this.#viewTop(view, true);
    const isNear = y + view.height > this.#heights.offset(this.#first) &&
      y < this.#heights.offset(this.#last);
    // After a leap nothing is in view that has to stay.
    if (!isNear) this.#anchor = { index: 0, y: view.start };
    this.#pick(view);
  }

  /** Makes the first item of which the beginning is in view the anchor, or else the first in view. */
  #pick(view) {
    const y = this.#viewTop(view, true);
    let index = Math.max(0, this.#heights.indexAt(y));
    const next = this.#heights.offset(index + 1);
    const isCut = this.#heights.offset(index) < y && index + 1 < this.#heights.length;
    const isUsed = this.node(this.#keys[index])?.contains(document.activeElement);
    if (isCut && !isUsed && next < y + view.height / 2) index++;
    const { index: old, y: at } = this.#anchor;
    this.#anchor = { index, y: at + this.#between(old, index) };
  }

  /** Where the view begins, or is to, px from the first item. */
  #viewTop({ top, height }, isNow = false) {
    const end = this.#heights.total - height;
    const now = top - this.#anchor.y + this.#heights.offset(this.#anchor.index);
    if (isNow) return now;
    if (this.#target) {
      const index = this.#keys.indexOf(this.#target.key);
      const y = this.#heights.offset(index);
      return Math.max(0, Math.min(y - this.#inset(index, height, y - now), end));
    }
    return this.#isFollowing && this.#isGrown ? Math.max(0, end) : now;
  }

  /** How far below the top of the view the target is to be. */
  #inset(index, height, now) {
    const room = Math.max(0, height - this.#heights.get(index));
    const { block } = this.#target;
    if (block === "nearest") return Math.max(0, Math.min(now, room));
    return { top: Infinity, start: 0, center: room / 2, end: room }[block];
  }

  /** Has the rows in the document that it takes now. Gives whether any had to be measured. */
  #show(view) {
    const [first, last] = this.#range(this.#viewTop(view), view);
    const isSame = first === this.#first && last === this.#last;
    if (isSame && !this.#isChanged) return false;
    const isChanged = this.#isChanged;
    const fresh = this.#rows.show(this.#items, this.#keys, first, last, isChanged);
    this.#isChanged = false;
    this.#first = first;
    this.#last = last;
    this.#pad(Math.max(0, this.#space(view))); // lest the browser finds less to scroll
    const heights = fresh.map(({ node }) => node.getBoundingClientRect().height);
    const isOther = fresh.filter((row, i) => this.#measure(row, heights[i])).length > 0;
    this.#isGrown ||= isChanged && isOther;
    return fresh.length > 0;
  }

  #range(y, view) {
    const length = this.#heights.length;
    if (!length) return [0, 0];
    const around = (viewports) => [
      this.#heights.indexAt(y - viewports * view.height),
      this.#heights.indexAt(y + (1 + viewports) * view.height) + 1,
    ];
    const must = around(MUST);
    const want = around(WANT);
    const keep = around(KEEP);
    let [first, last] = must;
    if (this.#first < last && this.#last > first) {
      first = Math.min(first, Math.max(this.#first, keep[0]));
      last = Math.max(last, Math.min(this.#last, keep[1]));
    }
    for (; view.spare && (first > want[0] || last < want[1]); view.spare--) {
      if (first > want[0] && (this.#isUpward || last >= want[1])) first--;
      else last++;
    }
    return [first, last];
  }

  /** The space above the rows that leaves the anchor where it is. */
  #space({ start }) {
    return this.#anchor.y - start - this.#between(this.#first, this.#anchor.index);
  }

  /** Puts all in its place, now that the rows are there and measured. */
  #settle(view) {
    const { top, height, start } = view;
    const target = this.#target;
    const isToEnd = !target && this.#isFollowing && this.#isGrown;
    const truth = this.#heights.offset(this.#first);
    let to = top;
    if (target) {
      to = start + this.#viewTop(view);
      const index = this.#keys.indexOf(target.key);
      this.#anchor = { index, y: start + this.#heights.offset(index) };
      if (target.block === "top") to = 0;
    } else if (isToEnd) {
      this.#anchor = { index: this.#first, y: start + truth };
    } else {
      const space = this.#space(view);
      const isTight = space < 0 || this.#first === 0 || top - start < height;
      if (isTight || !this.#isMoving) {
        // Whole px, as `scrollTop` may have no others; the rest stays in the space.
        const less = Math.ceil(truth - space);
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
    const { height, start } = view;
    const { scrollHeight, scrollTop: top } = this.#scroller;
    this.#seenTop = top;
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
    const y = this.#viewTop({ top, height }, true);
    const keyAt = (place) => this.#keys[this.#heights.indexAt(place)] ?? null;
    this.dispatchEvent(
      new CustomEvent("scroll", {
        detail: {
          atEnd: this.#atEnd,
          nearStart: y < NEAR * height,
          nearEnd: this.#heights.total - y - height < NEAR * height,
          firstKey: keyAt(y),
          lastKey: keyAt(y + height - 1),
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
    const used = above + this.#between(this.#first, this.#last);
    const truth = Math.max(0, this.#heights.total - this.#heights.offset(this.#last));
    // A scrollbar that is dragged must not change: browsers ignore the hand then.
    const same = this.#extent - used;
    const isSame = this.#isMoving && this.#last < this.#heights.length;
    const below = isSame && same >= Math.min(truth, ENOUGH) ? same : truth;
    this.#extent = used + below;
    const { style } = this.#list;
    if (style.paddingTop !== `${above}px`) style.paddingTop = `${above}px`;
    if (style.paddingBottom !== `${below}px`) style.paddingBottom = `${below}px`;
    this.#rows.placeAway((index) => above + this.#between(this.#first, index));
  }
}

/** Array's splice, of any number of items. */
function spliced(array, at, removed, added) {
  if (added.length < 10_000) {
    array.splice(at, removed, ...added);
    return array;
  }
  return array.slice(0, at).concat(added, array.slice(at + removed));
}

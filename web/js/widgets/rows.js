// The nodes of those items of a long list that are in the document, kept by key.

export class Rows {
  #list;
  #options;
  #observer;
  #rows = new Map(); // key → { key, index, node, looks, isAway }
  #ofNode = new WeakMap();
  /** Of the rows in the flow; `last` is past them. */
  first = 0;
  last = 0;

  constructor(list, options, observer) {
    this.#list = list;
    this.#options = options;
    this.#observer = observer;
  }

  get(key) {
    return this.#rows.get(key);
  }

  of(node) {
    return this.#ofNode.get(node);
  }

  /** Items have moved: `place` gives the new index of an old one, or -1. */
  move(place) {
    for (const row of this.#rows.values()) row.index = row.index < 0 ? -1 : place(row.index);
    const here = [...this.#rows.values()].filter(({ isAway, index }) => !isAway && index >= 0);
    const indices = here.map(({ index }) => index);
    this.first = here.length ? Math.min(...indices) : 0;
    this.last = here.length ? Math.max(...indices) + 1 : 0;
  }

  /**
   * Has the items `first` … `last` - 1 in the document, and those that hold the focus or an end of
   * the selected text. Gives the rows that are new or drawn anew; of those in the document already
   * only where `isChanged`, as their items may look different.
   */
  show({ all, keys }, first, last, isChanged) {
    const fresh = [];
    const draw = (index) => {
      const row = this.#rows.get(keys[index]) ?? { key: keys[index], node: null, isAway: false };
      row.index = index;
      if ((!row.node || isChanged) && this.#draw(row, all)) fresh.push(row);
      this.#rows.set(row.key, row);
      return row;
    };
    // Before drawing: who is drawn anew may lose what it holds.
    const away = this.#held()
      .map((row) => row.index)
      .filter((index) => index >= 0 && (index < first || index >= last))
      .sort((one, other) => one - other);
    const shown = [];
    for (const index of away) if (index < first) shown.push(draw(index));
    for (let index = first; index < last; index++) shown.push(draw(index));
    for (const index of away) if (index >= last) shown.push(draw(index));
    for (const row of shown) {
      const isAway = row.index < first || row.index >= last;
      if (row.isAway === isAway) continue;
      row.isAway = isAway;
      row.node.toggleAttribute("data-away", isAway);
      row.node.style.top = "";
    }
    this.#arrange(shown);
    this.first = first;
    this.last = last;
    return fresh;
  }

  /** Puts rows outside the window where they belong: `place` gives px from an index. */
  placeAway(place) {
    for (const row of this.#rows.values()) {
      if (row.isAway) row.node.style.top = `${place(row.index)}px`;
    }
  }

  clear() {
    for (const row of this.#rows.values()) this.#drop(row);
  }

  /** Whether it had to be drawn. */
  #draw(row, items) {
    const { looks, position, render } = this.#options;
    const { index, node: old } = row;
    const item = items[index];
    const wanted = looks(item, index, items);
    const isDrawn = !old || row.looks !== wanted;
    if (isDrawn) {
      const node = render(item, index, items, old);
      if (node !== old) this.#replace(row, node);
      row.looks = wanted;
    }
    for (const [name, value] of Object.entries(position?.(item, index, items) ?? {})) {
      const attribute = `aria-${name}`;
      if (row.node.getAttribute(attribute) !== `${value}`) row.node.setAttribute(attribute, value);
    }
    return isDrawn;
  }

  #replace(row, node) {
    const old = row.node;
    row.node = node;
    node.toggleAttribute("data-away", row.isAway);
    this.#ofNode.set(node, row);
    this.#observer.observe(node, { box: "border-box" });
    if (!old) return;
    this.#observer.unobserve(old);
    const isFocused = old === document.activeElement;
    node.style.top = old.style.top;
    old.replaceWith(node);
    if (isFocused) node.focus({ preventScroll: true });
  }

  #held() {
    const { anchorNode, focusNode, isCollapsed } = document.getSelection();
    const ends = [document.activeElement, ...(isCollapsed ? [] : [anchorNode, focusNode])];
    const rows = ends.map((node) => {
      while (node && node.parentNode !== this.#list) node = node.parentNode;
      return this.#ofNode.get(node);
    });
    return [...new Set(rows)].filter(Boolean);
  }

  /** Has exactly these in this order; nodes in place are not touched, which keeps their focus. */
  #arrange(shown) {
    const wanted = new Set(shown);
    for (const row of this.#rows.values()) if (!wanted.has(row)) this.#drop(row);
    let place = this.#list.firstElementChild;
    for (const { node } of shown) {
      if (node === place) place = place.nextElementSibling;
      else this.#list.insertBefore(node, place);
    }
  }

  #drop(row) {
    this.#observer.unobserve(row.node);
    const isFocused = row.node.contains(document.activeElement);
    row.node.remove();
    if (isFocused) this.#list.parentElement.focus({ preventScroll: true }); // its item is gone
    this.#rows.delete(row.key);
  }
}

// Which rows of a long list are to be in the document.

// Viewports beyond the view in which rows are drawn at once, drawn a few a frame, and kept.
const MUST = 0.25;
const WANT = 1;
const KEEP = 1.5;

/**
 * @param {import("./heights.js").Heights} heights
 * @param {{ y: number, height: number }} view px from the first item, px
 * @param {{ first: number, last: number }} now the rows that are there; `last` is past them
 * @param {number} spare how many rows may be drawn ahead of need
 * @param {boolean} isUpward whether those above come first
 * @returns {{ first: number, last: number, spare: number }} and what is left of `spare`
 */
export function spanFor(heights, { y, height }, now, spare, isUpward) {
  if (!heights.length) return { first: 0, last: 0, spare };
  const around = (viewports) => [
    heights.indexAt(y - viewports * height),
    heights.indexAt(y + (1 + viewports) * height) + 1,
  ];
  let [first, last] = around(MUST);
  const isNear = now.first < last && now.last > first;
  if (isNear) {
    const [start, end] = around(KEEP);
    first = Math.min(first, Math.max(now.first, start));
    last = Math.max(last, Math.min(now.last, end));
  }
  const [start, end] = around(WANT);
  for (; spare && (first > start || last < end); spare--) {
    if (first > start && (isUpward || last >= end)) first--;
    else last++;
  }
  return { first, last, spare };
}

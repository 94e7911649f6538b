// Moving and zooming by mouse, wheel, fingers: one stream of small steps.

const WHEEL = 0.002; // zoom for each pixel of a wheel
const PINCHED = 0.01; // and of a touchpad, where two fingers come as a wheel with Ctrl
const LINE = 16; // pixels that a wheel which counts lines means
const TAP_PX = 8;
const DOUBLE_MS = 300;

/**
 * Tells what pointers do on a node; give it `touch-action: none`. Coordinates are CSS pixels from
 * the node's top left corner.
 * @param {HTMLElement} node
 * @param {object} acts
 * @param {(step: {dx, dy, factor, x, y}) => void} acts.move Since the last step: moved by `dx`,
 *   `dy`, zoomed by `factor` about `x`, `y`.
 * @param {(way: {dx, dy, fingers}) => void} [acts.end] All fingers are up: the whole way.
 * @param {(x: number, y: number) => void} [acts.twice] Tapped or clicked twice.
 */
export function onGestures(node, { move, end, twice }) {
  const pointers = new Map();
  let way = null;
  let tapped = { at: 0, x: 0, y: 0 };

  const from = ({ clientX, clientY }) => {
    const { left, top } = node.getBoundingClientRect();
    return { x: clientX - left, y: clientY - top };
  };
  /** The middle of all fingers, and how far they are from it. */
  const grip = () => {
    const all = [...pointers.values()];
    const mean = (of) => all.reduce((sum, one) => sum + of(one), 0) / all.length;
    const x = mean((one) => one.x);
    const y = mean((one) => one.y);
    return { x, y, spread: mean((one) => Math.hypot(one.x - x, one.y - y)) };
  };

  node.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    node.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, from(event));
    if (pointers.size === 1) way = { dx: 0, dy: 0, fingers: 1 };
    way.fingers = Math.max(way.fingers, pointers.size);
  });
  node.addEventListener("pointermove", (event) => {
    if (!pointers.has(event.pointerId)) return;
    const before = grip();
    pointers.set(event.pointerId, from(event));
    const { x, y, spread } = grip();
    const dx = x - before.x;
    const dy = y - before.y;
    way.dx += dx;
    way.dy += dy;
    const factor = before.spread > 0 && spread > 0 ? spread / before.spread : 1;
    move({ dx, dy, factor, x, y });
  });
  const up = (event) => {
    if (!pointers.delete(event.pointerId) || pointers.size > 0) return;
    end?.(way);
    const still = Math.hypot(way.dx, way.dy) < TAP_PX && way.fingers === 1;
    if (!still || event.type === "pointercancel") return;
    const { x, y } = from(event);
    const near = Math.hypot(x - tapped.x, y - tapped.y) < 4 * TAP_PX;
    const second = near && event.timeStamp - tapped.at < DOUBLE_MS;
    tapped = { at: second ? 0 : event.timeStamp, x, y };
    if (second) twice?.(x, y);
  };
  node.addEventListener("pointerup", up);
  node.addEventListener("pointercancel", up);
  node.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault();
      const pixels = event.deltaY * (event.deltaMode === WheelEvent.DOM_DELTA_LINE ? LINE : 1);
      const factor = Math.exp(-pixels * (event.ctrlKey ? PINCHED : WHEEL));
      move({ dx: 0, dy: 0, factor, ...from(event) });
    },
    { passive: false },
  );
}

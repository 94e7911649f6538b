// How loud a voice message is, drawn; and times as a clock shows them.

const BARS = 48;
const TALL = 24;
const WIDE = 3;

/**
 * As many loudnesses as are drawn, 0 to 100, out of any number of them.
 * @param {ArrayLike<number>} levels
 * @returns {number[]}
 */
export function peaksOf(levels, count = BARS) {
  const peaks = [];
  for (let bar = 0; bar < count; bar += 1) {
    const from = Math.floor((bar * levels.length) / count);
    const to = Math.max(from + 1, Math.floor(((bar + 1) * levels.length) / count));
    let most = 0;
    for (let at = from; at < to; at += 1) most = Math.max(most, Math.abs(levels[at] ?? 0));
    peaks.push(most);
  }
  const loudest = Math.max(...peaks) || 1;
  // The root, as ears hear it: soft speech beside a loud clap is still to be seen.
  return peaks.map((peak) => Math.round(Math.sqrt(peak / loudest) * 100));
}

/** An `<svg>` of bars in the colour of the text; `drawWave` draws on it. */
export function waveNode(className) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("class", `wave ${className}`);
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("vector-effect", "non-scaling-stroke");
  svg.append(path);
  return svg;
}

/** Draws peaks of 0 to 100; silence is a dot. */
export function drawWave(svg, peaks) {
  svg.setAttribute("viewBox", `0 0 ${peaks.length * WIDE} ${TALL}`);
  const bars = peaks.map((peak, bar) => {
    const tall = Math.max(0.1, ((TALL - 4) * peak) / 100);
    return `M${bar * WIDE + WIDE / 2} ${((TALL - tall) / 2).toFixed(1)}v${tall.toFixed(1)}`;
  });
  svg.firstChild.setAttribute("d", bars.join(""));
}

/** `0:07`, `12:34`. */
export function clockTime(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

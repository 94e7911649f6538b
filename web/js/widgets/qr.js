// QR codes, for a phone's camera to read off the screen.

import { t } from "../i18n.js";
import { qrcode } from "../../vendor/qrcode.js";

const QUIET = 4; // modules of white around it, as the standard wants
const SMALLEST = 0; // the library then takes the smallest that holds the text

/**
 * The text as a QR code, dark on white in every colour scheme; give it a size by CSS.
 * @param {string} text At most 2,331 bytes of UTF-8.
 * @param {string} [label] What a screen reader says instead.
 * @returns {SVGElement}
 */
export function qrCode(text, label = t("qrLabel")) {
  const code = qrcode(SMALLEST, "M");
  code.addData(String.fromCharCode(...new TextEncoder().encode(text)), "Byte");
  code.make();
  const count = code.getModuleCount();
  let drawn = "";
  for (let row = 0; row < count; row += 1) {
    for (let column = 0; column < count; column += 1) {
      if (code.isDark(row, column)) drawn += `M${column + QUIET} ${row + QUIET}h1v1h-1z`;
    }
  }
  const size = count + 2 * QUIET;
  return svg(
    "svg",
    { class: "qr", viewBox: `0 0 ${size} ${size}`, role: "img", "aria-label": label },
    svg("path", { d: `M0 0h${size}v${size}h-${size}z`, fill: "#fff" }),
    svg("path", { d: drawn, fill: "#000", "shape-rendering": "crispEdges" }),
  );
}

function svg(tag, attributes, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

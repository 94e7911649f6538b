// What cameras and editors write into picture files besides the picture: where it was taken, when,
// with what. Read for the orientation, and taken out without touching the picture itself.

export const JPEG = "image/jpeg";
export const PNG = "image/png";
export const WEBP = "image/webp";
export const GIF = "image/gif";

const PNG_KEPT = new Set([
  ...["IHDR", "PLTE", "IDAT", "IEND", "tRNS", "cHRM", "gAMA", "iCCP", "sBIT", "sRGB", "bKGD"],
  ...["hIST", "pHYs", "sPLT", "acTL", "fcTL", "fdAT", "cICP", "mDCV", "cLLI"],
]);
const WEBP_KEPT = new Set(["VP8X", "VP8 ", "VP8L", "ALPH", "ANIM", "ANMF", "ICCP"]);
const GIF_KEPT = ["NETSCAPE2.0", "ANIMEXTS1.0"]; // how often it repeats
const ANIMATED = 0x02; // flags in WebP's VP8X
const EXIF_AND_XMP = 0x0c;

/** The type that the first bytes tell, or `""`. */
export function kindOf(bytes) {
  const start = latin(bytes, 0, 12);
  if (start.startsWith("\xff\xd8\xff")) return JPEG;
  if (start.startsWith("\x89PNG\r\n\x1a\n")) return PNG;
  if (/^GIF8[79]a/.test(start)) return GIF;
  return /^RIFF....WEBP$/s.test(start) ? WEBP : "";
}

/**
 * The file in its parts.
 * @param {Uint8Array} bytes
 * @param {string} kind As `kindOf` tells it.
 * @returns {{ kept: Uint8Array[], exif: Uint8Array | null, animated: boolean }} `kept`, joined, is
 *   the same picture without metadata.
 * @throws {RangeError} The file is damaged, or of a kind that is not known here.
 */
export function dissect(bytes, kind) {
  const take = { [JPEG]: jpeg, [PNG]: png, [WEBP]: webp, [GIF]: gif }[kind];
  if (!take) throw new RangeError("unknown kind");
  const found = { kept: [], exif: null, animated: false };
  take(bytes, found);
  return found;
}

/** EXIF's orientation, 1 (upright) to 8, out of its TIFF block. */
export function orientationOf(exif) {
  if (!exif) return 1;
  const view = new DataView(exif.buffer, exif.byteOffset, exif.byteLength);
  const little = latin(exif, 0, 2) === "II";
  try {
    const table = view.getUint32(4, little);
    const count = view.getUint16(table, little);
    for (let entry = 0; entry < count; entry += 1) {
      const at = table + 2 + entry * 12;
      if (view.getUint16(at, little) === 0x0112) return view.getUint16(at + 8, little);
    }
  } catch (error) {
    if (!(error instanceof RangeError)) throw error; // a cut block
  }
  return 1;
}

function jpeg(bytes, found) {
  found.kept.push(part(bytes, 0, 2));
  for (let at = 2; ; ) {
    const marker = word(bytes, at);
    if (marker === 0xffd9) {
      found.kept.push(part(bytes, at, at + 2)); // what follows is not this picture
      return;
    }
    if (marker < 0xffc0 || marker === 0xffff) throw new RangeError("no marker");
    let end = at + 2 + word(bytes, at + 2);
    const name = latin(bytes, at + 4, at + 16);
    if (marker === 0xffe1 && name.startsWith("Exif\0\0")) found.exif = part(bytes, at + 10, end);
    if (marker === 0xffda) end = endOfScan(bytes, end);
    const application = marker >= 0xffe0 && marker <= 0xffef;
    const colours = /^(JFIF\0|Adobe|ICC_PROFILE\0)/.test(name);
    if (application ? colours : marker !== 0xfffe) found.kept.push(part(bytes, at, end));
    at = end;
  }
}

/** The next marker that is neither stuffing nor a restart. */
function endOfScan(bytes, from) {
  for (let at = bytes.indexOf(0xff, from); at >= 0; at = bytes.indexOf(0xff, at + 1)) {
    const next = bytes[at + 1];
    if (next >= 0xc0 && next < 0xff && !(next >= 0xd0 && next <= 0xd7)) return at;
  }
  throw new RangeError("no end");
}

function png(bytes, found) {
  found.kept.push(part(bytes, 0, 8));
  for (let at = 8, name = ""; name !== "IEND"; ) {
    const end = at + 12 + word(bytes, at) * 0x10000 + word(bytes, at + 2);
    name = latin(bytes, at + 4, at + 8);
    const chunk = part(bytes, at, end);
    if (name === "eXIf") found.exif = chunk.subarray(8, -4);
    if (name === "acTL") found.animated = true;
    if (PNG_KEPT.has(name)) found.kept.push(chunk);
    at = end;
  }
}

function webp(bytes, found) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const end = Math.min(bytes.length, 8 + view.getUint32(4, true));
  let size = 4;
  for (let at = 12; at + 8 <= end; ) {
    const name = latin(bytes, at, at + 4);
    const length = view.getUint32(at + 4, true);
    let chunk = part(bytes, at, at + 8 + length + (length % 2));
    at += chunk.length;
    if (name === "EXIF") {
      const old = latin(chunk, 8, 14) === "Exif\0\0"; // some write JPEG's head here as well
      found.exif = chunk.subarray(old ? 14 : 8);
    }
    if (!WEBP_KEPT.has(name)) continue;
    if (name === "VP8X") {
      found.animated = !!(chunk[8] & ANIMATED);
      chunk = chunk.slice();
      chunk[8] &= ~EXIF_AND_XMP;
    }
    size += chunk.length;
    found.kept.push(chunk);
  }
  const head = bytes.slice(0, 12);
  new DataView(head.buffer).setUint32(4, size, true);
  found.kept.unshift(head);
}

function gif(bytes, found) {
  found.animated = true; // or as good as: it is left as it is
  const table = (flags) => (flags & 0x80 ? 3 * 2 ** ((flags & 7) + 1) : 0);
  const afterBlocks = (from) => {
    let at = from;
    while (byte(bytes, at) !== 0) at += 1 + bytes[at];
    return at + 1;
  };
  let at = 13 + table(byte(bytes, 10));
  found.kept.push(part(bytes, 0, at));
  for (;;) {
    const start = at;
    const kind = byte(bytes, at);
    if (kind === 0x3b) {
      found.kept.push(part(bytes, at, at + 1));
      return;
    }
    if (kind === 0x2c) {
      at = afterBlocks(at + 11 + table(byte(bytes, at + 9)));
    } else if (kind === 0x21) {
      at = afterBlocks(at + 2);
      const label = bytes[start + 1];
      const named = GIF_KEPT.includes(latin(bytes, start + 3, start + 14));
      if (label === 0xfe || (label === 0xff && !named)) continue;
    } else throw new RangeError("no block");
    found.kept.push(part(bytes, start, at));
  }
}

function part(bytes, from, to) {
  if (to > bytes.length) throw new RangeError("cut short");
  return bytes.subarray(from, to);
}

const byte = (bytes, at) => part(bytes, at, at + 1)[0];
const word = (bytes, at) => byte(bytes, at) * 256 + byte(bytes, at + 1);
const latin = (bytes, from, to) => String.fromCharCode(...bytes.subarray(from, to));

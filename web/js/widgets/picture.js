// Pictures before they are sent: smaller, upright, without what the camera wrote into them.

import { WidgetError } from "./error.js";
import { GIF, JPEG, PNG, WEBP, dissect, kindOf, orientationOf } from "./metadata.js";

const LONGEST = 2048;
const PREVIEW = 480;
const QUALITY = 0.85;
const SMALL_PNG = 300 * 1024; // a screenshot, a drawing: sharper and often smaller than as WebP
const ENDINGS = { [JPEG]: "jpg", [PNG]: "png", [WEBP]: "webp", [GIF]: "gif" };

/**
 * Makes a picture ready for sending: at most 2,048 pixels long, upright, without metadata. What
 * is animated, and a small PNG, stays as it is but for the metadata.
 * @param {File} file
 * @returns {Promise<{ blob: Blob, name: string, type: string, width: number, height: number,
 *   preview: Blob | null }>} `preview` is at most 480 pixels long, null if the picture is anyway.
 * @throws {WidgetError} `pictureBroken`.
 */
export async function preparePicture(file) {
  const bitmap = await decode(file);
  try {
    const bytes = new Uint8Array(await file.arrayBuffer());
    const kind = kindOf(bytes);
    const { width, height } = bitmap;
    const original = asItWas(bytes, kind);
    const fits = Math.max(width, height) <= LONGEST;
    const small = kind === PNG && fits && bytes.length <= SMALL_PNG;
    // Photos as JPEG, which every client shows; WebP where there may be transparency.
    const type = kind === PNG || kind === WEBP || kind === GIF ? WEBP : JPEG;
    const preview = Math.max(width, height) > PREVIEW ? await drawn(bitmap, PREVIEW, type) : null;
    const result = (blob, size) => ({
      ...{ blob, name: renamed(file.name, blob.type), type: blob.type },
      ...{ ...size, preview: preview?.blob ?? null },
    });
    if (original?.animated || (original && small)) return result(original.blob, { width, height });
    const { blob, ...size } = await drawn(bitmap, LONGEST, type);
    if (original && fits && original.blob.size <= blob.size) {
      return result(original.blob, { width, height });
    }
    return result(blob, size);
  } finally {
    bitmap.close();
  }
}

/** The picture, decoded and upright; close it. Throws `WidgetError`. */
export async function decode(file) {
  try {
    return await createImageBitmap(file, { imageOrientation: "from-image" });
  } catch (error) {
    throw new WidgetError("pictureBroken", error);
  }
}

/** The file without its metadata; null where that would change how it looks. */
function asItWas(bytes, kind) {
  try {
    const { kept, exif, animated } = dissect(bytes, kind);
    if (orientationOf(exif) !== 1) return null;
    return { blob: new Blob(kept, { type: kind }), animated };
  } catch (error) {
    if (error instanceof RangeError) return null; // the browser could read it all the same
    throw error;
  }
}

async function drawn(bitmap, longest, type) {
  const scale = Math.min(1, longest / Math.max(bitmap.width, bitmap.height));
  const width = Math.max(1, Math.round(bitmap.width * scale));
  const height = Math.max(1, Math.round(bitmap.height * scale));
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  if (type === JPEG) {
    context.fillStyle = "#fff";
    context.fillRect(0, 0, width, height);
  }
  context.drawImage(bitmap, 0, 0, width, height);
  // A browser that cannot write WebP writes PNG instead.
  return { blob: await canvas.convertToBlob({ type, quality: QUALITY }), width, height };
}

function renamed(name, type) {
  const bare = name.replace(/\.[^.]{1,5}$/, "") || "picture";
  const ending = ENDINGS[type];
  return ending === "jpg" && /\.jpe?g$/i.test(name) ? name : `${bare}.${ending}`;
}

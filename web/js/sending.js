// From files and recordings to messages: what is uploaded, and what the message then says.

import { errorText } from "./format.js";
import { attachmentTray } from "./widgets/attachments.js";

const METADATA_MS = 3000; // a film that says no length by then goes without

/**
 * A tray of files that become messages of `place` once uploaded; the caption goes with the first.
 * `acts`: `sent()` after each, `closed()`; `ref()`: what the first one answers. See `attachmentTray`.
 */
export function filesTray(client, place, files, { sent, closed, ref }) {
  return attachmentTray(files, {
    upload: (file, options) => upload(client, file, options),
    onSent: (file, what, caption) => {
      const answered = ref();
      client.send(place, { ...what, content: caption, ...(answered && { ref: answered }) });
      sent();
    },
    onClose: closed,
    explain: errorText,
  });
}

/** Uploads a recording and sends it. Throws `ApiError`. */
export async function sendVoice(client, place, { blob, type, seconds }) {
  const ending = type.includes("mp4") ? "m4a" : type.includes("ogg") ? "ogg" : "webm";
  const url = await client.upload(blob, { name: `voice.${ending}`, type });
  client.send(place, { media: 3, url, amount: Math.max(1, Math.round(seconds)) });
}

async function upload(client, file, { onProgress, signal }) {
  const { name, type, size } = file;
  if (/^image\/(jpeg|png|gif|webp|avif|bmp)$/.test(type))
    return uploadPicture(client, file, { onProgress, signal });
  const url = await client.upload(file, { name, type, onProgress, signal });
  if (!/^video\/(mp4|webm|quicktime)$/.test(type))
    return { media: 10, url, memo: name, amount: size };
  const seconds = await lengthOf(file);
  return { media: 8, url, memo: name, ...(seconds && { amount: seconds }) };
}

async function uploadPicture(client, file, { onProgress, signal }) {
  const { preparePicture } = await import("./widgets/picture.js");
  const { blob, name, type, preview } = await preparePicture(file);
  signal.throwIfAborted();
  const url = await client.upload(blob, { name, type, onProgress, signal });
  if (!preview) return { media: 4, url };
  const ending = preview.type.split("/").pop();
  const pic = await client.upload(preview, {
    name: `preview.${ending}`,
    type: preview.type,
    signal,
  });
  return { media: 4, url, pic };
}

/** Whole seconds of a film, 0 where the browser cannot tell. */
function lengthOf(file) {
  const film = document.createElement("video");
  const address = URL.createObjectURL(file);
  return new Promise((done) => {
    film.addEventListener("loadedmetadata", () => done(film.duration));
    film.addEventListener("error", () => done(0));
    setTimeout(() => done(0), METADATA_MS);
    film.preload = "metadata";
    film.src = address;
  }).then((seconds) => {
    URL.revokeObjectURL(address);
    return Number.isFinite(seconds) ? Math.round(seconds) : 0;
  });
}

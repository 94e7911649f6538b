// Files go straight to where the server says.

import { ApiError } from "./session.js";

const MEDIA_TYPE = /^[\w!#$&^.+-]+\/[\w!#$&^.+-]+$/;

/** See `Tandem.upload` in tandem.d.ts. */
export async function upload(session, file, { name, type, onProgress, signal } = {}) {
  signal?.throwIfAborted();
  const [kind] = (type ?? file.type ?? "").split(";"); // without `codecs=…`
  const slot = await session.request("POST", "/api/uploads", {
    name: name ?? file.name ?? "file",
    size: file.size,
    type: MEDIA_TYPE.test(kind.trim()) ? kind.trim() : "",
  });
  signal?.throwIfAborted();
  const put = globalThis.XMLHttpRequest ? putWithProgress : putPlainly;
  await put(slot, file, { fetch: session.fetch, onProgress, signal });
  onProgress?.(1);
  return slot.get;
}

async function putPlainly({ put, headers }, body, { fetch, signal }) {
  let response;
  try {
    response = await fetch(put, { method: "PUT", headers, body, signal });
  } catch {
    signal?.throwIfAborted();
    throw new ApiError(0);
  }
  await response.body?.cancel();
  check(response.status, response.headers.get("Retry-After"));
}

function putWithProgress({ put, headers }, body, { onProgress, signal }) {
  return new Promise((resolve, reject) => {
    const call = new XMLHttpRequest();
    call.open("PUT", put);
    for (const [name, value] of Object.entries(headers)) call.setRequestHeader(name, value);
    call.upload.onprogress = ({ loaded, total }) => onProgress?.(total ? loaded / total : 0);
    call.onload = () => {
      try {
        resolve(check(call.status, call.getResponseHeader("Retry-After")));
      } catch (error) {
        reject(error);
      }
    };
    call.onerror = () => reject(new ApiError(0));
    call.onabort = () => reject(signal.reason);
    signal?.addEventListener("abort", () => call.abort(), { once: true });
    call.send(body);
  });
}

function check(status, retryAfter) {
  const isThere = (status >= 200 && status < 300) || status === 409; // 409: uploaded already
  if (!isThere) throw new ApiError(status, {}, retryAfter === null ? null : Number(retryAfter));
}

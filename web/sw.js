// Keeps the page and its files, so that the chat opens without a network; and shows what a
// notification tells of (js/notifications.js).
//
// Above this the server writes a line, `const SHELL = {hash, files}`: the name of the set of files
// and their addresses (server/assets.py). A new set is a new worker with a cache of its own, which
// takes over at once. Tabs that were open before still import from their own set, which the server
// has no more: the older caches stay until the last of these tabs is closed.

const CACHE = `tandem-${SHELL.hash}`;
const PAGE = "/";
const OPEN_BEFORE = "/open-before"; // an entry of the cache, never asked of the server
const PATIENCE_MS = 3000;

self.addEventListener("install", (event) => {
  self.skipWaiting();
  event.waitUntil(keepShell());
});

self.addEventListener("activate", (event) => event.waitUntil(takeOver()));

self.addEventListener("fetch", (event) => {
  const { method, mode, url } = event.request;
  const { origin, pathname } = new URL(url);
  if (method !== "GET") return;
  if (mode === "navigate" && origin === location.origin && pathname === PAGE) {
    event.respondWith(openPage(event));
    event.waitUntil(forgetOlder());
  } else if (/\/assets\/[0-9a-f]{16}\//.test(pathname)) {
    event.respondWith(kept(url).then((response) => response ?? fetch(event.request)));
  }
});

self.addEventListener("notificationclick", (event) => {
  event.notification.close();
  event.waitUntil(show(event.notification.data));
});

async function keepShell() {
  const page = await fetch(PAGE, { cache: "no-cache" });
  // While the nodes of a service are replaced, another one may have sent another page.
  const text = await page.clone().text();
  if (!page.ok || !text.includes(`/assets/${SHELL.hash}/`)) {
    throw new Error("the page is not of this worker's version");
  }
  const cache = await caches.open(CACHE);
  await cache.addAll(SHELL.files);
  await cache.put(PAGE, page);
}

async function takeOver() {
  await self.registration.navigationPreload?.enable();
  const open = await self.clients.matchAll({ type: "window", includeUncontrolled: true });
  const tabs = open.map(({ id }) => id);
  // By name: the next worker may be filling its own cache when these are deleted.
  const older = (await caches.keys()).filter((one) => /^tandem-/.test(one) && one !== CACHE);
  const cache = await caches.open(CACHE);
  await cache.put(OPEN_BEFORE, Response.json({ tabs, older }));
  await self.clients.claim();
  await forgetOlder();
}

/** Deletes the older caches, once no tab is open that was when this worker took over. */
async function forgetOlder() {
  const cache = await caches.open(CACHE);
  const listed = await cache.match(OPEN_BEFORE);
  if (!listed) return;
  const { tabs, older } = await listed.json();
  const open = await Promise.all(tabs.map((id) => self.clients.get(id)));
  if (open.some(Boolean)) return;
  await Promise.all(older.map((name) => caches.delete(name)));
  await cache.delete(OPEN_BEFORE);
}

/** The page from the server; the one that is kept, where that does not answer or is not well. */
async function openPage(event) {
  const asked = askForPage(event);
  const answer = await Promise.race([asked, patience()]);
  if (answer && answer.status < 500) return answer;
  const cache = await caches.open(CACHE);
  return (await cache.match(PAGE)) ?? (await asked) ?? Response.error();
}

async function askForPage(event) {
  try {
    return (await event.preloadResponse) ?? (await fetch(event.request));
  } catch {
    return null; // no network
  }
}

function patience() {
  return new Promise((resolve) => setTimeout(resolve, PATIENCE_MS));
}

/** Shows a message in the page that is open, or else in a new one. */
async function show({ key, seq }) {
  const [page] = await self.clients.matchAll({ type: "window" });
  if (!page) return self.clients.openWindow(`${PAGE}#/${key}/${seq}`);
  page.postMessage({ key, seq });
  return page.focus();
}

/** A file from any of the caches: its address names its set. */
function kept(url) {
  return caches.match(url, { ignoreVary: true });
}

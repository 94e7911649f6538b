// Locks that all tabs of this origin share (Web Locks API). Where a browser has none (it offers
// them to secure contexts only) tabs do without, and only calls within one page wait in turn.

const waiting = new Map();

/** Runs `task` while no other tab or call is in a task of this `name`; gives what it gives. */
export function withLock(name, task) {
  if (globalThis.navigator?.locks) return navigator.locks.request(name, task);
  const turn = (waiting.get(name) ?? Promise.resolve()).then(task);
  waiting.set(name, turn.catch(() => {}));
  return turn;
}

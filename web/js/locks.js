// Locks that all tabs of this page share (Web Locks API). Where a browser has none (it offers them
// to secure contexts only) tabs do without, and only calls within one page wait for one another.

const waiting = new Map();

/** Runs `task` while no other tab or call is in a task of this `name`; gives what it gives. */
export function withLock(name, task) {
  if (globalThis.navigator?.locks) return navigator.locks.request(name, task);
  const turn = (waiting.get(name) ?? Promise.resolve()).then(task);
  waiting.set(name, turn.catch(() => {}));
  return turn;
}

/** Holds a lock until the page is gone; resolves once it is held. */
export function holdLock(name) {
  if (!globalThis.navigator?.locks) return Promise.resolve();
  return new Promise((held) => {
    navigator.locks.request(name, () => {
      held();
      return new Promise(() => {});
    });
  });
}

/** Runs `task` if nobody holds the lock now. */
export async function ifUnlocked(name, task) {
  if (!globalThis.navigator?.locks) return task();
  return navigator.locks.request(name, { ifAvailable: true }, (lock) => lock && task());
}

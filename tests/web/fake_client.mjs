// What the caches of the page need from the SDK's client, for their tests.

/** Answers come from `answer(method, path, body)`, which may throw; every call is in `calls`. */
export class FakeClient extends EventTarget {
  user = { id: 10_000, username: "alice", jid: "alice@localhost" };
  state = "stopped";
  calls = [];
  forgotten = [];

  constructor(answer) {
    super();
    this.answer = answer;
  }

  async request(method, path, body) {
    this.calls.push(`${method} ${path}`);
    return this.answer(method, path, body);
  }

  on(type, act) {
    const listener = ({ detail }) => act(detail);
    this.addEventListener(type, listener);
    return () => this.removeEventListener(type, listener);
  }

  hear(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  become(state) {
    this.state = state;
    this.hear("state");
  }

  forget(id) {
    this.forgotten.push(id);
  }
}

export const failure = (status, reason = "") => Object.assign(new Error(reason), { status, reason });

/** Resolves at the next event of this type, to its detail. */
export const next = (target, type) =>
  new Promise((done) =>
    target.addEventListener(type, ({ detail }) => done(detail), { once: true }),
  );

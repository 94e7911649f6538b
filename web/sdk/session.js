// One's login: the tokens, in storage that all tabs share, and HTTP calls made with them.

const KEY = "tandem:session";
const EARLY_MS = 30_000; // renew the access token this long before it expires
const LOGOUT_MS = 3000; // for the server to hear of it

const waiting = new Map();

/**
 * Runs `task` while no other tab or call is in a task of this `name`; gives what it gives. By locks
 * that all tabs of this origin share (Web Locks API). Where a browser has none (it offers them to
 * secure contexts only) tabs do without, and only calls within one page wait in turn.
 */
function withLock(name, task) {
  if (globalThis.navigator?.locks) return navigator.locks.request(name, task);
  const turn = (waiting.get(name) ?? Promise.resolve()).then(task);
  waiting.set(name, turn.catch(() => {}));
  return turn;
}

/** What a login is asked with: all digits name an id, since a username begins with a letter. */
function named(who) {
  if (/^\d{1,16}$/.test(who)) return { id: Number(who) };
  return who.startsWith("+") ? { mobile: who } : { username: who };
}

/** An HTTP call that did not succeed: see tandem.d.ts. */
export class ApiError extends Error {
  constructor(status, problem = {}, retryAfter = null) {
    super(problem.detail || problem.title || `HTTP ${status}`);
    this.status = status;
    this.reason = /^\/problems\/([\w-]+)$/.exec(problem.type ?? "")?.[1] ?? "";
    this.detail = problem.detail ?? "";
    this.errors = problem.errors ?? {};
    this.retryAfter = retryAfter;
  }
}

export class Session {
  #tokens;
  #storage;
  #onEnd;
  #isLeaving = false;

  /** `onEnd(wished)`: there is no login any more, by the user's wish or not. */
  constructor({ base, tokens, fetch = globalThis.fetch.bind(globalThis), onEnd }) {
    this.base = base;
    this.fetch = fetch;
    this.#storage = tokens;
    this.#onEnd = onEnd;
    this.#tokens = this.#stored();
  }

  /** `{id, username, jid}`, or null where nobody is logged in. */
  get user() {
    return this.#tokens && (({ id, username, jid }) => ({ id, username, jid }))(this.#tokens);
  }

  async register(account) {
    const given = Object.entries(account).filter(([, value]) => value);
    this.#save(await this.#call("POST", "/api/register", Object.fromEntries(given)));
  }

  async login(who, password) {
    this.#save(await this.#call("POST", "/api/login", { ...named(who), password }));
  }

  /** Ends the session (`all`: every one of the account) at the server too, if it is there. */
  async logout(all) {
    this.#isLeaving = true;
    let timer;
    const patience = new Promise((done) => (timer = setTimeout(done, LOGOUT_MS)));
    const told = this.request("POST", "/api/logout", all ? { all } : {}).catch(() => {});
    await Promise.race([told, patience]);
    clearTimeout(timer);
    this.end(true);
    this.#isLeaving = false;
  }

  /** Forgets the tokens, here and in the other tabs. */
  end(wished) {
    if (!this.#tokens) return;
    // Another tab may have logged in anew since: that login is not ours to forget.
    if (this.#stored()?.id === this.#tokens.id) this.#storage.removeItem(KEY);
    this.#tokens = null;
    this.#onEnd(wished || this.#isLeaving);
  }

  /** Whether storage holds another login than this one: another tab logged in or out. */
  isOutdated() {
    return (this.#stored()?.id ?? 0) !== (this.#tokens?.id ?? 0);
  }

  /** A call as this user. Throws `ApiError`; after a 401 the session has ended. */
  async request(method, path, body) {
    if (!this.#tokens) throw new ApiError(401);
    let token = this.#tokens.token;
    if (Date.now() > this.#tokens.expires - EARLY_MS) token = await this.#renew(token);
    try {
      return await this.#call(method, path, body, token);
    } catch (error) {
      if (error.status !== 401) throw error;
    }
    token = await this.#renew(token);
    try {
      return await this.#call(method, path, body, token);
    } catch (error) {
      if (error.status === 401) this.end(false);
      throw error;
    }
  }

  /**
   * A fresh access token in place of `old`. A refresh token works once and its second use ends
   * the session, so tabs take turns, and the later one finds what the earlier one got.
   */
  #renew(old) {
    return withLock("tandem-refresh", async () => {
      const stored = this.#stored();
      if (!this.#tokens || stored?.id !== this.#tokens.id) {
        this.end(false);
        throw new ApiError(401);
      }
      this.#tokens = stored;
      if (stored.token !== old && Date.now() < stored.expires) return stored.token;
      try {
        const { refresh_token } = stored;
        const pair = await this.#call("POST", "/api/token", { refresh_token });
        this.#save({ ...stored, ...pair });
      } catch (error) {
        if (error.status === 401) this.end(false);
        throw error;
      }
      return this.#tokens.token;
    });
  }

  async #call(method, path, body, token) {
    const headers = {};
    if (body !== undefined) headers["Content-Type"] = "application/json";
    if (token) headers.Authorization = `Bearer ${token}`;
    let response;
    let answer;
    try {
      const sent = body === undefined ? undefined : JSON.stringify(body);
      response = await this.fetch(this.base + path, { method, headers, body: sent });
      answer = await response.text();
    } catch {
      throw new ApiError(0);
    }
    let data = {};
    try {
      data = JSON.parse(answer || "{}");
    } catch {
      if (response.ok) throw new ApiError(0);
    }
    if (response.ok) return data;
    const seconds = Number(response.headers.get("Retry-After") ?? NaN);
    throw new ApiError(response.status, data, Number.isFinite(seconds) ? seconds : null);
  }

  #save(answer) {
    const { id, username, jid, token, refresh_token, expires_in } = answer;
    const expires = Date.now() + expires_in * 1000;
    this.#tokens = { id, username, jid, token, refresh_token, expires };
    this.#storage.setItem(KEY, JSON.stringify(this.#tokens));
  }

  #stored() {
    try {
      return JSON.parse(this.#storage.getItem(KEY));
    } catch {
      return null;
    }
  }
}

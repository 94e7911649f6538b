// Groups and their members as far as they were asked for, kept up by the client's events.

const PAGE = 500;
const PAUSE_MS = 150; // after an event: others often follow
const SPREAD_MS = 0.5; // for each member: those of a large group do not all ask at once
const TIMER_MOST = 2 ** 31 - 1;

/**
 * @typedef {{id: number, name: string, avatar: string, memo: string, owner: number, role: string,
 *   count: number, history: string, muted_all: boolean, announcement: string, join: string}} Group
 *   `role` is one's own: `owner`, `admin` or `member`.
 * @typedef {{id: number, nickname: string, nick: string, role: string, muted_until: number,
 *   joined: number}} Member
 *   `nick`: the name in this group. Times: milliseconds since 1970 UTC; 0 is not muted.
 */

/** Fires `change` with `detail` `{gid}`. Its calls throw the client's `ApiError`. */
export class Groups extends EventTarget {
  #client;
  #random;
  #entries = new Map(); // gid → what `#entry` makes

  constructor(client, { random = Math.random } = {}) {
    super();
    this.#client = client;
    this.#random = random;
    client.on("group", (news) => this.#onGroup(news));
    client.on("state", () => {
      if (client.state === "online") for (const gid of this.#entries.keys()) this.refresh(gid);
    });
  }

  /** The group as far as it is known, else null: asked for, then `change` is fired. */
  get(gid) {
    const entry = this.#entry(gid);
    if (entry.isStale) this.load(gid).catch(throwBugs);
    return entry.group;
  }

  /** Reads the group and one's own membership anew. */
  load(gid) {
    const entry = this.#entry(gid);
    entry.reading ??= this.#read(gid, entry);
    return entry.reading;
  }

  /** All members, by id: read once until something changes. */
  members(gid) {
    const entry = this.#entry(gid);
    if (!entry.members) {
      const reading = this.#readMembers(gid);
      entry.members = reading;
      const done = (members) => {
        entry.known = members;
        this.#changed(gid);
      };
      reading.then(done, () => entry.members === reading && (entry.members = null));
    }
    return entry.members;
  }

  /** The members if they were read, perhaps a moment ago; else null. */
  known(gid) {
    return this.#entries.get(gid)?.known ?? null;
  }

  /** Whether oneself is owner or admin. */
  isAdmin(gid) {
    return isAdmin(this.get(gid)?.role);
  }

  /** Why oneself may not speak there: `{kind: "muted", until}`, `{kind: "mutedAll"}`, or null. */
  speakingBar(gid) {
    const group = this.get(gid);
    const until = this.own(gid)?.muted_until ?? 0;
    if (until > Date.now()) return { kind: "muted", until };
    return group?.muted_all && !isAdmin(group.role) ? { kind: "mutedAll" } : null;
  }

  /** Oneself as a member, with one's mute and name there; null until known. */
  own(gid) {
    return this.#entries.get(gid)?.own ?? null;
  }

  /** Something changed: what is known is asked for anew when next needed. */
  refresh(gid) {
    const entry = this.#entry(gid);
    clearTimeout(entry.pause);
    entry.pause = null;
    entry.members = null;
    entry.isStale = true;
    this.#changed(gid);
  }

  #entry(gid) {
    let entry = this.#entries.get(gid);
    if (!entry) {
      entry = { group: null, own: null, isStale: true, reading: null, members: null, known: null };
      this.#entries.set(gid, entry);
    }
    return entry;
  }

  async #read(gid, entry) {
    entry.isStale = false;
    const own = this.#client.user.id;
    try {
      const [group, page] = await Promise.all([
        this.#client.request("GET", `/api/groups/${gid}`),
        this.#client.request("GET", `/api/groups/${gid}/members?after=${own - 1}&limit=1`),
      ]);
      entry.group = group;
      entry.own = page.members.find(({ id }) => id === own) ?? null;
    } catch (error) {
      if (error.reason !== "not-a-member") {
        entry.isStale = true;
      } else {
        this.#forget(entry);
        this.#changed(gid);
      }
      throw error;
    } finally {
      entry.reading = null;
    }
    this.#wakeUnmuted(gid, entry);
    this.#changed(gid);
    return entry.group;
  }

  async #readMembers(gid) {
    const members = [];
    for (let after = 0, more = true; more; after = members.at(-1)?.id) {
      const path = `/api/groups/${gid}/members?after=${after}&limit=${PAGE}`;
      const page = await this.#client.request("GET", path);
      members.push(...page.members);
      more = page.more && page.members.length > 0;
    }
    return members;
  }

  #onGroup({ event, dstid: gid, userid }) {
    const entry = this.#entries.get(gid);
    if (!entry) return;
    const isGone = event === "dissolved" || event === "left" || event === "removed";
    if (event === "dissolved" || (isGone && userid === this.#client.user.id)) {
      this.#forget(entry);
      this.#changed(gid);
      return;
    }
    entry.members = null;
    const spread = SPREAD_MS * (entry.group?.count ?? 0) * this.#random();
    entry.pause ??= setTimeout(() => this.refresh(gid), PAUSE_MS + spread);
  }

  #forget(entry) {
    clearTimeout(entry.pause);
    clearTimeout(entry.unmuting);
    Object.assign(entry, { group: null, own: null, members: null, known: null, pause: null });
  }

  /** One's own mute ends by itself. */
  #wakeUnmuted(gid, entry) {
    clearTimeout(entry.unmuting);
    const left = (entry.own?.muted_until ?? 0) - Date.now();
    if (left > 0 && left < TIMER_MOST) {
      entry.unmuting = setTimeout(() => this.#changed(gid), left + 1);
    }
  }

  #changed(gid) {
    this.dispatchEvent(new CustomEvent("change", { detail: { gid } }));
  }
}

export const isAdmin = (role) => role === "owner" || role === "admin";

/** A `muted_until` that does not end. */
export const FOR_GOOD = Number.MAX_SAFE_INTEGER;

/** A call in the background may fail: it is made again at the next event or connection. */
function throwBugs(error) {
  if (error.status === undefined) throw error;
}

"""Rates: how much one account or address may do, kept in memory by each node."""

import math
import time
from collections import deque

from server.errors import ChatError, Close
from server.settings import Limits

REFUSALS_PER_MINUTE = 200
"""Well-formed requests of one connection that were refused, before it is closed (4429)."""
KEPT = 100_000
"""Accounts or addresses remembered at once; the longest unseen are forgotten first."""


class SendRate:
    """How much an account sends: a burst, then slowed for one second's worth, then refused.

    A token bucket, kept as the time when the bucket will be full again (GCRA).
    """

    def __init__(self, limits: Limits) -> None:
        self._interval_s = 1 / (limits.sends_per_second * limits.rate_scale)
        self._burst_s = limits.sends_burst * limits.rate_scale * self._interval_s
        self._full_at: dict[int, float] = {}

    def take(self, userid: int, sends: int = 1) -> float:
        """Counts one send, or so many. Seconds to read nothing more from the sender, mostly 0.

        Raises ``slow-down`` when the account is more than a second ahead of its rate.
        """
        now = time.monotonic()
        full_at = self._full_at.get(userid, 0.0)
        if full_at < now:
            full_at = now
            if len(self._full_at) >= KEPT and userid not in self._full_at:
                del self._full_at[next(iter(self._full_at))]
        full_at += self._interval_s * sends
        ahead = full_at - now - self._burst_s
        if ahead > 0:
            if ahead > 1:
                wait = math.ceil(ahead - 1)
                raise ChatError("slow-down", "too many messages; slow down", retry_after=wait)
            self._full_at[userid] = full_at
            return self._interval_s * sends / 2
        self._full_at[userid] = full_at
        return 0.0


class Window:
    """At most ``limit`` events of one key within ``period_s``."""

    def __init__(self, limit: float, period_s: float) -> None:
        self._limit = max(1, int(limit))
        self._period_s = period_s
        self._times: dict[str, deque[float]] = {}

    def wait_s(self, key: str) -> float:
        """0 when one more is allowed now, else seconds until it will be."""
        times = self._times.get(key)
        if not times:
            return 0.0
        now = time.monotonic()
        while times and times[0] <= now - self._period_s:
            times.popleft()
        if not times:
            del self._times[key]
            return 0.0
        return times[0] + self._period_s - now if len(times) >= self._limit else 0.0

    def count(self, key: str) -> None:
        if key not in self._times and len(self._times) >= KEPT:
            del self._times[next(iter(self._times))]
        self._times.setdefault(key, deque(maxlen=self._limit)).append(time.monotonic())

    def seen(self, key: str) -> int:
        """How many are remembered of this key."""
        return len(self._times.get(key, ()))

    def forget(self, key: str) -> None:
        self._times.pop(key, None)


class LoginGuard:
    """Wrong passwords per address and account, and per address. Accounts are never locked."""

    def __init__(self, limits: Limits) -> None:
        scale = limits.rate_scale
        self._pairs = Window(limits.login_failures * scale, 15 * 60)
        self._addresses = Window(limits.login_failures_per_hour * scale, 3600)

    def check(self, address: str, name: str) -> None:
        """Raises ``slow-down`` while there were too many failures."""
        wait = max(self._pairs.wait_s(f"{address} {name}"), self._addresses.wait_s(address))
        if wait:
            detail = "too many wrong passwords; wait a while"
            raise ChatError("slow-down", detail, retry_after=math.ceil(wait))

    def failed(self, address: str, name: str) -> float:
        """Counts a wrong password. Seconds by which to delay the answer: grows with each."""
        key = f"{address} {name}"
        self._pairs.count(key)
        self._addresses.count(address)
        return float(min(4.0, 0.25 * 2 ** (self._pairs.seen(key) - 1)))

    def succeeded(self, address: str, name: str) -> None:
        self._pairs.forget(f"{address} {name}")


class Patience:
    """How much one connection may get wrong within a minute before it is closed."""

    __slots__ = ("_bad", "_bad_limit", "_refused", "_since")

    def __init__(self, limits: Limits) -> None:
        self._bad_limit = limits.bad_frames_per_minute
        self._bad = self._refused = 0
        self._since = 0.0

    def lost(self, error: ChatError) -> Close | None:
        """Counts a refusal that the peer was told of. Why to close it, when that was too many."""
        now = time.monotonic()
        if now - self._since > 60:
            self._since, self._bad, self._refused = now, 0, 0
        if error.status == 400:
            self._bad += 1
            return Close.BAD_FRAMES if self._bad > self._bad_limit else None
        if error.status >= 500:
            return None  # our own trouble
        self._refused += 1
        return Close.OVER_RATE if self._refused > REFUSALS_PER_MINUTE else None

"""Stream management (XEP-0198), sans-I/O: what both sides counted, what waits for an ack."""

from collections import deque
from collections.abc import Hashable
from typing import NamedTuple

from stanzas import ns
from stanzas.xml import XmlError

PROTOCOL = ("XEP-0198", "1.6.3", "complete; a session is resumed on its own node")

TAGS = tuple(f"{{{ns.SM}}}{name}" for name in ("enable", "resume", "r", "a"))
ENABLE, RESUME, REQUEST, ANSWER = TAGS
FEATURE = f"<sm xmlns='{ns.SM}'/>"
ASK = f"<r xmlns='{ns.SM}'/>"
_MODULUS = 2**32


class Unacked(NamedTuple):
    """A stanza as it was written; ``mark``: the id of the last message that is in it or before."""

    data: bytes
    mark: int


class Ledger:
    """One session's counters, modulo 2**32, and the stanzas that the client has not acked.

    At most ``stanzas`` and ``size_bytes`` of them: the oldest go first, and until the client has
    acked those, the session :meth:`can_resume` no more.
    """

    def __init__(self, stanzas: int, size_bytes: int) -> None:
        self.queue: deque[Unacked] = deque()
        self._stanzas, self._size_bytes = stanzas, size_bytes
        self._bytes = 0
        self._acked = self._dropped = 0
        self._received = 0
        self._open: dict[Hashable, int] = {}

    # What goes out.

    @property
    def sent(self) -> int:
        return (self._acked + self._dropped + len(self.queue)) % _MODULUS

    @property
    def can_resume(self) -> bool:
        return not self._dropped

    def add(self, data: bytes, mark: int) -> None:
        """A stanza was sent."""
        self.queue.append(Unacked(data, mark))
        self._bytes += len(data)
        while len(self.queue) > self._stanzas or self._bytes > self._size_bytes:
            self._forget()
            self._dropped += 1

    def acked(self, h: int) -> int:
        """The client has handled ``h`` stanzas. The mark of the last of them, 0 for none.

        Raises :class:`XmlError` where so many were not sent.
        """
        newly = (h - self._acked) % _MODULUS
        if newly > self._dropped + len(self.queue):
            told = f"<handled-count-too-high xmlns='{ns.SM}' h='{h}' send-count='{self.sent}'/>"
            raise XmlError("undefined-condition", "more was acked than sent", told)
        self._acked = h % _MODULUS
        gone = min(newly, self._dropped)
        self._dropped -= gone
        mark = 0
        for _ in range(newly - gone):
            mark = self._forget()
        return mark

    def _forget(self) -> int:
        data, mark = self.queue.popleft()
        self._bytes -= len(data)
        return mark

    # What comes in.

    @property
    def handled(self) -> int:
        """How many of the client's stanzas are done with, all before them included."""
        return (min(self._open.values(), default=self._received + 1) - 1) % _MODULUS

    @property
    def is_settled(self) -> bool:
        """Whether nothing of what came is still being done."""
        return not self._open

    def begin(self, of: Hashable) -> None:
        """A stanza came; it counts after :meth:`finish` with the same name, as often."""
        self._received += 1
        self._open[of] = self._received

    def also(self, of: Hashable) -> None:
        """The last stanza is done only when this is finished as well."""
        self._open[of] = self._received

    def finish(self, of: Hashable) -> None:
        """Again, or of what never began, is no change."""
        self._open.pop(of, None)


def enabled(number: str, max_s: int) -> str:
    """``number``: what it is resumed by; empty where it cannot be."""
    how = f" resume='true' id='{number}' max='{max_s}'" if number else ""
    return f"<enabled xmlns='{ns.SM}'{how}/>"


def resumed(number: str, h: int) -> str:
    return f"<resumed xmlns='{ns.SM}' previd='{number}' h='{h}'/>"


def failed(condition: str, h: int | None = None) -> str:
    count = "" if h is None else f" h='{h}'"
    return f"<failed xmlns='{ns.SM}'{count}><{condition} xmlns='{ns.STANZA_ERRORS}'/></failed>"


def answer(h: int) -> str:
    return f"<a xmlns='{ns.SM}' h='{h}'/>"


def count(raw: str | None) -> int:
    """An ``h``. Raises :class:`XmlError`."""
    if raw is None or not (raw.isascii() and raw.isdecimal()) or len(raw) > 10:
        raise XmlError("policy-violation", "h is not a count")
    if (h := int(raw)) >= _MODULUS:
        raise XmlError("policy-violation", "h is not a count")
    return h

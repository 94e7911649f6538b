"""What all connections share: corked writes within a bound, counted pauses, signs of life.

What one loop turn sends to one connection leaves in one write, at the end of that turn and never
on a timer. One sweep a second looks at all connections of a loop, instead of a timer each.
"""

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable
from typing import cast

from server.errors import Close

log = logging.getLogger(__name__)

CLOSE_GRACE_S = 5.0
"""How long a peer has to answer our goodbye."""
SWEEP_S = 1.0
KEEPALIVE = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 60),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 15),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 4),
    (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
)
"""Finds out within two minutes that a peer is gone which says nothing by itself."""


class Keeper:
    """A loop's connections: who writes at the end of this turn, and the time now."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.pipes: set[Pipe] = set()
        self.now = loop.time()
        self._loop = loop
        self._corked: list[Pipe] = []
        self._sweep()

    def cork(self, pipe: "Pipe") -> None:
        """Flushes it when this loop turn ends."""
        if not self._corked:
            self._loop.call_soon(self._uncork)
        self._corked.append(pipe)

    def _uncork(self) -> None:
        corked, self._corked = self._corked, []
        for pipe in corked:
            pipe.flush()

    def _sweep(self) -> None:
        self.now = now = self._loop.time()
        for pipe in list(self.pipes):
            pipe.look_at_clock(now)
        self._loop.call_later(SWEEP_S, self._sweep)


_keepers: dict[int, tuple[asyncio.AbstractEventLoop, Keeper]] = {}


def keeper() -> Keeper:
    """The running loop's."""
    loop = asyncio.get_running_loop()
    known = _keepers.get(id(loop))
    if known is None or known[0] is not loop:
        known = _keepers[id(loop)] = (loop, Keeper(loop))
    return known[1]


class Pipe(asyncio.Protocol):
    """A connection's bytes; see :class:`server.clients.Pipe`. Subclasses know the protocol.

    ``outbox_bytes`` bounds what waits to be written: a peer that is too slow for it is closed.
    """

    __slots__ = (
        "_out",
        "_outbox_bytes",
        "_parsing",
        "_transport",
        "_unfinished",
        "_write",
        "closing_at",
        "heard_at",
        "is_slow",
        "keeper",
        "pauses",
    )

    def __init__(self, outbox_bytes: int) -> None:
        self.keeper = keeper()
        self.closing_at = 0.0
        self.heard_at = self.keeper.now
        self.pauses = 0
        self._transport: asyncio.Transport | None = None
        # None until there is somewhere to write to: what is sent until then waits.
        self._write: Callable[[bytes], None] | None = None
        self._out: list[bytes] = []
        self._outbox_bytes = outbox_bytes
        self._parsing = self.is_slow = False
        self._unfinished: asyncio.Future[None] | None = None

    # For subclasses to say.

    def parse(self) -> None:
        """Takes what was read and is not handled, until paused."""
        raise NotImplementedError

    def feed(self, data: bytes) -> None:
        """Adds what was read."""
        raise NotImplementedError

    def end(self, why: Close) -> None:
        """Says why in the protocol's words and closes."""
        raise NotImplementedError

    def closed(self) -> None:
        """The connection is gone; called once."""
        raise NotImplementedError

    def look_at_clock(self, now: float) -> None:
        """The sweep; drops those that do not finish their goodbye."""
        if self.closing_at and now - self.closing_at > CLOSE_GRACE_S:
            self.abort()

    # What goes out.

    def send(self, data: bytes) -> None:
        """Queues bytes. A quiet no-op once the connection is closing."""
        if self.closing_at:
            return
        out = self._out
        if not out:
            self.keeper.cork(self)
        out.append(data)

    def flush(self) -> None:
        """Writes what this loop turn queued; called when it ends.

        What is more than the outbox holds is not written, but ends the connection.
        """
        out, write = self._out, self._write
        if not out or write is None:
            return
        data = out[0] if len(out) == 1 else b"".join(out)
        out.clear()
        if (self.is_slow or len(data) > self._outbox_bytes) and not self.closing_at:
            waiting = len(data) + self.waiting()
            if waiting > self._outbox_bytes:
                log.debug("slow_reader waiting=%d", waiting)
                self.end(Close.SLOW_READER)
                return
        write(data)

    def waiting(self) -> int:
        """Bytes written that the peer has not taken yet."""
        return 0 if self._transport is None else self._transport.get_write_buffer_size()

    def pause_writing(self) -> None:
        """The transport's buffer is above its mark: from now on every flush checks the bound."""
        self.is_slow = True

    def resume_writing(self) -> None:
        self.is_slow = False

    def goodbye(self, data: bytes) -> None:
        """Writes the last words; from now on nothing is sent and only the peer's end is heard."""
        if self.closing_at:
            return
        self._out.append(data)
        self.closing_at = self.keeper.now
        self.flush()
        if self.pauses:
            # The peer's goodbye has to be heard even from one that we had paused.
            self.pauses = 0
            self.let_read()

    def drop(self) -> None:
        """Closes the socket after what was written."""
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Closes the socket at once, whatever waits to be written."""
        if self._transport is not None:
            self._transport.abort()

    # What comes in.

    def pause(self) -> None:
        if self.closing_at:
            return
        self.pauses += 1
        if self.pauses == 1 and self._transport is not None:
            self._transport.pause_reading()

    def resume(self) -> None:
        if self.closing_at:
            return
        self.pauses -= 1
        if self.pauses == 0:
            self.let_read()
            if not self._parsing:
                # Not at once: whoever resumes is in the middle of something.
                asyncio.get_running_loop().call_soon(self._parse)

    def let_read(self) -> None:
        """Reads on after a pause."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        self.heard_at = self.keeper.now
        self.feed(data)
        self._parse()

    def wait_for(self, pending: Awaitable[None]) -> None:
        """Nothing more is read or parsed until ``pending`` is done; this keeps the order."""
        self.pause()
        self._unfinished = asyncio.ensure_future(self._finish(pending))

    async def _finish(self, pending: Awaitable[None]) -> None:
        try:
            await pending
        except Exception:
            log.exception("input_failed")
            self.end(Close.INTERNAL)
        finally:
            self.resume()

    def _parse(self) -> None:
        if self._parsing:
            return
        self._parsing = True
        try:
            self.parse()
        except Exception:
            log.exception("input_failed")
            self.end(Close.INTERNAL)
        finally:
            self._parsing = False

    # Life.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._write = self._transport.write
        self.keeper.pipes.add(self)
        if self.pauses:
            self._transport.pause_reading()
        self.flush()

    def connection_lost(self, error: Exception | None) -> None:
        self.keeper.pipes.discard(self)
        self._transport = self._write = None
        self._out = []
        self.closing_at = self.closing_at or self.keeper.now
        try:
            self.closed()
        except Exception:
            log.exception("close_failed")

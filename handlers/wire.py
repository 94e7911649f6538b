"""The byte pipe under a WebSocket: Tornado shakes hands, then the socket is ours.

After the 101 and ``open()`` a plain socket moves to the event loop's own transport, whose
``data_received`` feeds the frame parser: many frames a read, and what one loop turn sends to one
connection leaves in one write. Where TLS ends in Tornado the same parser runs over its IOStream.
"""

import asyncio
import logging
import socket
from collections.abc import Awaitable
from typing import Any, Protocol, cast

from tornado.iostream import IOStream, SSLIOStream, StreamClosedError
from tornado.websocket import WebSocketHandler, WebSocketProtocol13, _WebSocketParams

from handlers.frames import (
    BINARY,
    CLOSE,
    NOT_ACCEPTED,
    PING,
    PONG,
    TEXT,
    FrameParser,
    ProtocolError,
    close_code,
    close_frame,
    frame,
)
from handlers.hygiene import QuietErrors
from server.clients import Pending
from server.errors import Close

log = logging.getLogger(__name__)

READ_BYTES = 65536
CLOSE_GRACE_S = 5.0
"""How long a peer has to answer our close frame."""
SWEEP_S = 1.0
"""How often silent connections are looked for."""


class Session(Protocol):
    """What a connection means: hears the frames, and once that it is over."""

    def on_message(self, payload: bytes) -> Pending:
        """One text message. What it returns is awaited before the next one."""

    def on_close(self) -> None: ...


class Corked:
    """The wires of one event loop that have something to write at the end of this turn."""

    __slots__ = ("_loop", "_waiting")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: list[Wire] = []

    def add(self, wire: "Wire") -> None:
        if not self._waiting:
            self._loop.call_soon(self._flush)
        self._waiting.append(wire)

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        for wire in waiting:
            wire.flush()


class Timekeeper:
    """One sweep a second for all wires of a loop, instead of a timer each."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.cork = Corked(loop)
        self.wires: set[Wire] = set()
        self._loop = loop
        self.now = loop.time()
        self._sweep()

    def _sweep(self) -> None:
        self.now = now = self._loop.time()
        for wire in list(self.wires):
            wire.look_at_clock(now)
        self._loop.call_later(SWEEP_S, self._sweep)


_timekeepers: dict[int, tuple[asyncio.AbstractEventLoop, Timekeeper]] = {}


def _timekeeper() -> Timekeeper:
    loop = asyncio.get_running_loop()
    known = _timekeepers.get(id(loop))
    if known is None or known[0] is not loop:
        known = _timekeepers[id(loop)] = (loop, Timekeeper(loop))
    return known[1]


class Wire(asyncio.Protocol):
    """One connection after the upgrade; a :class:`server.clients.Pipe` for frames.

    ``outbox_bytes`` bounds what waits to be written; ``silence_s`` without a byte from the peer
    ends it. The session is set by the handler's ``open()``.
    """

    __slots__ = (
        "_closing_at",
        "_corked",
        "_heard",
        "_keeper",
        "_out",
        "_out_bytes",
        "_outbox_bytes",
        "_parser",
        "_parsing",
        "_pauses",
        "_peer_slow",
        "_silence_s",
        "_readable",
        "_stream",
        "_transport",
        "_unfinished",
        "session",
    )

    def __init__(self, max_message_bytes: int, outbox_bytes: int, silence_s: float) -> None:
        self.session: Session | None = None
        self._keeper = _timekeeper()
        self._parser = FrameParser(max_message_bytes)
        self._transport: asyncio.Transport | None = None
        self._stream: IOStream | None = None
        self._out: list[bytes] = []
        self._out_bytes = 0
        self._outbox_bytes = outbox_bytes
        self._silence_s = silence_s
        self._heard = self._keeper.now
        self._closing_at = 0.0
        self._corked = self._parsing = self._peer_slow = False
        self._pauses = 0
        self._readable: asyncio.Future[None] | None = None
        self._unfinished: asyncio.Future[None] | None = None

    # What goes out.

    def send(self, data: bytes) -> None:
        """Queues ready frames. A quiet no-op once the connection is closing."""
        if self._closing_at:
            return
        self._out.append(data)
        self._out_bytes += len(data)
        if self._out_bytes > self._outbox_bytes:
            self._check_outbox()
        elif not self._corked:
            self._corked = True
            self._keeper.cork.add(self)

    def end(self, why: Close) -> None:
        """Sends a close frame and waits a little for the peer's."""
        self._close(why.code, why.reason)

    def flush(self) -> None:
        """Writes what this loop turn queued; called by the cork."""
        self._corked = False
        out = self._out
        if not out or not self._is_attached():
            return
        data = out[0] if len(out) == 1 else b"".join(out)
        self._out = []
        self._out_bytes = 0
        if self._transport is not None:
            self._transport.write(data)
        elif self._stream is not None:
            try:
                # The future is for backpressure, which waiting() does; nobody awaits it.
                self._stream.write(data).add_done_callback(_ignore)
            except StreamClosedError:
                return
        if self._peer_slow or self._stream is not None:
            self._check_outbox()

    def waiting(self) -> int:
        """Bytes that the peer has not taken yet."""
        waiting = self._out_bytes
        if self._transport is not None:
            waiting += self._transport.get_write_buffer_size()
        elif self._stream is not None:
            waiting += len(self._stream._write_buffer)
        return waiting

    def _check_outbox(self) -> None:
        if self.waiting() > self._outbox_bytes:
            log.debug("slow_reader waiting=%d", self.waiting())
            self._out, self._out_bytes = [], 0
            self.end(Close.SLOW_READER)
        elif self._out and not self._corked:
            self._corked = True
            self._keeper.cork.add(self)

    def pause_writing(self) -> None:
        """The transport's buffer is above its mark: from now on every flush checks the bound."""
        self._peer_slow = True

    def resume_writing(self) -> None:
        self._peer_slow = False

    # What comes in.

    def pause(self) -> None:
        if self._closing_at:
            return
        self._pauses += 1
        if self._pauses == 1 and self._transport is not None:
            self._transport.pause_reading()

    def resume(self) -> None:
        if self._closing_at:
            return
        self._pauses -= 1
        if self._pauses == 0:
            self._let_read()
            if self._transport is not None and not self._transport.is_closing():
                self._transport.resume_reading()
            if not self._parsing:
                # Not at once: whoever resumes is in the middle of something.
                asyncio.get_running_loop().call_soon(self._parse)

    async def readable(self) -> None:
        """Waits while the wire is paused: for a stream, which cannot be told not to read."""
        if self._pauses:
            self._readable = asyncio.get_running_loop().create_future()
            await self._readable

    def _let_read(self) -> None:
        if self._readable is not None and not self._readable.done():
            self._readable.set_result(None)

    def data_received(self, data: bytes) -> None:
        self._heard = self._keeper.now
        self._parser.feed(data)
        self._parse()

    def _parse(self) -> None:
        if self._parsing:
            return
        self._parsing = True
        parser = self._parser
        try:
            while not self._pauses:
                got = parser.next()
                if got is None:
                    return
                opcode, payload = got
                if opcode == TEXT:
                    session = self.session
                    if session is None or self._closing_at:
                        continue
                    pending = session.on_message(payload)
                    if pending is not None:
                        self.pause()
                        self._unfinished = asyncio.ensure_future(self._finish(pending))
                elif not self._control(opcode, payload):
                    return
        except ProtocolError as error:
            self._fail(error)
        except Exception:
            log.exception("frame_failed")
            self._close(Close.INTERNAL.code, Close.INTERNAL.reason)
        finally:
            self._parsing = False

    async def _finish(self, pending: Awaitable[None]) -> None:
        try:
            await pending
        except Exception:
            log.exception("frame_failed")
            self._close(Close.INTERNAL.code, Close.INTERNAL.reason)
        finally:
            self.resume()

    def _control(self, opcode: int, payload: bytes) -> bool:
        """Handles all but text; False when nothing more is to be read."""
        if opcode == PING:
            self.send(frame(payload, PONG))
        elif opcode == CLOSE:
            code = close_code(payload)
            if self._closing_at:
                self._drop()
            else:
                self._close(code)
                self._drop()
            return False
        elif opcode == BINARY and not self._closing_at:
            self._close(NOT_ACCEPTED, "text frames only")
        return True

    def _fail(self, error: ProtocolError) -> None:
        log.debug("protocol_error code=%d reason=%s", error.code, error)
        if not self._closing_at:
            self._close(error.code, str(error))
        self._drop()

    # Life.

    def attach(self, transport: asyncio.Transport | None, stream: IOStream | None) -> None:
        """Ties the socket that Tornado gave away; what was sent meanwhile is written."""
        self._transport, self._stream = transport, stream
        self._keeper.wires.add(self)
        self.flush()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.attach(cast(asyncio.Transport, transport), None)
        if self._pauses and self._transport is not None:
            self._transport.pause_reading()

    def connection_lost(self, error: Exception | None) -> None:
        self._keeper.wires.discard(self)
        self._transport = self._stream = None
        self._out, self._out_bytes = [], 0
        self._closing_at = self._closing_at or self._keeper.now
        self._let_read()
        session, self.session = self.session, None
        if session is not None:
            try:
                session.on_close()
            except Exception:
                log.exception("close_failed")

    def look_at_clock(self, now: float) -> None:
        """The sweep: ends the silent, drops those that do not finish the close handshake."""
        if self._closing_at:
            if now - self._closing_at > CLOSE_GRACE_S:
                self.abort()
        elif now - self._heard > self._silence_s and not self._pauses:
            self.end(Close.SILENT)

    def _is_attached(self) -> bool:
        return self._transport is not None or self._stream is not None

    def _close(self, code: int, reason: str = "") -> None:
        if self._closing_at:
            return
        self._out.append(close_frame(code, reason))
        self._closing_at = self._keeper.now
        self.flush()
        if self._pauses:
            # The peer's close frame has to be heard even from one that we had paused.
            self._pauses = 0
            self._let_read()
            if self._transport is not None:
                self._transport.resume_reading()

    def _drop(self) -> None:
        """Closes the socket after what was written."""
        if self._transport is not None:
            self._transport.close()
        elif self._stream is not None:
            stream = self._stream
            try:
                # Done when all that was written before is.
                stream.write(b"").add_done_callback(lambda _: stream.close())
            except StreamClosedError:
                return

    def abort(self) -> None:
        """Closes the socket at once, whatever waits to be written."""
        if self._transport is not None:
            self._transport.abort()
        elif self._stream is not None:
            self._stream.close()


def _ignore(done: "asyncio.Future[Any]") -> None:
    done.exception()


class Takeover(WebSocketProtocol13):
    """Runs after the 101 and ``open()``: gives the socket to the wire instead of reading frames."""

    async def _receive_frame_loop(self) -> None:
        handler, stream = cast(WireHandler, self.handler), self.stream
        wire = handler.wire
        wire.session = handler.session
        # The request, its headers and the handler are not needed any more.
        handler.ws_connection = None
        self.handler = None  # type: ignore[assignment]
        stream.set_close_callback(None)
        early = bytes(stream._read_buffer[: stream._read_buffer_size])
        if stream.closed():
            wire.connection_lost(None)
            return
        if isinstance(stream, SSLIOStream):
            await _pump(wire, stream)
            return
        sock = socket.socket(fileno=socket.dup(stream.socket.fileno()))
        sock.setblocking(False)
        stream.close()
        try:
            await asyncio.get_running_loop().connect_accepted_socket(lambda: wire, sock)
        except OSError:
            sock.close()
            wire.connection_lost(None)
            return
        if early:
            wire.data_received(early)


async def _pump(wire: Wire, stream: IOStream) -> None:
    """The wire over a TLS stream of Tornado's: large partial reads, as long as it wants any."""
    wire.attach(None, stream)
    try:
        while True:
            wire.data_received(await stream.read_bytes(READ_BYTES, partial=True))
            await wire.readable()
    except StreamClosedError:
        wire.connection_lost(None)


class WireHandler(QuietErrors, WebSocketHandler):
    """Base of both WebSocket handlers: ``open()`` binds the connection and sets ``session``.

    ``wire`` exists from the upgrade on; what ``open()`` sends is written after the takeover.
    """

    wire: Wire
    session: Session | None = None
    max_message_bytes: int
    outbox_bytes: int
    silence_s: float

    def get_websocket_protocol(self) -> Takeover | None:
        """Tornado's hook: the protocol that will speak after the 101."""
        if self.request.headers.get("Sec-WebSocket-Version") != "13":
            return None
        self.wire = Wire(self.max_message_bytes, self.outbox_bytes, self.silence_s)
        return Takeover(self, False, _WebSocketParams())

    def check_origin(self, origin: str) -> bool:
        """Tornado's own check is skipped for some requests; ``prepare`` made ours for all."""
        return True

    def on_message(self, message: str | bytes) -> None:
        """Tornado's hook; frames go to the session instead."""

    def log_exception(self, *args: Any) -> None:
        """An exception out of ``open()``: logged without the query; Tornado drops the socket."""
        QuietErrors.log_exception(self, *args)

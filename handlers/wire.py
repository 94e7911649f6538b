"""The byte pipe under a WebSocket: Tornado shakes hands, then the socket is ours.

After the 101 and ``open()`` a plain socket moves to the event loop's own transport, whose
``data_received`` feeds the frame parser: many frames a read, and what one loop turn sends to one
connection leaves in one write. Where TLS ends in Tornado the same parser runs over its IOStream.
"""

import asyncio
import logging
import socket
from collections.abc import Sequence
from typing import Any, Protocol, cast

from tornado.iostream import IOStream, SSLIOStream, StreamClosedError
from tornado.util import ObjectDict
from tornado.websocket import WebSocketHandler, WebSocketProtocol13, _WebSocketParams

from handlers import deflate
from handlers.frames import (
    BINARY,
    CLOSE,
    NOT_ACCEPTED,
    PING,
    PONG,
    TEXT,
    Frame,
    FrameParser,
    ProtocolError,
    close_code,
    close_frame,
    frame,
)
from handlers.hygiene import QuietErrors
from handlers.pipe import KEEPALIVE, Pipe
from server.clients import Pending
from server.errors import Close

log = logging.getLogger(__name__)

READ_BYTES = 65536


class Session(Protocol):
    """What a connection means: hears the frames, and once that it is over."""

    def on_message(self, payload: bytes) -> Pending:
        """One text message. What it returns is awaited before the next one."""

    def on_close(self) -> None: ...


class Wire(Pipe):
    """One WebSocket after the upgrade. The session is set by the handler's ``open()``.

    ``silence_s`` without a byte from the peer ends it; 0: never. ``deflates``: messages may be
    compressed, either way.
    """

    __slots__ = ("_frames", "_parser", "_silence_s", "deflates", "early", "session")

    def __init__(
        self, max_message_bytes: int, outbox_bytes: int, silence_s: float, *, deflates: bool = False
    ) -> None:
        super().__init__(outbox_bytes)
        self.session: Session | None = None
        self.deflates = deflates
        self.early = b""
        self._parser = FrameParser(max_message_bytes, deflates=deflates)
        self._frames: Sequence[Frame] = ()
        self._silence_s = silence_s

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if self.early:
            # Before anything that the transport reads.
            self.feed(self.early)
            self.early = b""
            asyncio.get_running_loop().call_soon(self._parse)

    def end(self, why: Close) -> None:
        """Sends a close frame and waits a little for the peer's."""
        self.goodbye(close_frame(why.code, why.reason))

    def feed(self, data: bytes) -> None:
        if self._parser.error is None:
            frames = self._parser.receive(data)
            self._frames = [*self._frames, *frames] if self._frames else frames

    def parse(self) -> None:
        frames, self._frames = self._frames, ()
        session, at = self.session, 0
        try:
            for opcode, payload in frames:
                if self.pauses:
                    self._frames = frames[at:]
                    return
                at += 1
                if opcode != TEXT:
                    if not self._control(opcode, payload):
                        return
                elif session is not None and not self.closing_at:
                    pending = session.on_message(payload)
                    if pending is not None:
                        self.wait_for(pending)
            if self._parser.error is not None and not self.pauses:
                raise self._parser.error
        except ProtocolError as error:
            log.debug("protocol_error code=%d reason=%s", error.code, error)
            self.goodbye(close_frame(error.code, str(error)))
            self.drop()

    def _control(self, opcode: int, payload: bytes) -> bool:
        """Handles all but text; False when nothing more is to be read."""
        if opcode == PING:
            self.send(frame(payload, PONG))
        elif opcode == CLOSE:
            self.goodbye(close_frame(close_code(payload)))
            self.drop()
            return False
        elif opcode == BINARY:
            self.goodbye(close_frame(NOT_ACCEPTED, "text frames only"))
        return True

    def look_at_clock(self, now: float) -> None:
        super().look_at_clock(now)
        if not self._silence_s or self.closing_at or self.pauses:
            return
        if now - self.heard_at > self._silence_s:
            self.end(Close.SILENT)

    def closed(self) -> None:
        session, self.session = self.session, None
        if session is not None:
            session.on_close()


class StreamWire(Wire):
    """A wire over Tornado's TLS stream, which cannot move to a transport."""

    __slots__ = ("_readable", "_stream")

    def __init__(
        self, max_message_bytes: int, outbox_bytes: int, silence_s: float, *, deflates: bool = False
    ) -> None:
        super().__init__(max_message_bytes, outbox_bytes, silence_s, deflates=deflates)
        self._stream: IOStream | None = None
        self._readable: asyncio.Future[None] | None = None

    async def pump(self, stream: IOStream) -> None:
        """Large partial reads until the stream ends, none while paused."""
        self._stream, self._write = stream, self._write_stream
        self.keeper.pipes.add(self)
        self.flush()
        try:
            while True:
                self.data_received(await stream.read_bytes(READ_BYTES, partial=True))
                if self.pauses:
                    self._readable = asyncio.get_running_loop().create_future()
                    await self._readable
        except StreamClosedError:
            self._stream = None
            self.connection_lost(None)

    def let_read(self) -> None:
        if self._readable is not None and not self._readable.done():
            self._readable.set_result(None)

    def _write_stream(self, data: bytes) -> None:
        if self._stream is not None and not self._stream.closed():
            # The future tells nothing that the outbox bound does not know.
            self._stream.write(data).add_done_callback(_ignore)
            self.is_slow = self._stream.writing()

    def waiting(self) -> int:
        return len(self._stream._write_buffer) if self._stream else 0

    def drop(self) -> None:
        stream = self._stream
        if stream is not None and not stream.closed():
            # Done when all that was written before is.
            stream.write(b"").add_done_callback(lambda _: stream.close())
            self.let_read()

    def abort(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self.let_read()


def _ignore(done: "asyncio.Future[Any]") -> None:
    done.exception()


class Takeover(WebSocketProtocol13):
    """Runs after the 101 and ``open()``: gives the socket to the wire instead of reading frames."""

    async def _receive_frame_loop(self) -> None:
        handler, stream = cast(WireHandler, self.handler), self.stream
        wire = handler.wire
        wire.session = handler.session
        # The request, its headers and the handler are not needed any more; with these two gone
        # nothing of them is in a cycle, and all is freed at once.
        handler.ws_connection = None
        handler.ui = ObjectDict()
        self.handler = None  # type: ignore[assignment]
        stream.set_close_callback(None)
        if stream.closed():
            wire.connection_lost(None)
        elif isinstance(wire, StreamWire):
            await wire.pump(stream)
        else:
            await _move(wire, stream)


async def _move(wire: Wire, stream: IOStream) -> None:
    """From Tornado's stream to a transport of the loop, with what was read too early."""
    wire.early = bytes(stream._read_buffer[: stream._read_buffer_size])
    sock = socket.socket(fileno=socket.dup(stream.socket.fileno()))
    sock.setblocking(False)
    stream.close()
    try:
        for level, option, value in KEEPALIVE:
            sock.setsockopt(level, option, value)
        await asyncio.get_running_loop().connect_accepted_socket(lambda: wire, sock)
    except OSError:
        sock.close()
        wire.connection_lost(None)
        return


class WireHandler(QuietErrors, WebSocketHandler):
    """Base of both WebSocket handlers: ``open()`` binds the connection and sets ``session``.

    ``wire`` exists from the upgrade on; what ``open()`` sends is written after the takeover.
    """

    wire: Wire
    session: Session | None = None
    max_message_bytes: int
    outbox_bytes: int
    silence_s: float
    compression = False

    def get_websocket_protocol(self) -> Takeover | None:
        """Tornado's hook: the protocol that will speak after the 101."""
        if self.request.headers.get("Sec-WebSocket-Version") != "13":
            return None
        stream = self.request.connection.stream  # type: ignore[union-attr]
        kind = StreamWire if isinstance(stream, SSLIOStream) else Wire
        offers = self.request.headers.get("Sec-WebSocket-Extensions", "")
        deflates = self.compression and deflate.is_offered(offers)
        if deflates:
            self.set_header("Sec-WebSocket-Extensions", deflate.EXTENSION)
        self.wire = kind(
            self.max_message_bytes, self.outbox_bytes, self.silence_s, deflates=deflates
        )
        return Takeover(self, False, _WebSocketParams())

    def set_default_headers(self) -> None:
        """Tells nobody which Tornado this is."""
        self.set_header("Server", "Tandem")

    def check_origin(self, origin: str) -> bool:
        """Tornado's own check is skipped for some requests; ``prepare`` made ours for all."""
        return True

    def on_message(self, message: str | bytes) -> None:
        """Tornado's hook; frames go to the session instead."""

    def log_exception(self, *args: Any) -> None:
        """An exception out of ``open()``: logged without the query; Tornado drops the socket."""
        QuietErrors.log_exception(self, *args)

"""The wire under a WebSocket, over a plain socket and over TLS: one toy session, raw bytes."""

import asyncio
import gc
import socket
import ssl
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import ClassVar

import pytest
import tornado.web
from tornado.httpserver import HTTPServer
from tornado.ioloop import IOLoop

from handlers.certificates import make_self_signed
from handlers.frames import CLOSE, CONTINUATION, PING, PONG, TEXT, close_frame, frame
from handlers.wire import Wire, WireHandler
from server.clients import Pending
from tests.unit.handlers.test_frames import BROKEN, masked

LIMIT = 300
OUTBOX = 256 * 1024


class Toy:
    """Echoes; some words do more. The sessions of a test are in ``made``."""

    made: ClassVar[list["Toy"]] = []

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.ends = 0
        self.gate = asyncio.Event()
        self.heard = 0
        self.made.append(self)

    def on_message(self, payload: bytes) -> Pending:
        self.heard += 1
        match payload:
            case b"break":
                raise RuntimeError("toy is broken")
            case b"wait":
                return self._wait(payload)
            case b"break later":
                return self._break_later()
            case b"flood":
                for _ in range(2 * OUTBOX // 1000):
                    self.wire.send(frame(b"x" * 1000))
            case _:
                self.wire.send(frame(payload))
        return None

    def on_close(self) -> None:
        self.ends += 1

    async def _wait(self, payload: bytes) -> None:
        await self.gate.wait()
        self.wire.send(frame(payload))

    async def _break_later(self) -> None:
        await asyncio.sleep(0)
        raise RuntimeError("toy is broken")


class ToyHandler(WireHandler):
    max_message_bytes = LIMIT
    outbox_bytes = OUTBOX
    silence_s = 0.0

    def initialize(self) -> None:
        if self.get_argument("silence", ""):
            self.silence_s = 2.5

    async def open(self, *args: str, **kwargs: str) -> None:
        if self.get_argument("hello", ""):
            self.wire.send(frame(b"hello"))
        if self.get_argument("late", ""):
            await asyncio.sleep(0.05)
        self.session = Toy(self.wire)


@pytest.fixture(params=["plain", "tls"])
def tls(request: pytest.FixtureRequest, tmp_path: Path) -> ssl.SSLContext | None:
    """The server's certificate, or None for a plain socket."""
    if request.param == "plain":
        return None
    certificate, key = tmp_path / "crt", tmp_path / "key"
    make_self_signed("localhost", certificate, key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


@pytest.fixture
def port(io_loop: IOLoop, tls: ssl.SSLContext | None) -> Iterator[int]:
    """Where the toy listens; in the end every session has heard of its end, once."""
    Toy.made.clear()
    server = HTTPServer(tornado.web.Application([("/", ToyHandler)]), ssl_options=tls)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        server.add_socket(listener)
        yield listener.getsockname()[1]
        io_loop.run_sync(all_ended, timeout=10)
        server.stop()


async def all_ended() -> None:
    while any(not toy.ends for toy in Toy.made):
        await asyncio.sleep(0.005)
    assert [toy.ends for toy in Toy.made] == [1] * len(Toy.made)


class Raw:
    """A client that writes bytes and reads frames."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def frame(self) -> tuple[int, bytes]:
        async with asyncio.timeout(10):
            first, size = await self.reader.readexactly(2)
            assert first & 0x80 and not size & 0x80
            if size > 125:
                size = int.from_bytes(await self.reader.readexactly(2 if size == 126 else 8), "big")
            return first & 0x0F, await self.reader.readexactly(size)

    async def close_code(self) -> int:
        """The code of the close frame, after which nothing but the end of the stream comes."""
        while True:
            opcode, payload = await self.frame()
            if opcode == CLOSE:
                break
        self.send(masked(payload[:2], CLOSE))
        async with asyncio.timeout(10):
            assert await self.reader.read() == b""
        return int.from_bytes(payload[:2], "big")


@asynccontextmanager
async def connected(
    port: int, tls: ssl.SSLContext | None, query: str = "", early: bytes = b""
) -> AsyncIterator[Raw]:
    context = None
    if tls is not None:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    head = (
        f"GET /?{query} HTTP/1.1\r\nHost: localhost:{port}\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    writer.write(head.encode() + early)
    answer = await reader.readuntil(b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 101"), answer
    assert b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in answer
    try:
        yield Raw(reader, writer)
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


@pytest.mark.gen_test
async def test_many_frames_in_one_packet_and_one_frame_in_many(
    port: int, tls: ssl.SSLContext | None
) -> None:
    async with connected(port, tls) as raw:
        raw.send(b"".join(masked(b"%d" % n) for n in range(500)))
        assert [await raw.frame() for _ in range(500)] == [(TEXT, b"%d" % n) for n in range(500)]
        for byte in masked(b"slowly"):
            raw.send(bytes((byte,)))
            await raw.writer.drain()
            await asyncio.sleep(0)
        assert await raw.frame() == (TEXT, b"slowly")


@pytest.mark.gen_test
async def test_bytes_that_came_with_the_handshake_are_heard(
    port: int, tls: ssl.SSLContext | None
) -> None:
    early = masked(b"early") + masked(b"bird")
    async with connected(port, tls, "late=1", early[:-3]) as raw:
        assert await raw.frame() == (TEXT, b"early")
        raw.send(early[-3:])
        assert await raw.frame() == (TEXT, b"bird")


@pytest.mark.gen_test
async def test_what_open_sends_comes_first(port: int, tls: ssl.SSLContext | None) -> None:
    async with connected(port, tls, "hello=1&late=1", masked(b"mine")) as raw:
        assert [await raw.frame(), await raw.frame()] == [(TEXT, b"hello"), (TEXT, b"mine")]


@pytest.mark.gen_test
async def test_ping_is_answered_even_between_fragments(
    port: int, tls: ssl.SSLContext | None
) -> None:
    async with connected(port, tls) as raw:
        raw.send(masked(b"ha", TEXT, final=False) + masked(b"there?", PING))
        assert await raw.frame() == (PONG, b"there?")
        raw.send(masked(b"nobody asked", PONG) + masked(b"lf", CONTINUATION))
        assert await raw.frame() == (TEXT, b"half")


@pytest.mark.gen_test
async def test_close_is_answered_with_its_code_and_nothing_after_it_is_heard(
    port: int, tls: ssl.SSLContext | None
) -> None:
    for payload in (b"", b"\x03\xe8", b"\x0f\xa0bye"):
        async with connected(port, tls) as raw:
            raw.send(masked(payload, CLOSE) + masked(b"after"))
            assert await raw.frame() == (CLOSE, payload[:2])
            assert await raw.reader.read() == b""
            assert Toy.made[-1].heard == 0


@pytest.mark.gen_test
@pytest.mark.parametrize("name", BROKEN)
async def test_broken_frames_are_answered_with_their_code(
    port: int, tls: ssl.SSLContext | None, name: str
) -> None:
    data, code = BROKEN[name]
    async with connected(port, tls) as raw:
        raw.send(masked(b"before") + data)
        assert await raw.frame() == (TEXT, b"before")
        assert await raw.close_code() == code


@pytest.mark.gen_test
async def test_binary_and_bad_close_frames_have_their_code(
    port: int, tls: ssl.SSLContext | None
) -> None:
    for data, code in (
        (masked(b"\x00", 2), 1003),
        (masked(b"\x03", CLOSE), 1002),
        (masked(b"\x03\xec", CLOSE), 1002),
        (masked(b"\x03\xe8\xff", CLOSE), 1007),
    ):
        async with connected(port, tls) as raw:
            raw.send(data)
            assert await raw.close_code() == code


@pytest.mark.gen_test
async def test_nothing_is_heard_while_an_answer_is_pending(
    port: int, tls: ssl.SSLContext | None
) -> None:
    async with connected(port, tls) as raw:
        raw.send(masked(b"first") + masked(b"wait") + masked(b"second"))
        assert await raw.frame() == (TEXT, b"first")
        raw.send(masked(b"third") + masked(b"wait") + masked(b"last"))
        toy = Toy.made[-1]
        assert toy.heard == 2
        toy.gate.set()
        words = [await raw.frame() for _ in range(5)]
        assert words == [(TEXT, w) for w in (b"wait", b"second", b"third", b"wait", b"last")]


@pytest.mark.gen_test
async def test_a_peer_may_leave_while_an_answer_is_pending(
    port: int, tls: ssl.SSLContext | None
) -> None:
    async with connected(port, tls) as raw:
        raw.send(masked(b"wait"))
        async with asyncio.timeout(10):
            while not Toy.made or not Toy.made[-1].heard:
                await asyncio.sleep(0.005)
        # A paused connection does not see the peer go; the end of the pause does.
        raw.writer.close()
        Toy.made[-1].gate.set()


@pytest.mark.gen_test
@pytest.mark.parametrize("word", [b"break", b"break later"])
async def test_an_exception_closes_this_connection_only(
    port: int, tls: ssl.SSLContext | None, word: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with connected(port, tls) as other, connected(port, tls) as raw:
        raw.send(masked(word))
        assert await raw.close_code() == 1011
        other.send(masked(b"fine"))
        assert await other.frame() == (TEXT, b"fine")
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == [
        "input_failed"
    ]


@pytest.mark.gen_test
async def test_a_slow_reader_is_closed_and_its_queue_dropped(
    port: int, tls: ssl.SSLContext | None
) -> None:
    async with connected(port, tls) as raw:
        raw.send(masked(b"flood"))
        assert await raw.close_code() == 4413


@pytest.mark.gen_test(timeout=30)
async def test_a_reader_that_never_reads_is_dropped_while_others_talk(
    port: int, tls: ssl.SSLContext | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("handlers.pipe.CLOSE_GRACE_S", 0.5)
    async with connected(port, tls) as other, connected(port, tls) as raw:
        raw.writer.transport.pause_reading()  # type: ignore[attr-defined]
        toy = Toy.made[-1]
        async with asyncio.timeout(30):
            while not toy.ends:
                toy.wire.send(frame(b"x" * 60_000))
                other.send(masked(b"fine"))
                assert await other.frame() == (TEXT, b"fine")
        assert toy.wire.waiting() == 0


@pytest.mark.gen_test(timeout=30)
async def test_the_silent_are_closed_and_the_lively_are_not(
    port: int, tls: ssl.SSLContext | None
) -> None:
    async with (
        connected(port, tls, "silence=1") as lively,
        connected(port, tls, "silence=1") as raw,
    ):
        began = time.monotonic()
        closing = asyncio.create_task(raw.close_code())
        while not closing.done():
            lively.send(masked(b"", PING))
            await lively.frame()
            await asyncio.wait((closing,), timeout=0.2)
        assert await closing == 4408
        # The clock of silence ticks once a second.
        assert 1.4 <= time.monotonic() - began < 5
        lively.send(masked(b"fine"))
        assert await lively.frame() == (TEXT, b"fine")


@pytest.mark.gen_test
async def test_one_turn_is_one_write(port: int, tls: ssl.SSLContext | None) -> None:
    async with connected(port, tls) as raw:
        raw.send(masked(b"here"))
        await raw.frame()
        wire, written = Toy.made[-1].wire, []
        write = wire._write
        assert write is not None

        def count(data: bytes) -> None:
            written.append(data)
            write(data)

        wire._write = count
        for n in range(5):
            wire.send(frame(b"%d" % n))
        assert written == []
        assert [await raw.frame() for _ in range(5)] == [(TEXT, b"%d" % n) for n in range(5)]
        assert len(written) == 1


@pytest.mark.gen_test
async def test_nothing_is_sent_after_the_goodbye(port: int, tls: ssl.SSLContext | None) -> None:
    async with connected(port, tls) as raw:
        raw.send(masked(b"here"))
        await raw.frame()
        wire = Toy.made[-1].wire
        wire.send(frame(b"last"))
        wire.goodbye(close_frame(1001))
        wire.send(frame(b"never"))
        wire.goodbye(close_frame(1002))
        assert await raw.frame() == (TEXT, b"last")
        assert await raw.close_code() == 1001


@pytest.mark.gen_test
async def test_a_handshake_leaves_no_cyclic_garbage(port: int, tls: ssl.SSLContext | None) -> None:
    if tls is not None:
        return  # Tornado's handler lives as long as its stream
    async with connected(port, tls) as first:
        first.send(masked(b"here"))
        await first.frame()
        gc.collect()
        gc.disable()
        try:
            for _ in range(20):
                async with connected(port, tls) as raw:
                    raw.send(masked(b"here"))
                    await raw.frame()
            await all_ended_but(1)
            # Of the client's own there may be some.
            found = [type(thing).__name__ for thing in collect()]
        finally:
            gc.enable()
    assert "ToyHandler" not in found
    assert "HTTP1Connection" not in found


def collect() -> list[object]:
    """What the collector finds in cycles."""
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        gc.collect()
        return list(gc.garbage)
    finally:
        gc.set_debug(0)
        gc.garbage.clear()


async def all_ended_but(count: int) -> None:
    while sum(not toy.ends for toy in Toy.made) > count:
        await asyncio.sleep(0.005)

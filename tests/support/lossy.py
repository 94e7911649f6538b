"""A proxy before a nats-server that loses, repeats and reorders single messages."""

import asyncio
import random
import re
from collections import Counter
from collections.abc import Callable
from contextlib import suppress

LATE_S = 0.03
_HEAD = re.compile(rb"(H?PUB|H?MSG) (\S+) .*?(\d+)\r\n")
_URLS = re.compile(rb'"connect_urls":\[[^\]]*\],?')

Fate = str
"""``pass``, ``drop``, ``double``, ``hold``: after the next one of its connection, or a while."""


def chance(seed: int, **shares: float) -> Callable[[bytes], Fate]:
    """A share of the messages for each fate; the rest passes."""
    rolls = random.Random(seed)

    def judge(subject: bytes) -> Fate:
        roll = rolls.random()
        for fate, share in shares.items():
            roll -= share
            if roll < 0:
                return fate
        return "pass"

    return judge


class LossyProxy:
    """Listens on ``port`` for nodes. ``judge(subject)`` decides what becomes of a message."""

    def __init__(self, target_port: int) -> None:
        self.port = 0
        self.counts: Counter[Fate] = Counter()
        self.judge: Callable[[bytes], Fate] = lambda subject: "pass"
        self._target = target_port
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> "LossyProxy":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        with suppress(OSError, asyncio.CancelledError):
            upstream, downstream = await asyncio.open_connection("127.0.0.1", self._target)
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._pump(reader, downstream))
                    group.create_task(self._pump(upstream, writer))
            except* (OSError, asyncio.IncompleteReadError, EOFError):
                pass
            finally:
                writer.close()
                downstream.close()
        self._tasks.discard(task)

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        held: list[bytes] = []

        def let_go() -> None:
            while held and not sink.is_closing():
                sink.write(held.pop(0))

        while True:
            line = await source.readuntil(b"\r\n")
            head = _HEAD.fullmatch(line)
            if head is None:
                sink.write(_URLS.sub(b"", line) if line.startswith(b"INFO") else line)
                continue
            message = line + await source.readexactly(int(head[3]) + 2)
            # Each crosses the proxy twice, as PUB and as MSG: it is judged once.
            fate = self.judge(head[2]) if head[1] == b"MSG" else "pass"
            self.counts[fate] += head[1] == b"MSG"
            if fate == "hold":
                held.append(message)
                asyncio.get_running_loop().call_later(LATE_S, let_go)
            elif fate != "drop":
                sink.write(message * (2 if fate == "double" else 1))
                let_go()

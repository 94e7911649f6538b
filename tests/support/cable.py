"""The cable between one person and the server: a TCP proxy that can be cut, stopped and mended."""

import asyncio
from contextlib import suppress

from tests.support.ports import free_port


class Cable:
    """Listens on ``port`` and hands on to ``target_port``, both on the loopback address."""

    def __init__(self, target_port: int) -> None:
        self.port = free_port()
        self._target = target_port
        self._listener: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._ends: set[asyncio.Task[None]] = set()
        self._flows = {"up": asyncio.Event(), "down": asyncio.Event()}

    async def mend(self) -> None:
        """Whole again: new connections are taken, and what was held back goes on."""
        for flow in self._flows.values():
            flow.set()
        if self._listener is None:
            self._listener = await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    async def cut(self) -> None:
        """Every connection is reset, WebSockets too, and no new one is taken.

        What is held back at that moment is lost.
        """
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        for writer in self._writers:
            writer.transport.abort()
        for end in tuple(self._ends):
            end.cancel()
        if self._ends:
            await asyncio.wait(self._ends)

    def hold(self, way: str) -> None:
        """``up``: nothing reaches the server any more; ``down``: nothing comes from it.

        No connection ends, so nobody is told.
        """
        self._flows[way].clear()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        end = asyncio.current_task()
        assert end is not None
        self._ends.add(end)
        self._writers.add(writer)
        beyond: asyncio.StreamWriter | None = None
        try:
            answers, beyond = await asyncio.open_connection("127.0.0.1", self._target)
            self._writers.add(beyond)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._carry(reader, beyond, "up"))
                group.create_task(self._carry(answers, writer, "down"))
        except* (OSError, asyncio.CancelledError):
            pass
        finally:
            for one in (writer, beyond):
                if one is not None:
                    one.close()
                    self._writers.discard(one)
            self._ends.discard(end)

    async def _carry(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, way: str
    ) -> None:
        while data := await source.read(65536):
            await self._flows[way].wait()
            sink.write(data)
            await sink.drain()
        with suppress(OSError):
            sink.write_eof()

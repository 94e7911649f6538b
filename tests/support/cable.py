"""The cable between one person's browser and everything: it can be cut, held and mended.

It is a SOCKS5 proxy (RFC 1928), so that addresses are the same for everybody, on whatever cable.
"""

import asyncio
from contextlib import suppress

from tests.support.ports import free_port

_VERSION = 5
_ADDRESS_BYTES = {1: 4, 4: 16}
_CONNECTED = bytes((_VERSION, 0, 0, 1, 0, 0, 0, 0, 0, 0))
_REFUSED = bytes((_VERSION, 5, 0, 1, 0, 0, 0, 0, 0, 0))


class Cable:
    """Takes connections to ports of this machine, once it was mended for the first time."""

    def __init__(self) -> None:
        self.port = free_port()
        self._listener: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._ends: set[asyncio.Task[None]] = set()
        self._flows = {"up": asyncio.Event(), "down": asyncio.Event()}

    @property
    def url(self) -> str:
        """For a browser's proxy settings."""
        return f"socks5://127.0.0.1:{self.port}"

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
        for end in self._ends:
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
            port = await _wanted(reader, writer)
            try:
                answers, beyond = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                writer.write(_REFUSED)
                raise
            writer.write(_CONNECTED)
            self._writers.add(beyond)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._carry(reader, beyond, "up"))
                group.create_task(self._carry(answers, writer, "down"))
        except* (OSError, EOFError, asyncio.CancelledError):
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


async def _wanted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> int:
    """Takes the greeting and the request; the port that is asked for."""
    _, methods = await reader.readexactly(2)
    await reader.readexactly(methods)
    writer.write(bytes((_VERSION, 0)))
    _, _, _, kind = await reader.readexactly(4)
    length = _ADDRESS_BYTES.get(kind) or (await reader.readexactly(1))[0]
    await reader.readexactly(length)
    return int.from_bytes(await reader.readexactly(2))

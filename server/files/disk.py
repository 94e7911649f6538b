"""Files in a directory, which several nodes may share.

``<directory>/0f/0f…9c.image~png``, 256 directories of them. A file is written in ``incoming/``
under its key, with a lock on it, and moved when its last byte is on the disk. So what has its place
is whole, one process at a time writes a key, and what a dead one left can be told by its lock.

The disk is read and written in a few threads of its own: a disk that hangs holds those, and nobody
else.
"""

import asyncio
import errno
import fcntl
import logging
import os
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from io import FileIO
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

from server.errors import ChatError, StorageAway
from server.files import Reader, Slot, Writer
from server.files.names import is_key
from server.files.seal import Seal

log = logging.getLogger(__name__)

THREADS = 4
IO_S = 30.0
"""How long one read, write or sync may take before the disk counts as away."""
CHUNK_BYTES = 64 * 1024
"""What one reader has in memory, several times over on its way. Measured: 75 us for a chunk from a
thread, so 900 MB/s at most; 5 us for one that is cached without a thread, but 5 ms for one that is
not, and nothing may hold the event loop for so long."""
DIRECTORY_MODE, FILE_MODE = 0o750, 0o640
"""A proxy in the server's group may serve the files; but ``data.dir`` is the server's alone."""
LEFT_S = 60.0
"""So long nothing was written to a file in ``incoming`` that :meth:`DiskFiles.tidy` removes."""

Result = TypeVar("Result")


class _Threads:
    """Runs what waits for the disk. Raises ``StorageAway`` for whatever goes wrong with it."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(THREADS, "files")
        self._is_closed = False

    async def run(self, act: Callable[[], Result]) -> Result:
        if self._is_closed:
            raise StorageAway("the server stops")
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(IO_S):
                return await loop.run_in_executor(self._pool, act)
        except TimeoutError as error:
            raise StorageAway("the disk does not answer") from error
        except OSError as error:
            what = errno.errorcode.get(error.errno or 0, "unknown")
            raise StorageAway(f"the disk says {what}") from error

    def close(self) -> None:
        self._is_closed = True
        self._pool.shutdown(wait=False)


class DiskFiles:
    """See :class:`server.files.FileStore`. Raises ``OSError`` where it cannot make its directory.

    ``url``: under which address the files are served; empty: the client's way to us, ``/files``.
    ``reserve_bytes``: uploads leave so much of the disk free, for they are not what matters most.
    """

    def __init__(self, directory: Path, seal: Seal, url: str, reserve_bytes: int) -> None:
        self._directory = directory
        self._incoming = directory / "incoming"
        self._seal = seal
        self._url = url.rstrip("/")
        self._reserve_bytes = reserve_bytes
        self._threads = _Threads()
        self._writers: set[_DiskWriter] = set()
        directory.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
        self._incoming.mkdir(mode=DIRECTORY_MODE, exist_ok=True)

    def put_url(self, slot: Slot, origin: str) -> str:
        address = self.get_url(slot.key, slot.name, origin)
        return f"{address}?slot={self._seal.seal(slot)}"

    def get_url(self, key: str, name: str, origin: str) -> str:
        base = self._url or f"{origin}/files"
        return f"{base}/{quote(key, safe='~')}/{quote(name, safe='')}"

    async def check(self, size: int) -> None:
        await self._threads.run(lambda: self._make_sure_of_room(size))

    async def begin(self, key: str, size: int) -> Writer:
        place = self._place(key)
        incoming = self._incoming / key

        def lock() -> FileIO:
            self._make_sure_of_room(size)
            while True:
                file = FileIO(
                    os.open(incoming, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, FILE_MODE), "r+"
                )
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    file.close()
                    raise ChatError("conflict", "this file is being uploaded") from None
                if _is_same(file, incoming):
                    break
                file.close()  # moved or removed by who had the lock before
            if place.exists():
                incoming.unlink()
                file.close()
                raise ChatError("conflict", "this file was uploaded already")
            file.truncate(0)
            return file

        file = await self._threads.run(lock)
        return _DiskWriter(self._threads, self._writers, file, incoming, place, size)

    async def open(self, key: str) -> Reader:
        place = self._place(key)

        def open_file() -> FileIO:
            try:
                return FileIO(os.open(place, os.O_RDONLY | os.O_NOFOLLOW))
            except FileNotFoundError:
                raise ChatError("not-found", "there is no such file") from None

        return _DiskReader(self._threads, await self._threads.run(open_file))

    async def size(self, key: str) -> int | None:
        place = self._place(key)

        def look() -> int | None:
            self._directory.stat()  # a disk that is not there has not lost its files
            try:
                return place.stat().st_size
            except FileNotFoundError:
                return None

        return await self._threads.run(look)

    async def delete(self, key: str) -> None:
        place = self._place(key)
        await self._threads.run(lambda: place.unlink(missing_ok=True))

    async def tidy(self) -> None:
        def remove_left() -> None:
            for entry in os.scandir(self._incoming):
                with suppress(FileNotFoundError, BlockingIOError):
                    if entry.stat().st_mtime > time.time() - LEFT_S:
                        continue
                    with FileIO(entry.path, "r+") as file:
                        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                        if _is_same(file, Path(entry.path)):
                            os.unlink(entry.path)

        await self._threads.run(remove_left)

    async def close(self) -> None:
        """Aborts what is being uploaded."""
        for writer in list(self._writers):
            with suppress(StorageAway):
                await writer.abort()
        self._threads.close()

    def _place(self, key: str) -> Path:
        if not is_key(key):
            raise ChatError("not-found", "there is no such file")
        return self._directory / key[:2] / key

    def _make_sure_of_room(self, size: int) -> None:
        disk = os.statvfs(self._incoming)
        if disk.f_bavail * disk.f_frsize < size + self._reserve_bytes:
            raise OSError(errno.ENOSPC, "files.reserve_bytes would not be left")


class _DiskWriter:
    """See :class:`server.files.Writer`. One thing at a time is done to its file."""

    def __init__(
        self,
        threads: _Threads,
        writers: "set[_DiskWriter]",
        file: FileIO,
        incoming: Path,
        place: Path,
        size: int,
    ) -> None:
        self._threads = threads
        self._writers = writers
        self._file = file
        self._incoming = incoming
        self._place = place
        self._missing = size
        self._lock = asyncio.Lock()
        writers.add(self)

    async def write(self, chunk: bytes) -> None:
        if len(chunk) > self._missing:
            raise ChatError("too-long", "there are more bytes than were announced")

        def write_all() -> None:
            rest = memoryview(chunk)
            while rest:
                rest = rest[self._file.write(rest) or 0 :]

        async with self._lock:
            await self._threads.run(write_all)
        self._missing -= len(chunk)

    async def commit(self) -> None:
        if self._missing:
            raise ChatError("bad-field", f"{self._missing} bytes are missing")

        def move() -> None:
            os.fsync(self._file)
            folder = self._place.parent
            if not folder.exists():
                folder.mkdir(mode=DIRECTORY_MODE, exist_ok=True)
                _sync(folder.parent)
            self._incoming.rename(self._place)
            self._file.close()
            _sync(folder)

        async with self._lock:
            await self._threads.run(move)
            self._writers.discard(self)

    async def abort(self) -> None:
        def remove() -> None:
            self._incoming.unlink(missing_ok=True)
            self._file.close()

        async with self._lock:
            self._writers.discard(self)
            if not self._file.closed:
                await self._threads.run(remove)


class _DiskReader:
    """See :class:`server.files.Reader`."""

    def __init__(self, threads: _Threads, file: FileIO) -> None:
        self._threads = threads
        self._file = file
        self.size = os.fstat(file.fileno()).st_size

    async def chunks(self, start: int, length: int) -> AsyncIterator[bytes]:
        number, end = self._file.fileno(), start + length
        while start < end:
            wanted = min(CHUNK_BYTES, end - start)
            chunk = await self._threads.run(partial(os.pread, number, wanted, start))
            if not chunk:
                raise StorageAway("the file is shorter than it was")
            yield chunk
            start += len(chunk)

    def close(self) -> None:
        self._file.close()


def _is_same(file: FileIO, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _sync(folder: Path) -> None:
    """Makes what was put into the folder outlast a loss of power."""
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(number)
    finally:
        os.close(number)

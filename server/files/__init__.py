"""Uploaded files: what the core asks of whatever keeps their bytes.

``server/files/disk.py`` keeps them in a directory and lets ``handlers/files.py`` take and give
them. A store such as S3 does that itself: there :meth:`FileStore.offer` gives signed addresses of
its own, and no byte comes through this process. Either way a file is named by its key
(``server/files/names.py``), which is written once and cannot be guessed.

Every method raises :class:`server.errors.StorageAway` when the store does not take or give now.
"""

from collections.abc import AsyncIterator
from typing import Protocol

import msgspec


class Slot(msgspec.Struct, frozen=True):
    """Leave to upload one file once.

    ``size``: bytes, exactly. ``type``: what the bytes must be called; empty: anything.
    ``expires``: seconds since 1970 UTC, by when the upload must have begun.
    """

    key: str
    name: str
    size: int
    type: str
    expires: int


class Offer(msgspec.Struct):
    """Where a slot's bytes go, and where everybody finds them afterwards.

    PUT them to ``put`` with these ``headers`` within ``expires_in`` seconds; ``get`` is the
    ``url`` of a message.
    """

    put: str
    get: str
    headers: dict[str, str]
    expires_in: int


class Writer(Protocol):
    """One upload under way. Nobody sees its bytes before :meth:`commit` has returned."""

    async def write(self, chunk: bytes) -> None:
        """Raises ``too-long`` for more than was begun with."""

    async def commit(self) -> None:
        """All bytes are kept for good. Raises ``bad-field`` where some are missing."""

    async def abort(self) -> None:
        """Leaves nothing behind. No change once it was committed or aborted."""


class Reader(Protocol):
    """A file that is open for reading; close it."""

    @property
    def size(self) -> int: ...

    def chunks(self, start: int, length: int) -> AsyncIterator[bytes]:
        """These bytes, in parts small enough to keep in memory."""

    def close(self) -> None: ...


class FileStore(Protocol):
    """Keeps bytes under keys. It knows neither users nor quotas."""

    def put_url(self, slot: Slot, origin: str) -> str:
        """Where the bytes go. ``origin``: how the client reaches us."""

    def get_url(self, key: str, name: str, origin: str) -> str:
        """Where they are found."""

    async def check(self, size: int) -> None:
        """Raises ``StorageAway`` where so many bytes would not be taken now."""

    async def begin(self, key: str, size: int) -> Writer:
        """Raises ``conflict`` where the key has its bytes, or somebody is writing them."""

    async def open(self, key: str) -> Reader:
        """Raises ``not-found``."""

    async def size(self, key: str) -> int | None:
        """None: there is no such file."""

    async def delete(self, key: str) -> None:
        """No change where there is no such file."""

    async def tidy(self) -> None:
        """Removes what broken-off uploads of dead processes left."""

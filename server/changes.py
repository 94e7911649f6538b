"""What one node changed and the others have to know: sessions that ended, groups, profiles.

Each change is a document that all nodes read within a second or two, whatever the bus does; the
bus only says that there is something to read. The commands of the operator tell the running
nodes in the same way.
"""

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from server.errors import StorageAway
from server.ports import Bus, ChangeStore, Document

log = logging.getLogger(__name__)

POLL_S = 1.0
REST_S = 0.05
"""Between two readings, however often the bus says that there is something."""
OVERLAP = timedelta(seconds=10)
"""Changes may become visible in another order than they were stamped: so far back is read again."""
KEPT_S = 3600.0
"""How long the database keeps them; a node that could not read for so long has missed some."""


class Changes:
    """``on(kind, act)``: what is done on every node for each :meth:`add` on any of them.

    ``missed``: called when changes may be gone that this node has not read.
    """

    def __init__(self, store: ChangeStore, bus: Bus) -> None:
        self._store = store
        self._bus = bus
        self._acts: dict[str, Callable[..., None]] = {}
        self._missed: Callable[[], None] = lambda: None
        self._unsaid: list[Document] = []
        self._seen: dict[Any, datetime] = {}
        self._newest: datetime | None = None
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def on(self, kind: str, act: Callable[..., None]) -> None:
        """``act`` gets the fields of such a change; it may not wait."""
        self._acts[kind] = act

    async def start(self, missed: Callable[[], None]) -> None:
        """Hears what changes from now on. Raises ``StorageAway``."""
        self._missed = missed
        self._newest = await self._store.now()
        self._task = asyncio.create_task(self._run(), name="changes")

    def poked(self) -> None:
        """There may be something to read."""
        self._wake.set()

    async def add(self, kind: str, **fields: Any) -> None:
        """Acts here, and soon on all other nodes. Does not fail: it is said when it can be."""
        change: Document = {"_id": self._store.new_id(), "kind": kind, **fields}
        try:
            self._seen[change["_id"]] = await self._store.add(change)
        except StorageAway:
            self._unsaid.append(change)
        self._act(change)
        self._bus.poke()

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        read_at = loop.time()
        while True:
            try:
                async with asyncio.timeout(POLL_S):
                    await self._wake.wait()
            except TimeoutError:
                pass
            self._wake.clear()
            try:
                await self._say()
                await self._read()
            except StorageAway:
                continue
            except Exception:
                log.exception("changes_not_read")
                continue
            if loop.time() - read_at > KEPT_S:
                log.warning("changes_missed seconds=%.0f", loop.time() - read_at)
                self._missed()
            read_at = loop.time()
            await asyncio.sleep(REST_S)

    async def _say(self) -> None:
        """What could not be written when it was added. The others act on it once."""
        while self._unsaid:
            change = self._unsaid[0]
            self._seen[change["_id"]] = await self._store.add(change)
            self._unsaid.pop(0)
            self._bus.poke()

    async def _read(self) -> None:
        if self._newest is None:
            return
        for change in await self._store.since(self._newest - OVERLAP, but=list(self._seen)):
            at = change["at"]
            self._newest = max(self._newest, at)
            if change["_id"] not in self._seen:  # added here meanwhile
                self._seen[change["_id"]] = at
                self._act(change)
        oldest = self._newest - 2 * OVERLAP
        for known in [key for key, at in self._seen.items() if at < oldest]:
            del self._seen[known]

    def _act(self, change: Document) -> None:
        fields = {key: value for key, value in change.items() if key not in ("_id", "at", "kind")}
        act = self._acts.get(change["kind"])
        if act is None:
            return  # of a later version, or of a part that this process has not
        try:
            act(**fields)
        except Exception:
            log.exception("change_failed kind=%s", change["kind"])
